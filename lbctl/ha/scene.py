"""This host as the scene of a leaving: what :mod:`lbctl.ha.leave` acts on."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from lbctl.errors import NetlinkError, SupervisorError
from lbctl.ha import diag
from lbctl.ha.hearing import Hearing, Peer
from lbctl.ha.journal import Journal
from lbctl.ha.keeper import Keeper
from lbctl.ha.role import Role, RoleName
from lbctl.ha.speaker import Speaker
from lbctl.ha.track import Tracker
from lbctl.ha.worth import Worth
from lbctl.layout import RunDir
from lbctl.programs import Programs
from lbctl.spec import BundleSpec, GroupSpec

log = logging.getLogger(__name__)

#: Shorter than any ucarp's dead time: by then this node's own may be MASTER again.
RESIGN_FOR_S = 2.5
RESIGN_EVERY_S = 0.4


@dataclass(slots=True)
class Parts:
    """What vipd is made of."""

    spec: BundleSpec
    group: GroupSpec
    run: RunDir
    programs: Programs
    keeper: Keeper
    hearing: Hearing
    speaker: Speaker
    tracker: Tracker
    worth: Worth
    journal: Journal


class HostScene:
    """
    A :class:`lbctl.ha.leave.Scene` on the real host.

    Attributes:
        hold_on_until: monotonic seconds; until then a speaker that vipd itself stopped is no reason
            to let the lease run out.
        yields: the successor is to keep the addresses, even with the worse advskew.
    """

    def __init__(self, parts: Parts) -> None:
        self._p = parts
        self.hold_on_until = 0.0
        self.yields = False
        self._silenced = 0

    async def reload_haproxy(self) -> None:
        try:
            await self._p.programs.signal_group("haproxy", "USR2")
        except SupervisorError as error:
            log.warning("HAProxy cannot be drained: %s; going on", error)

    def connections(self) -> frozenset[object]:
        try:
            found = diag.established(self._p.group.addresses)
        except NetlinkError as error:
            log.warning("connections cannot be listed: %s; nothing is drained", error)
            return frozenset()
        return frozenset((c.address, c.port, c.peer, c.peer_port) for c in found)

    def silence(self) -> None:
        self._silenced = self._p.speaker.pid
        self._p.speaker.silence()
        self._p.keeper.hush(True)
        self.hold_on_until = time.monotonic() + self._p.group.dead_time_s

    def resume(self) -> None:
        self._p.speaker.resume()
        self._p.keeper.hush(False)

    def resign(self) -> None:
        self._p.hearing.resign()

    async def resign_until_heard(self) -> None:
        """A peer whose ucarp is just starting does not hear the first resignation."""
        began = time.monotonic()
        while time.monotonic() - began < RESIGN_FOR_S and self._master_since(began) is None:
            self.resign()
            await asyncio.sleep(RESIGN_EVERY_S)

    def successor(self, since: float) -> str | None:
        peer = self._master_since(since)
        if peer is None:
            return None
        if self.yields:
            self._p.worth.yield_to(peer.advskew)
        return peer.source

    def _master_since(self, since: float) -> Peer | None:
        peer = self._p.hearing.peer
        return None if peer is None or peer.is_leaving or peer.seen <= since else peer

    def destroy(self) -> int:
        try:
            return diag.destroy(diag.established(self._p.group.addresses))
        except NetlinkError as error:
            log.warning("connections cannot be reset: %s; their clients time out", error)
            return 0

    def addresses_off(self, why: str) -> None:
        role = Role(RoleName.BACKUP, time.monotonic_ns(), time.time(), why=why)
        self.hold_on_until = 0.0
        try:
            self._p.keeper.take(role)
        except NetlinkError as error:
            # The role stands on record: every turn from now on tries again.
            log.warning("%s: addresses cannot be removed: %s; next try in a second", why, error)

    def end_speaker(self) -> None:
        self._p.worth.judge()
        # One that was started meanwhile listens already, and would lose that time.
        if self._p.speaker.pid == self._silenced:
            self._p.speaker.end()
