"""
The engine ``ucarp``: ucarp decides, its hooks tell vipd, and vipd watches both.

ucarp is run by supervisord. It has no way to be told anything while it runs: another advskew is a
restart, silence is SIGSTOP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from lbctl.errors import EXIT_NOT_MASTER
from lbctl.ha import capture
from lbctl.ha.engine import Parts, Peer, found
from lbctl.ha.hands import Hands
from lbctl.ha.hearing import Hearing
from lbctl.ha.hookwatch import HookWatch
from lbctl.ha.keeper import tried_again
from lbctl.ha.lease import Evidence, Verdict, verdict
from lbctl.ha.leave import RESIGNATION_GAP_S, RESIGNATIONS
from lbctl.ha.role import Role, RoleName
from lbctl.ha.speaker import Speaker
from lbctl.ha.ucarp import PROGRAM, process_facts
from lbctl.programs import Program, ProgramEvent, ProgramState

#: Shorter than any ucarp's dead time: by then this node's own may be MASTER again.
RESIGN_FOR_S = 2.5
RESIGN_EVERY_S = 0.4
#: What a restarted ucarp needs beyond its dead time.
_RESTART_S = 2.0
#: A master's word may be so late, seconds.
_HEARD_S = 0.5

UNPROTECTED = (
    "ucarp believes a captured packet again, with any interval: a stranger in this network segment "
    "can force a take-over; the native engine on both nodes does not"
)


class UcarpEngine:
    """See :class:`lbctl.ha.engine.Engine`."""

    resignation_gap_s = RESIGNATION_GAP_S

    def __init__(self, parts: Parts, hands: Hands, speaker: Speaker, hearing: Hearing) -> None:
        self._p = parts
        self._hands = hands
        self._speaker = speaker
        self._hearing = hearing
        self.strangers = hearing.strangers
        self._hooks = HookWatch(parts, speaker, hearing)
        self._news = asyncio.Event()
        self._resigning: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._hold_on_until = 0.0
        self._silenced = 0
        self._is_paused = False
        self._is_wanted = False
        self._born = time.monotonic()
        self.on_rival: Callable[[], None] = _nothing

    @property
    def advskew(self) -> int:
        return self._speaker.advskew

    @property
    def dead_time_s(self) -> float:
        return self._p.group.dead_time_with(self.advskew)

    @property
    def position(self) -> int:
        return 0

    # Its life.

    def open(self) -> None:
        ears = capture.open_capture(self._p.group.interface)

        def hear() -> None:
            for seen in capture.read_all(ears):
                self._hearing.hear(seen)
                self._heard(seen.at)

        asyncio.get_running_loop().add_reader(ears, hear)

    def speaks_already(self, programs: Mapping[str, Program]) -> bool:
        self._speaker.pid = programs[PROGRAM].pid if PROGRAM in programs else 0
        self._begin_as_backup()
        self._is_wanted = bool(self._speaker.pid)
        return self._is_wanted

    async def start(self) -> None:
        self._is_wanted = True
        if self._is_paused and not self._hands.is_master:
            # It could not but take over. Where nobody serves it shall.
            wait_s = self._p.group.interval_s + _HEARD_S
            if await self.successor(time.monotonic() - wait_s, wait_s) is not None:
                return
        await self._speaker.start()

    async def respeak(self) -> None:
        if self._hands.is_master:
            self._hold_on_until = time.monotonic() + self.dead_time_s + _RESTART_S
        elif self._hearing.own_age_s() < self._patience_s():
            self._resigning = asyncio.create_task(self._resign_until_heard())
        self._speaker.end()
        await self.start()

    async def on_program(self, event: ProgramEvent) -> None:
        if event.program != PROGRAM:
            return
        if event.state in (ProgramState.STARTING, ProgramState.RUNNING):
            self._speaker.pid = event.pid
            self._begin_as_backup()
        elif event.state is not ProgramState.STOPPING:
            if self._speaker.pid and not self._speaker.ended_on_purpose:
                self._p.journal.note("ucarp", "ucarp ended; supervisord starts it again")
                self._renew_once_more()
            self._speaker.pid = 0
            self._speaker.ended_on_purpose = False

    def greeted(self, source: str, *, is_native: bool, position: int, leads: int | None) -> None:
        """ucarp goes by what it hears of CARP alone."""

    async def on_link(self, is_up: bool) -> None:
        name = self._p.group.interface
        if is_up:
            await self.start()
            return
        self._is_wanted = False
        await self._speaker.stop()
        if self._hands.is_master:
            self._hands.destroy()
            self._hands.addresses_off(f"{name} is down")

    async def pause(self, on: bool) -> None:
        """A paused BACKUP does not listen: it could not but take over."""
        if self._is_paused == on:
            return
        self._is_paused = on
        if self._hands.is_master:
            return
        if on:
            await self._speaker.stop()
        elif self._is_wanted:
            await self._speaker.start()

    def look(self) -> None:
        """A stopped ucarp is as good as dead, and the peer need not wait for the dead time."""
        self._hooks.look()
        facts = self._speaker.facts()
        if facts is None or not facts.is_stopped or self._silenced:
            return
        self._p.journal.note("ucarp", "ucarp was stopped: ended; supervisord starts it again")
        if self._hands.is_master:
            for _ in range(RESIGNATIONS):
                self.resign()
        self._speaker.end()

    # Its word.

    async def on_role(self, word: Mapping[str, Any], *, may_lead: bool) -> dict[str, Any]:
        """A hook's word: act on it, then answer."""
        name = RoleName(word["role"])
        # supervisord knows the speaker; the hook knows its parent, which may be somebody's shell.
        pid = self._speaker.pid or int(word["ucarp_pid"])
        if name is RoleName.MASTER and not may_lead:
            return {"ok": False, "error": "this node is leaving", "code": EXIT_NOT_MASTER}
        facts = process_facts(pid)
        role = Role(
            name,
            at_ns=int(word["at_ns"]),
            since=time.time(),
            ucarp_pid=pid,
            ucarp_start=facts.start if facts else 0,
            why=self._hearing.reason(name),
        )
        self._hold_on_until = 0.0
        gives_way = self._hands.is_master and name is RoleName.BACKUP
        self._hands.become(role)
        if gives_way:
            # The winner may never have heard this node; now it has, and announces itself again.
            self.resign()
        return {"ok": True}

    def verdict(self) -> tuple[Verdict, str]:
        role = self._p.keeper.role
        last_word = max(self._hearing.own_seen, role.at_ns / 1e9, self._born)
        now, peer = time.monotonic(), self._hearing.peer
        evidence = Evidence(
            process=process_facts(role.ucarp_pid) if role.ucarp_pid else None,
            silent_s=now - last_word,
            peer_speaks=peer is not None and not peer.is_leaving and peer.seen > last_word,
            on_purpose=now < self._hold_on_until,
        )
        return verdict(role, evidence, self._patience_s())

    def give_up(self, why: str) -> None:
        """A speaker that is still there would wake up as MASTER."""
        if self._speaker.pid == self._p.keeper.role.ucarp_pid:
            self._speaker.end()
        self._hands.addresses_off(why)

    # Leaving.

    def silence(self) -> None:
        self._silenced = self._speaker.pid
        self._speaker.silence()
        self._hold_on_until = time.monotonic() + self._p.group.dead_time_s

    def resume(self) -> None:
        self._speaker.resume()
        self._silenced = 0

    def resign(self) -> None:
        self._hearing.resign()

    async def successor(self, since: float, within_s: float) -> Peer | None:
        return await found(lambda: self._master_since(since), self._news, within_s)

    def end(self) -> None:
        # One that was started meanwhile listens already, and would lose that time.
        if self._speaker.pid == self._silenced:
            self._speaker.end()
        self._silenced = 0
        self._hold_on_until = 0.0

    def stop(self) -> None:
        self._speaker.end()

    # For status.

    def as_dict(self) -> dict[str, Any]:
        hearing = self._hearing
        return {
            "advskew": self.advskew,
            "ucarp_pid": self._speaker.pid,
            "interval_ms": round(self._p.group.interval_s * 1000),
            "dead_time_s": round(self.dead_time_s, 3),
            "peer": hearing.peer_as_dict(),
            "refused": dict(hearing.refused),
            "foreign": hearing.foreign_as_list(),
        }

    def protection(self) -> str:
        return UNPROTECTED

    # Inside.

    def _heard(self, at: float) -> None:
        self._news.set()
        peer = self._hearing.peer
        if peer is None or peer.seen != at:
            return
        if self._hands.is_master:
            self.on_rival()
        elif self._is_paused and self._is_wanted and peer.is_leaving and not self._speaker.pid:
            # Somebody has asked for it, or stops his node: a pause is no reason to serve nowhere.
            self._starting = asyncio.create_task(self._speaker.start())

    def _begin_as_backup(self) -> None:
        """The first ucarp listens as BACKUP, and with ``--neutral`` no hook says so."""
        if self._speaker.pid and self._p.keeper.role.name is RoleName.INIT:
            self._hands.addresses_off("ucarp listens")

    def _renew_once_more(self) -> None:
        with tried_again():
            self._p.keeper.renew_once_more()

    async def _resign_until_heard(self) -> None:
        """A peer whose ucarp is just starting does not hear the first resignation."""
        began = time.monotonic()
        while time.monotonic() - began < RESIGN_FOR_S and self._master_since(began) is None:
            self.resign()
            await asyncio.sleep(RESIGN_EVERY_S)

    def _master_since(self, since: float) -> Peer | None:
        peer = self._hearing.peer
        return None if peer is None or peer.is_leaving or peer.seen <= since else peer

    def _patience_s(self) -> float:
        return 2.0 * self._p.group.advbase_s + self.advskew / 256 + 0.5


def _nothing() -> None:
    """Nobody asked."""
