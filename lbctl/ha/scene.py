"""This host as the scene of a leaving: what :mod:`lbctl.ha.leave` acts on."""

from __future__ import annotations

import logging

from lbctl.errors import SupervisorError
from lbctl.ha.engine import Engine, Parts
from lbctl.ha.hands import Hands
from lbctl.ha.scheduling import at_leisure

log = logging.getLogger(__name__)


class HostScene:
    """
    A :class:`lbctl.ha.leave.Scene` on the real host.

    Attributes:
        yields: the successor is to keep the addresses, even with the worse advskew.
    """

    def __init__(self, parts: Parts, hands: Hands, engine: Engine) -> None:
        self._p = parts
        self._hands = hands
        self._engine = engine
        self.yields = False

    async def reload_haproxy(self) -> None:
        try:
            await self._p.programs.signal_group("haproxy", "USR2")
        except SupervisorError as error:
            log.warning("HAProxy cannot be drained: %s; going on", error)

    async def connections(self) -> frozenset[object]:
        return await self._hands.connections()

    def silence(self) -> None:
        self._engine.silence()
        self._p.keeper.hush(True)

    def resume(self) -> None:
        self._engine.resume()
        self._p.keeper.hush(False)

    def resign(self) -> None:
        self._engine.resign()

    async def successor(self, since: float, within_s: float) -> str | None:
        peer = await self._engine.successor(since, within_s)
        if peer is None:
            return None
        if self.yields:
            self._p.worth.yield_to(peer.advskew)
        return peer.source

    def destroy(self) -> int:
        with at_leisure():
            return self._hands.destroy()

    def addresses_off(self, why: str) -> None:
        self._hands.addresses_off(why)

    def end_speaker(self) -> None:
        self._p.worth.judge()
        self._engine.end()
