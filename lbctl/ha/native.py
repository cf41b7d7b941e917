"""
The engine ``native``: vipd itself speaks CARP.

:mod:`lbctl.ha.election` decides; here are the sockets, the clock and the addresses around it. All
that acts looks at the stall guard first. Nothing here waits: what comes in is answered in the same
turn of the loop, and a timer that is early is set again when it fires, not with every packet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from lbctl.ha import carp, election
from lbctl.ha.capture import Seen
from lbctl.ha.ears import Ears
from lbctl.ha.election_words import (
    Action,
    Advertise,
    Become,
    Event,
    Hear,
    Heard,
    Left,
    LinkDown,
    LinkUp,
    Pause,
    Rules,
    SetAdvskew,
    Silence,
    Speak,
    Stalled,
    Start,
    Stop,
    Tick,
)
from lbctl.ha.engine import Parts, Peer, exposed, found
from lbctl.ha.hands import Hands
from lbctl.ha.keeper import tried_again
from lbctl.ha.lease import Verdict, judge
from lbctl.ha.leave import NATIVE_GAP_S
from lbctl.ha.mouth import Mouth
from lbctl.ha.replay import Accepted, Sources
from lbctl.ha.role import Role, RoleName
from lbctl.ha.stall import StallGuard
from lbctl.ha.strangers import Strangers
from lbctl.ha.worth import Voice
from lbctl.programs import Program, ProgramEvent

#: A gap is told of when it cost the role, or when it was longer than this.
_TOLD_GAP_S = 1.0
#: After a packet that was refused all are read at once for so long, seconds.
_WARY_S = 1.0


class NativeEngine:
    """See :class:`lbctl.ha.engine.Engine`."""

    resignation_gap_s = NATIVE_GAP_S

    def __init__(
        self,
        parts: Parts,
        hands: Hands,
        voice: Voice,
        mouth: Mouth,
        ears: Ears,
        sources: Sources,
        password: carp.Password,
        guard: StallGuard,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        group = parts.group
        self._p = parts
        self._hands = hands
        self._voice = voice
        self._mouth = mouth
        self._ears = ears
        self._sources = sources
        self._password = password
        self._guard = guard
        self._clock = clock
        self._rules = Rules.of(group)
        is_holder = parts.keeper.role.name is not RoleName.BACKUP
        self._state = election.first(voice.advskew, clock(), is_holder=is_holder)
        self._destination = group.source if group.peers else carp.GROUP
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._stepped_at = clock()
        self._wary_until = 0.0
        self._owes_word = False
        self._peer: Peer | None = None
        self._ucarps: set[str] = set()
        self._told: Heard | None = None
        self._told_at = 0.0
        self.strangers = Strangers(group.vhid, parts.journal)
        self.on_rival: Callable[[], None] = _nothing
        mouth.on_counter = sources.sent
        # The last word may have left a period before the gap began.
        guard.add(group.dead_time_s - self._rules.period_s, self._stalled)

    @property
    def advskew(self) -> int:
        return self._voice.advskew

    @property
    def dead_time_s(self) -> float:
        if self._state.master is None:
            return self._p.group.dead_time_s
        return election.dead_time_s(self._rules, self._state.advskew, self._state.master)

    @property
    def position(self) -> int:
        return self._mouth.position

    # Its life.

    def open(self) -> None:
        self._ears.open(self._p.group.vhid, self.hear)
        self._arm()

    def speaks_already(self, programs: Mapping[str, Program]) -> bool:
        """It lives and dies with this process."""
        del programs
        return False

    async def start(self) -> None:
        if self._state.role is not RoleName.INIT:
            return
        # The first look takes long, and must not come with the first take-over.
        self._p.keeper.held()
        self._do(SetAdvskew(self._voice.advskew))
        self._do(LinkUp())
        # What an earlier vipd held stays until it is clear who is master: neither dropped nor
        # renewed.
        self._state, _ = election.step(self._rules, self._state, Start(), self._clock())
        if self._p.keeper.role.name is RoleName.INIT:
            self._hands.addresses_off("this node listens")
        self._arm()
        told, group = self._told, self._p.group
        if told is not None and self._clock() - self._told_at < group.dead_time_with(told.advskew):
            self._do(Hear(told))

    async def respeak(self) -> None:
        self._do(SetAdvskew(self._voice.advskew))

    async def on_program(self, event: ProgramEvent) -> None:
        """No program speaks for it."""

    async def on_link(self, is_up: bool) -> None:
        if not is_up:
            self._do(LinkDown())
            return
        self._do(LinkUp())
        await self.start()

    async def pause(self, on: bool) -> None:
        self._do(Pause(on))

    def look(self) -> None:
        self._guard.look()

    # What it hears.

    def hear(self, seen: Seen) -> None:
        """Take in one captured packet."""
        self._guard.look()
        group = self._p.group
        received = carp.decode(seen.packet, destination=self._destination)
        if isinstance(received, carp.Refusal):
            self.strangers.refuse(received, seen)
            return
        if received.advertisement.vhid != group.vhid:
            self.strangers.refused[carp.Refusal.WRONG_VHID.value] += 1
            return
        if not carp.verify(received, vip=group.vip, password=self._password):
            self.strangers.bad_digest(received.source, seen.at)
            self._wary_until = seen.at + _WARY_S
            return
        believed = self._sources.accept(received, seen.at)
        if isinstance(believed, Accepted):
            self._believe(believed, seen.at)
        elif believed is carp.Refusal.OWN_SOURCE:
            self.strangers.own_source(received.source, seen.at)
        else:
            self.strangers.refused[believed.value] += 1
            self._wary_until = seen.at + _WARY_S
            self._nudge(received.source, seen.at)

    def greeted(self, source: str, *, is_native: bool, position: int, leads: int | None) -> None:
        """
        The node at *source* has just said what it speaks, and where its counter stands.

        Args:
            leads: the advskew of a MASTER; None: it is none. A ucarp may be heard a second later.
        """
        now = self._clock()
        self._sources.greeted(source, is_native=is_native, position=position, now=now)
        if is_native:
            self._ucarps.discard(source)
        else:
            self._ucarps.add(source)
        if is_native or leads is None:
            return
        advbase_s = self._p.group.advbase_s
        interval_s = advbase_s + leads / 256
        self._told = Heard(source, advbase_s, leads, False, False, interval_s, 0.0)
        self._told_at = now
        if self._state.role is RoleName.BACKUP and self._state.master is None:
            self._do(Hear(self._told))

    def memory(self) -> dict[str, Any]:
        """What must survive a restart."""
        return {
            "position": self._mouth.position,
            "sources": self._sources.memory(),
            "advskew": self._voice.advskew,
            "started_at": self._p.spec.started_at,
        }

    # The lease.

    def verdict(self) -> tuple[Verdict, str]:
        self._guard.look()
        return judge(self._p.keeper.role, self._doubt())

    def give_up(self, why: str) -> None:
        self._owes_word = True
        self._do(Stalled())
        if self._hands.is_master:
            self._hands.addresses_off(why)

    # Leaving.

    def silence(self) -> None:
        self._do(Silence())

    def resume(self) -> None:
        self._do(Speak())

    def resign(self) -> None:
        self._mouth.resign()

    async def successor(self, since: float, within_s: float) -> Peer | None:
        return await found(lambda: self._successor(since), self._news, within_s)

    def end(self) -> None:
        self._do(SetAdvskew(self._voice.advskew))
        self._do(Left())

    def stop(self) -> None:
        self._do(Stop())

    # For status.

    def as_dict(self) -> dict[str, Any]:
        self._ears.read()
        now, master = self._clock(), self._state.master
        return {
            "advskew": self._state.advskew,
            "ucarp_pid": 0,
            "interval_ms": self._p.group.advbase_ms,
            "dead_time_s": round(self.dead_time_s, 4),
            "sent": self._mouth.sent,
            "loss": round(0.0 if master is None else self._sources.loss_of(master.source), 3),
            "peer": self._peer and self._peer.as_dict(now),
            "refused": dict(self.strangers.refused),
            "foreign": self.strangers.as_list(now),
        }

    def protection(self) -> str:
        return exposed(self._ucarps)

    # Inside.

    def _do(self, event: Event, at: float = 0.0) -> None:
        """*at*, monotonic seconds: when it happened; 0: now."""
        self._stepped_at = max(self._stepped_at, at or self._clock())
        state, actions = election.step(self._rules, self._state, event, self._stepped_at)
        self._state = state
        for action in actions:
            self._act(action)
        is_calm = self._stepped_at >= self._wary_until
        self._ears.expect(self._p.group.vhid, state.usual if is_calm else None)
        self._arm()

    def _act(self, action: Action) -> None:
        if isinstance(action, Advertise):
            self._mouth.advertise(self._state.advskew)
        elif isinstance(action, Become):
            self._become(action.role, action.why)
        else:
            for _ in range(action.count):
                self._mouth.resign()

    def _become(self, name: RoleName, why: str) -> None:
        if name is not RoleName.MASTER and not self._hands.is_master:
            return
        if name is RoleName.INIT:
            name = RoleName.BACKUP
        with tried_again():
            self._hands.become(Role(name, time.monotonic_ns(), time.time(), why=why))

    def _arm(self) -> None:
        """
        Have a tick when the election wants one, and a look at the guard often enough; a timer that
        is early sets itself again.
        """
        due, timer = min(self._state.due, self._clock() + self._guard.beat_s), self._timer
        if timer is not None and timer.when() <= due:
            return
        if timer is not None:
            timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        self._guard.look()
        if self._state.role is RoleName.BACKUP:
            self._ears.read()
        self._timer = None
        if self._clock() >= self._state.due:
            self._do(Tick())
        else:
            self._arm()

    def _believe(self, heard: Accepted, at: float) -> None:
        if self._peer is None or self._peer.source != heard.source:
            self._p.journal.note("peer", f"{heard.source} speaks", source=heard.source)
        self._peer = Peer(heard.source, heard.advbase, heard.advskew, at)
        if not heard.is_native:
            self._ucarps.add(heard.source)
        elif heard.source in self._ucarps and self._sources.is_native(heard.source):
            self._ucarps.discard(heard.source)
        was_master = self._state.role is RoleName.MASTER
        self._do(Hear(heard), at)
        self._news.set()
        if self._state.role is RoleName.MASTER:
            self._owes_word = False
            if was_master:
                # One that resigns has been a second master, too.
                self.on_rival()
            return
        if self._hands.is_master and self._state.master is not None and not self._state.is_silent:
            # An earlier vipd's role, and somebody else has taken it over.
            self._become(RoleName.BACKUP, f"{heard.source} speaks with advskew {heard.advskew}")
            self._owes_word = True
        if self._owes_word and self._state.master is not None and not self._state.is_silent:
            # It let go without a word, and until then its kernel may have drawn clients to this
            # host: who serves announces again when it hears this.
            self._owes_word = False
            self._mouth.resign()
        self._nudge(heard.source, at)

    def _nudge(self, source: str, at: float) -> None:
        """Have a ucarp that is MASTER, and draws counters at random, count on from ours."""
        master = self._state.master
        if self._state.role is RoleName.MASTER or master is None or master.is_native:
            return
        if master.source == source and self._sources.nudge_due(at):
            self._mouth.nudge()

    def _stalled(self, gap_s: float) -> None:
        was_master = self._state.role is RoleName.MASTER
        silent_s = max(gap_s, self._clock() - self._mouth.left_at)
        if self._state.may_speak and silent_s < self._p.group.dead_time_s:
            return  # nobody has waited long enough
        if was_master or gap_s >= _TOLD_GAP_S:
            text = f"vipd did not run for {gap_s:.2f} s"
            end = ": this node steps back and listens" if was_master else ""
            self._p.journal.note("carp", text + end, gap_s=gap_s, vhid=self._p.group.vhid)
        self._owes_word = self._owes_word or was_master
        self._do(Stalled())

    def _successor(self, since: float) -> Peer | None:
        master, at = self._state.master, self._state.heard_at
        if master is None or at <= since:
            return None
        return Peer(master.source, master.advbase, master.advskew, at)

    def _doubt(self) -> str:
        """Why the role on record may not hold; empty: nothing speaks against it."""
        if self._state.role is not RoleName.MASTER:
            return "vipd has just started, and listens first"
        silent_s = self._clock() - self._mouth.left_at
        if not self._state.is_silent and silent_s > self.dead_time_s:
            return f"no advertisement has left for {silent_s:.1f} s"
        return ""


def _nothing() -> None:
    """Nobody asked."""
