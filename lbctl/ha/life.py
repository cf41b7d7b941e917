"""
The life of one group of addresses on this node: its lease, its faults, its leaving.

:mod:`lbctl.ha.engine` decides the role, :mod:`lbctl.ha.keeper` holds the addresses; here stands
what must hold whoever decides: what is renewed, when this node gives way, and in which order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from lbctl.errors import NetlinkError
from lbctl.ha.claims import Line
from lbctl.ha.duplicate import Duplicates
from lbctl.ha.engine import Engine, Parts
from lbctl.ha.hands import Hands
from lbctl.ha.keeper import ANNOUNCE_APART_S, tried_again
from lbctl.ha.lease import RENEW_S, Verdict
from lbctl.ha.leave import Report, leave
from lbctl.ha.role import RoleName
from lbctl.ha.scene import HostScene
from lbctl.ha.ucarp import FAULTY_ADVSKEW
from lbctl.ha.worth import OWN_FAULT_S

log = logging.getLogger(__name__)

#: An interface that goes up and down this often within the window is not to be relied on.
FLAPS = 5
FLAP_WINDOW_S = 10.0
_FLAP_SEVERITY = 8
#: The words of a move, or of two masters, are over after this, seconds.
CALM_S = 1.0


class Surroundings(Protocol):
    """What a group asks about the world beside it."""

    @property
    def is_paused(self) -> bool:
        """Nothing is to move by itself."""

    def may_take_over(self, vhid: int, advskew: int) -> bool:
        """False: the other nodes are known, and none is better than one that speaks *advskew*."""

    def is_other_master(self, vhid: int) -> bool:
        """Another node has said a moment ago that it is MASTER of the group."""


class Life:
    """
    One group's; every method runs on one event loop.

    Attributes:
        group: what it is about.
        engine: who decides.
        link_up: whether the interface can carry packets.
        link_changes: how often that changed.
        duplicates: other machines with its addresses.
    """

    def __init__(
        self,
        parts: Parts,
        hands: Hands,
        engine: Engine,
        surroundings: Surroundings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._p = parts
        self._clock = clock
        self._hands = hands
        self._scene = HostScene(parts, hands, engine)
        self._around = surroundings
        self._moving = asyncio.Lock()
        self._stopping = False
        self._stop: asyncio.Future[None] | None = None
        self._speaks = False
        self._flaps: list[float] = []
        self._link_is = ""
        self._wake = asyncio.Event()
        self._rival_at = float("-inf")
        self.group = parts.group
        self.engine = engine
        self.link_up = True
        self.link_changes = 0
        engine.on_rival = self._on_rival
        # A vipd that comes back does not know yet who is master.
        self._unclear_until = clock() + parts.group.dead_time_s + CALM_S
        line = Line(parts.group.interface, parts.group.addresses)
        self.duplicates = Duplicates(line, parts.journal, parts.keeper.announce_now, self._is_calm)

    @property
    def is_master(self) -> bool:
        return self._hands.is_master

    @property
    def role(self) -> RoleName:
        return self._p.keeper.role.name

    @property
    def is_moving(self) -> bool:
        """The addresses are on their way to the peer, or will not be taken again."""
        return self._stopping or self._moving.locked()

    # What goes on by itself.

    def goes_on(self) -> None:
        """Its speaker spoke under an earlier vipd: judged from the next turn on."""
        self._speaks = True

    async def begin(self) -> None:
        """This node can serve, or has been waited for long enough."""
        self._speaks = True
        self._p.worth.judge()
        if self.link_up and not self._stopping:
            await self.engine.start()

    async def tick_forever(self) -> None:
        """Renew, judge, look for what hangs; once a second, and when something is to be said."""
        while True:
            await self.tick()
            self._wake.clear()
            try:
                pause_s = min(RENEW_S, max(0.05, self._p.keeper.announce_in_s()))
                await asyncio.wait_for(self._wake.wait(), pause_s)
            except TimeoutError:
                continue

    async def tick(self) -> None:
        """One turn."""
        if not self._moving.locked():
            self.engine.look()
        self.renew()
        self.duplicates.tick()
        await self.judge()

    def renew(self) -> None:
        """Renew the lease, or not, on the evidence there is."""
        keeper = self._p.keeper
        if keeper.role.name is RoleName.INIT:
            # Nothing is held before anybody speaks, and a look at addresses would hold that up.
            return
        what, doubt = self.engine.verdict()
        with tried_again():
            if what is Verdict.DROP and self._moving.locked():
                # The leaving under way drops them itself, once and in its order.
                return
            if what is Verdict.DROP and self.is_master:
                self._hands.destroy()
                self.engine.give_up(doubt)
                return
            keeper.tend(what, doubt)
            if what is Verdict.KEEP and not any(there for _, there, _ in keeper.held()):
                self.engine.give_up(f"{doubt}; the lease has run out")

    async def judge(self) -> None:
        """Compare faults with the advskew that is spoken; demote or restore."""
        if self.is_moving or not self._speaks or not self.link_up:
            return
        if self._around.is_paused:
            self._p.worth.look()
            return
        was, now = self.engine.advskew, self._p.worth.judge()
        if was == now:
            return
        if now > was and now >= FAULTY_ADVSKEW and self._may_leave(now):
            report = await self.leave(f"fault: {self._p.worth.faults[0].what}", must=False)
            if report.left:
                return
        await self.engine.respeak()

    async def look_again(self, is_up: bool, what: str) -> None:
        """The kernel says that links or addresses changed; *what* has become of the interface."""
        was, self._link_is = self._link_is, what
        if is_up != self.link_up:
            self.link_up = is_up
            await self._on_link(is_up, what)
        elif not is_up and what != was:
            # A rename begins with a link that is down: that alone would not say where it went.
            self._note_link(what)
        try:
            self._p.keeper.mend()
        except NetlinkError as error:
            log.warning("addresses cannot be mended: %s; next try in a second", error)

    # Leaving.

    async def leave(self, why: str, *, must: bool, yields: bool = False) -> Report:
        """
        Move the addresses to the peer; see :mod:`lbctl.ha.leave`.

        A node that *yields* does not take them back by a better advskew. One that left because of
        a fault does, once it is healed: different values ask for that.
        """
        async with self._moving:
            self._scene.yields = yields
            serves = self._p.tracker.is_up("haproxy") and not self._p.tracker.all_dead("haproxy")
            drain_s = self._p.group.drain_s if serves else 0.0
            try:
                report = await leave(
                    self._scene,
                    why,
                    drain_s=drain_s,
                    must=must,
                    gap_s=self.engine.resignation_gap_s,
                    clock=self._clock,
                )
            except BaseException:
                self._take_back()
                raise
        fields = {**report.as_dict(), "vhid": self.group.vhid}
        self._p.journal.note("handover", report.sentence(), **fields)
        return report

    async def stop(self, why: str) -> None:
        """The bundle stops: leave if there is something to leave, end the speaker."""
        self._stopping = True
        if self._stop is None:
            self._stop = asyncio.ensure_future(self._stop_now(why))
        # Whoever asks again must not go on before it is done.
        await asyncio.shield(self._stop)

    def retell(self) -> None:
        """
        Another node is heard that was not: whatever kept it away may have kept back what this one
        announced, too, and clients would stay with an older word until the next refresh.
        """
        self._p.keeper.announce_now(self.group.addresses)

    def fault(self, name: str, what: str, severity: int, for_s: float = OWN_FAULT_S) -> None:
        """Something beside the programs' states speaks against this node, for *for_s* seconds."""
        self._p.worth.own_fault(name, what, severity, for_s)

    def abandon(self) -> None:
        """supervisord is gone and everything with it: resign and let go at once."""
        if self._stopping and not self.is_master:
            return
        self._stopping = True
        self.engine.silence()
        if self.is_master:
            self.engine.resign()
            self._hands.destroy()
            self._hands.addresses_off("supervisord is gone")
        self.engine.stop()

    # For others.

    def as_dict(self) -> dict[str, Any]:
        """The group's status."""
        keeper, role, worth = self._p.keeper, self._p.keeper.role, self._p.worth
        return {
            "role": role.name,
            "since": role.since,
            "why": role.why,
            "engine": self.group.engine,
            "vhid": self.group.vhid,
            "vip": self.group.vip,
            "interface": self.group.interface,
            "source": self.group.source,
            "addresses": [
                {"address": a, "present": there, "lease_s": lease}
                for a, there, lease in keeper.held()
            ],
            "faults": [fault.what for fault in worth.faults],
            "severity": worth.severity,
            "can_serve": self._can_serve,
            "link_up": self.link_up,
            "link_changes": self.link_changes,
            "transitions": keeper.transitions,
            **self.engine.as_dict(),
        }

    def greeting(self) -> dict[str, Any]:
        """What the other nodes are told of the group."""
        role, worth = self._p.keeper.role, self._p.worth
        return {
            "vhid": self.group.vhid,
            "vip": self.group.vip,
            "role": str(role.name),
            "since": role.since,
            "why": "its bundle stops" if self._stopping else role.why,
            "advskew": self.engine.advskew,
            "faults": [fault.what for fault in worth.faults],
            "severity": worth.severity,
            "can_serve": self._can_serve,
        }

    # Inside.

    @property
    def _can_serve(self) -> bool:
        """Whether the other nodes may count on it."""
        is_here = self._speaks and self.link_up and not self.is_moving
        return is_here and not self._p.worth.faults

    async def _stop_now(self, why: str) -> None:
        # A move that is under way may be all that there is to do.
        async with self._moving:
            pass
        if self.is_master:
            await self.leave(why, must=True)
        self.engine.stop()
        self.renew()

    def _take_back(self) -> None:
        """A leaving that broke off must leave nobody silent who has the addresses."""
        if self.is_master:
            self._scene.resume()
        else:
            self.engine.end()

    def _is_calm(self) -> bool:
        """Nobody else has reason to say that it has the addresses."""
        now, role = self._clock(), self._p.keeper.role
        return (
            self.is_master
            and not self.is_moving
            and now - role.at_ns / 1e9 >= CALM_S
            and now >= self._unclear_until
            and not self._around.is_other_master(self.group.vhid)
        )

    def _may_leave(self, advskew: int) -> bool:
        return self.is_master and self._around.may_take_over(self.group.vhid, advskew)

    def _on_rival(self) -> None:
        """Another node speaks as MASTER too: the neighbours may believe it."""
        now = self._clock()
        self._unclear_until = max(self._unclear_until, now + CALM_S)
        if self._moving.locked() or now - self._rival_at < ANNOUNCE_APART_S:
            # Where only one of the two hears the other it goes on for ever, 40 times a second.
            return
        self._rival_at = now
        self.renew()
        if self.is_master:
            self._p.keeper.rival(self.engine.dead_time_s)
            self._wake.set()

    async def _on_link(self, is_up: bool, what: str) -> None:
        self.link_changes += 1
        text = f"{what}: this node speaks again" if is_up else f"{what}: this node gives way"
        self._note_link(text)
        self._judge_flapping(self._clock())
        if is_up and not self._speaks:
            return
        await self.engine.on_link(is_up)

    def _note_link(self, text: str) -> None:
        self._p.journal.note("link", text, vhid=self.group.vhid, interface=self.group.interface)

    def _judge_flapping(self, now: float) -> None:
        self._flaps = [at for at in self._flaps if now - at < FLAP_WINDOW_S] + [now]
        if len(self._flaps) >= FLAPS:
            what = (
                f"{self.group.interface} flaps: {len(self._flaps)} changes in {FLAP_WINDOW_S:g} s"
            )
            self._p.worth.own_fault("link", what, _FLAP_SEVERITY)
