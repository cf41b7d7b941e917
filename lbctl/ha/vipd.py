"""
vipd: the only process that touches addresses.

It takes the role from the hooks, renews the lease on evidence, watches what the addresses depend
on, and leaves on purpose when there is a reason. Its parts are pure or small: :mod:`lease` judges,
:mod:`track` finds faults, :mod:`keeper` holds addresses, :mod:`hearing` listens to CARP,
:mod:`leave` moves the addresses; here they are put together and given a clock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from lbctl.errors import NetlinkError, NotMasterError, SupervisorError
from lbctl.ha import serving
from lbctl.ha.door import Answer
from lbctl.ha.hookwatch import HookWatch
from lbctl.ha.lease import RENEW_S, Evidence, Verdict, verdict
from lbctl.ha.leave import RESIGNATIONS, Report, leave
from lbctl.ha.role import Role, RoleName
from lbctl.ha.scene import HostScene, Parts
from lbctl.ha.ucarp import FAULTY_ADVSKEW, PROGRAM, process_facts
from lbctl.programs import Program, ProgramEvent, ProgramEvents, ProgramState

log = logging.getLogger(__name__)

#: A node that cannot serve within this time speaks all the same, as a faulty one.
FIRST_SERVE_S = 15.0


class Vipd:
    """The life of the process; every method runs on one event loop."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts
        self._moving = asyncio.Lock()
        self._scene = HostScene(parts)
        self._stopping = False
        self._speaks = False
        self.link_up = True
        self._hooks = HookWatch(parts)
        self._resigning: asyncio.Task[None] | None = None
        self._born = time.monotonic()
        self.finished = asyncio.Event()

    @property
    def is_master(self) -> bool:
        return self._p.keeper.role.name is RoleName.MASTER

    # What others ask.

    async def on_role(self, word: Mapping[str, Any]) -> Answer:
        """A hook's word: act on it, then answer."""
        name = RoleName(word["role"])
        # supervisord knows the speaker; the hook knows its parent, which may be somebody's shell.
        pid = self._p.speaker.pid or int(word["ucarp_pid"])
        if name is RoleName.MASTER and (self._stopping or self._moving.locked()):
            return {"ok": False, "error": "this node is leaving", "code": 15}
        facts = process_facts(pid)
        role = Role(
            name,
            at_ns=int(word["at_ns"]),
            since=time.time(),
            ucarp_pid=pid,
            ucarp_start=facts.start if facts else 0,
            why=self._p.hearing.reason(name),
        )
        self._scene.hold_on_until = 0.0
        gives_way = self.is_master and name is RoleName.BACKUP
        if gives_way:
            self._scene.destroy()
        try:
            self._p.keeper.take(role)
        except NetlinkError as error:
            self._p.worth.own_fault("addresses", f"addresses cannot be set: {error}", 14)
            raise
        if gives_way:
            # The winner may never have heard this node; now it has, and announces itself again.
            self._scene.resign()
        return {"ok": True}

    def heard(self, at: float) -> None:
        """Something was captured at *at*: a second master, perhaps."""
        peer = self._p.hearing.peer
        if self.is_master and not self._moving.locked() and peer is not None and peer.seen == at:
            self.renew()
            self._p.keeper.announce_now()

    async def on_status(self, _word: Mapping[str, Any]) -> Answer:
        """Everything about role, lease and speaker."""
        keeper, speaker, hearing = self._p.keeper, self._p.speaker, self._p.hearing
        group, role = self._p.group, self._p.keeper.role
        status = {
            "role": role.name,
            "since": role.since,
            "why": role.why,
            "engine": group.engine,
            "vhid": group.vhid,
            "interface": group.interface,
            "source": group.source,
            "addresses": [
                {"address": a, "present": there, "lease_s": lease}
                for a, there, lease in keeper.held()
            ],
            "faults": [fault.what for fault in self._p.worth.faults],
            "severity": self._p.worth.severity,
            "advskew": speaker.advskew,
            "ucarp_pid": speaker.pid,
            "link_up": self.link_up,
            "peer": hearing.peer_as_dict(),
            "refused": dict(hearing.refused),
            "foreign": hearing.foreign_as_list(),
            "transitions": keeper.transitions,
        }
        return {"ok": True, "status": status}

    async def on_handover(self, word: Mapping[str, Any]) -> Answer:
        """Move the addresses to the peer, because an operator wants it."""
        if not self.is_master:
            message = f"this node is {self._p.keeper.role.name}: nothing to hand over"
            raise NotMasterError(message)
        if self._moving.locked():
            return {"ok": False, "code": 14, "error": "the addresses are being moved already"}
        must = bool(word.get("force", False))
        report = await self.leave("handover", must=must, yields=True)
        if not report.left:
            error = f"{report.sentence()}; --force gives them away all the same"
            return {"ok": False, "code": 14, "error": error, "report": report.as_dict()}
        return {"ok": True, "report": report.as_dict(), "text": report.sentence()}

    async def on_watch(self, word: Mapping[str, Any]) -> AsyncIterator[Answer]:
        """The journal as it grows."""
        async for event in self._p.journal.watch(int(word.get("since", 0))):
            yield {"event": event.as_dict()}

    # What goes on by itself.

    async def first_words(self) -> None:
        """Start to speak once this node serves; after a long wait, as a faulty one."""
        if await self._speaks_already():
            # Under an earlier vipd: judged from the next turn on.
            return
        deadline = time.monotonic() + FIRST_SERVE_S
        while lacking := await serving.missing(self._p.spec, self._p.run, self._p.group.track):
            if time.monotonic() > deadline:
                text = f"no answer from {', '.join(lacking)}"
                self._p.journal.note("fault", text, lacking=lacking)
                self._p.worth.own_fault("serving", f"{lacking[0]} does not answer", 12)
                break
            await asyncio.sleep(0.02)
        self._speaks = True
        self._p.worth.judge()
        if self.link_up:
            await self._p.speaker.start()

    async def _speaks_already(self) -> bool:
        self._speaks = bool((await self._states())[PROGRAM].pid)
        return self._speaks

    async def _states(self) -> Mapping[str, Program]:
        """What supervisord says, however long it takes to say it."""
        while True:
            try:
                return await self._p.programs.states()
            except SupervisorError as error:
                log.warning("%s; next try in a second", error)
                await asyncio.sleep(1.0)

    async def tick_forever(self) -> None:
        """Renew, judge, look for what hangs; once a second."""
        while not self.finished.is_set():
            await self.tick()
            await asyncio.sleep(min(RENEW_S, max(0.05, self._p.keeper.announce_in_s())))

    async def tick(self) -> None:
        """One turn."""
        self._look_at_speaker()
        self.renew()
        self._hooks.look()
        await self.judge()

    def renew(self) -> None:
        """Renew the lease, or not, on the evidence there is."""
        keeper = self._p.keeper
        if keeper.role.name is RoleName.INIT:
            # Nothing is held before ucarp runs, and a first look at addresses would hold that up.
            return
        what, doubt = verdict(keeper.role, self._evidence(), self._patience_s())
        try:
            if what is Verdict.DROP and self._moving.locked():
                # The leaving under way drops them itself, once and in its order.
                return
            if what is Verdict.DROP and keeper.role.name is RoleName.MASTER:
                self._scene.destroy()
                self._give_up(doubt)
                return
            keeper.tend(what, doubt)
            if what is Verdict.KEEP and not any(there for _, there, _ in keeper.held()):
                self._give_up(f"{doubt}; the lease has run out")
        except NetlinkError as error:
            log.warning("addresses are not as they should be: %s; next try in a second", error)

    async def follow(self, events: ProgramEvents) -> None:
        """Take in what supervisord says, for ever."""
        states = await self._states()
        self._p.tracker.reset(states, time.monotonic())
        if PROGRAM in states:
            self._p.speaker.pid = states[PROGRAM].pid
            self._begin_as_backup()
        async for event in events:
            await self._on_event(event)

    async def look_again(self, link_up: bool) -> None:
        """The kernel says that links or addresses changed."""
        if link_up != self.link_up:
            self.link_up = link_up
            await self._on_link(link_up)
        try:
            self._p.keeper.mend()
        except NetlinkError as error:
            log.warning("addresses cannot be mended: %s; next try in a second", error)

    async def judge(self) -> None:
        """Compare faults with the advskew ucarp speaks with; demote or restore."""
        if self._stopping or not self._speaks or self._moving.locked() or not self.link_up:
            return
        was, now = self._p.speaker.advskew, self._p.worth.judge()
        if was == now:
            return
        if self.is_master and now >= FAULTY_ADVSKEW > was:
            report = await self.leave(f"fault: {self._p.worth.faults[0].what}", must=False)
            if report.left:
                return
        elif self._p.hearing.own_age_s() < self._patience_s() and not self.is_master:
            self._resigning = asyncio.create_task(self._scene.resign_until_heard())
        await self._restart_speaker()

    async def leave(self, why: str, *, must: bool, yields: bool = False) -> Report:
        """
        Move the addresses to the peer; see :mod:`lbctl.ha.leave`.

        A node that *yields* does not take them back by a better advskew. One that left because of
        a fault does, once it is healed: different values ask for that.
        """
        async with self._moving:
            self._scene.yields = yields
            serves = self._p.tracker.is_up("haproxy")
            drain_s = self._p.group.drain_s if serves else 0.0
            report = await leave(self._scene, why, drain_s=drain_s, must=must)
        self._p.journal.note("handover", report.sentence(), **report.as_dict())
        return report

    async def stop(self, why: str) -> None:
        """The bundle stops: leave if there is something to leave, end the speaker."""
        self._stopping = True
        if self.is_master:
            await self.leave(why, must=True)
        else:
            self._p.speaker.end()
        self.renew()

    def abandon(self) -> None:
        """supervisord is gone and everything with it: resign and let go at once."""
        self._stopping = True
        self._p.speaker.end()
        if self.is_master:
            self._scene.resign()
            self._scene.destroy()
            self._scene.addresses_off("supervisord is gone")

    # Inside.

    async def _on_event(self, event: ProgramEvent) -> None:
        if event.is_bundle_stopping:
            await self.stop("stopping")
            return
        self._p.tracker.feed(event, time.monotonic())
        if event.program == PROGRAM:
            await self._on_speaker(event)
        await self.judge()

    async def _on_speaker(self, event: ProgramEvent) -> None:
        if event.state in (ProgramState.STARTING, ProgramState.RUNNING):
            # Only RUNNING brings the pid, a second later than it may be needed.
            self._p.speaker.pid = event.pid or (await self._states())[PROGRAM].pid
            self._begin_as_backup()
        elif event.state is not ProgramState.STOPPING:
            if self._p.speaker.pid and not self._p.speaker.ended_on_purpose:
                self._p.journal.note("ucarp", "ucarp ended; supervisord starts it again")
                self._renew_once_more()
            self._p.speaker.pid = 0
            self._p.speaker.ended_on_purpose = False

    def _renew_once_more(self) -> None:
        try:
            self._p.keeper.renew_once_more()
        except NetlinkError as error:
            log.warning("addresses are not as they should be: %s; next try in a second", error)

    def _begin_as_backup(self) -> None:
        """The first ucarp listens as BACKUP, and with ``--neutral`` no hook says so."""
        if not self._p.speaker.pid or self._p.keeper.role.name is not RoleName.INIT:
            return
        self._scene.addresses_off("ucarp listens")

    async def _on_link(self, link_up: bool) -> None:
        name = self._p.group.interface
        if link_up:
            self._p.journal.note("link", f"{name} is up again: ucarp starts afresh")
            await self._p.speaker.start()
            return
        self._p.journal.note("link", f"{name} is down: this node gives way")
        await self._p.speaker.stop()
        if self.is_master:
            self._scene.destroy()
            self._scene.addresses_off(f"{name} is down")

    def _look_at_speaker(self) -> None:
        """A stopped ucarp is as good as dead, and the peer need not wait for the dead time."""
        facts = self._p.speaker.facts()
        if facts is None or not facts.is_stopped or self._moving.locked():
            return
        self._p.journal.note("ucarp", "ucarp was stopped: ended; supervisord starts it again")
        if self.is_master:
            for _ in range(RESIGNATIONS):
                self._scene.resign()
        self._p.speaker.end()

    async def _restart_speaker(self) -> None:
        if self.is_master:
            dead_time_s = self._p.group.dead_time_with(self._p.speaker.advskew)
            self._scene.hold_on_until = time.monotonic() + dead_time_s + 2.0
        self._p.speaker.end()
        await self._p.speaker.start()

    def _give_up(self, why: str) -> None:
        """BACKUP on the evidence: a speaker that is still there would wake up as MASTER."""
        if self._p.speaker.pid == self._p.keeper.role.ucarp_pid:
            self._p.speaker.end()
        self._scene.addresses_off(why)

    def _evidence(self) -> Evidence:
        now, role = time.monotonic(), self._p.keeper.role
        hearing, peer = self._p.hearing, self._p.hearing.peer
        last_word = max(hearing.own_seen, role.at_ns / 1e9, self._born)
        return Evidence(
            process=process_facts(role.ucarp_pid) if role.ucarp_pid else None,
            silent_s=now - last_word,
            peer_speaks=peer is not None and not peer.is_leaving and peer.seen > last_word,
            on_purpose=now < self._scene.hold_on_until,
        )

    def _patience_s(self) -> float:
        return 2.0 * self._p.group.advbase_s + self._p.speaker.advskew / 256 + 0.5
