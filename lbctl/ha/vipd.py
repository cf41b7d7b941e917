"""
vipd: the only process that touches addresses.

One :class:`~lbctl.ha.life.Life` for each group of addresses; here is what they share: supervisord's
word, the faults, the links, the other nodes, and the door that others ask at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lbctl.errors import SupervisorError
from lbctl.ha import serving
from lbctl.ha.greeter import Greeter
from lbctl.ha.journal import Journal
from lbctl.ha.life import Life
from lbctl.ha.links import Sight, drop_from
from lbctl.ha.memory import SAVE_EVERY_S, Memory
from lbctl.ha.neighbour import FRESH_S, Neighbour
from lbctl.ha.pause import Pause, PauseWord
from lbctl.ha.pidfds import ProcessWatch
from lbctl.ha.role import RoleName
from lbctl.ha.strangers import BAD_DIGEST, OWN_SOURCE
from lbctl.ha.track import Tracker
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramEvent, ProgramEvents, Programs, ProgramState
from lbctl.spec import TASKS, BundleSpec

log = logging.getLogger(__name__)

#: A node that cannot serve within this time speaks all the same, as a faulty one.
FIRST_SERVE_S = 15.0
#: While every HAProxy process is dead the node counts as faulty for this long, seconds.
ALL_DEAD_S = 10.0
_HAPROXY = "haproxy"
_LOOK_EVERY_S = 1.0
_LAST_WORDS_S = 0.3
#: Kinds of events after which the other nodes should not wait for the next second's greeting.
_GREET_AFTER_S = 0.03
#: Greetings come once a second; one that is missing for this long was kept away by something.
_MISSED_S = 2.5
_TOLD_AT_ONCE = frozenset({"role", "fault", "pause"})


@dataclass(slots=True)
class Commons:
    """What all groups of the bundle share."""

    spec: BundleSpec
    run: RunDir
    programs: Programs
    tracker: Tracker
    journal: Journal
    pause: Pause
    memory: Memory | None
    scheduling: str = "normal"


class Surroundings:
    """The world beside a group, see :class:`lbctl.ha.life.Surroundings`."""

    def __init__(self, pause: Pause) -> None:
        self._pause = pause
        self.greeter: Greeter | None = None

    @property
    def is_paused(self) -> bool:
        return self._pause.is_on

    def may_take_over(self, vhid: int, advskew: int) -> bool:
        peers = () if self.greeter is None else self.greeter.peers()
        fresh = [peer for peer in peers if peer.is_fresh]
        # Greetings may be filtered out where CARP is not: in doubt ask.
        return (
            not fresh
            or self.is_known_healthy(vhid)
            or any(
                group.severity and group.advskew < advskew
                for peer in fresh
                if (group := peer.group(vhid)) is not None
            )
        )

    def is_other_master(self, vhid: int) -> bool:
        peers = () if self.greeter is None else self.greeter.peers()
        return any(
            time.monotonic() - peer.seen <= FRESH_S and group.role == RoleName.MASTER
            for peer in peers
            if (group := peer.group(vhid)) is not None
        )

    def is_known_healthy(self, vhid: int) -> bool:
        """Somebody has said of himself that he can serve, a moment ago."""
        return self.greeter is not None and self.greeter.healthy_peer(vhid)[0] is not None


class Vipd:
    """
    The life of the process; every method runs on one event loop.

    Attributes:
        lives: one for each group.
        finished: this process is to end.
        starts_afresh: and to be started again, since an interface was made anew.
    """

    def __init__(
        self, commons: Commons, lives: Sequence[Life], around: Surroundings, greeter: Greeter | None
    ) -> None:
        self._c = commons
        self._around = around
        self._greeter = greeter
        self._was_paused = commons.pause.is_on
        self._works: set[asyncio.Task[None]] = set()
        self._met: dict[str, Neighbour] = {}
        self._watch = ProcessWatch(self._on_death)
        self.lives = tuple(lives)
        self.finished = asyncio.Event()
        self.starts_afresh = False
        around.greeter = greeter
        if greeter is not None:
            greeter.on_pause = self._on_pause
            greeter.on_greeting = self._on_greeting
            commons.journal.on_note = self._on_note
            for life in self.lives:
                vhid = life.group.vhid
                life.engine.strangers.on_stranger = partial(self._on_stranger, greeter, vhid)

    @property
    def is_native(self) -> bool:
        return self.lives[0].group.is_native

    # What goes on by itself.

    async def first_words(self) -> None:
        """Start to speak once this node serves; after a long wait, as a faulty one."""
        states = await self._states()
        for life in self.lives:
            if self._c.pause.is_on:
                await life.engine.pause(True)
            if life.engine.speaks_already(states):
                life.goes_on()
                return
        deadline = time.monotonic() + FIRST_SERVE_S
        group = self.lives[0].group
        while lacking := await serving.missing(self._c.spec, self._c.run, group.track):
            if time.monotonic() > deadline:
                self._lacks(lacking)
                break
            await asyncio.sleep(0.02)
        for life in self.lives:
            await life.begin()

    async def look_forever(self) -> None:
        """Once a second: workers that reloads have made, a pause that has ended by itself."""
        while True:
            try:
                self._watch.refresh()
            except OSError as error:
                log.warning("watching processes: %s; supervisord's word comes later", error)
            await self.apply_pause()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def remember_forever(self) -> None:
        """Write down what a next life must know: now, and every minute."""
        memory = self._c.memory
        while memory is not None:
            await asyncio.to_thread(memory.write, memory.text())
            await asyncio.sleep(SAVE_EVERY_S)

    async def follow(self, events: ProgramEvents) -> None:
        """Take in what supervisord says, for ever."""
        states = await self._states()
        self._c.tracker.reset(states, time.monotonic())
        for program in states.values():
            self._follow_process(program.name, program.pid)
        async for event in events:
            await self._on_event(event)

    async def stop(self, why: str) -> None:
        """The bundle stops: leave what there is to leave, say nothing more."""
        await asyncio.gather(*(life.stop(why) for life in self.lives))

    async def last_words(self) -> None:
        """Whoever watches shall know how it ended, and the other nodes that it is no MASTER."""
        if self._greeter is not None:
            self._greeter.changed()
            self._greeter.turn()
        await self._c.journal.drained(_LAST_WORDS_S)

    def abandon(self) -> None:
        """supervisord is gone and everything with it."""
        for life in self.lives:
            life.abandon()

    def on_sight(self, sight: Sight, renamed_to: str) -> list[Coroutine[Any, Any, None]]:
        """
        An interface was looked at; what is to be done about it, beside what is done at once.

        Args:
            sight: what it looks like.
            renamed_to: where its addresses went.
        """
        self._c.tracker.link(sight.name, sight.is_up, time.monotonic())
        lives = [life for life in self.lives if life.group.interface == sight.name]
        if sight.is_anew and lives:
            log.error("%s: starting afresh on it", sight.what)
            self.starts_afresh = True
            self.finished.set()
        if renamed_to:
            for life in lives:
                drop_from(renamed_to, life.group.addresses)
        looks = [life.look_again(sight.is_up, sight.what) for life in lives]
        return looks or [self.judge()]

    def close(self) -> None:
        """This process ends."""
        if self._c.memory is not None:
            self._c.memory.write(self._c.memory.text(is_last=True))
        self._c.journal.tell()
        self._watch.close()

    def facts(self) -> Mapping[str, Any]:
        """What the other nodes are told."""
        pause = self._c.pause
        return {
            "engine": self.lives[0].group.engine,
            "groups": [life.greeting() for life in self.lives],
            "is_paused": pause.is_on,
            "pause": pause.word.as_dict(),
            "counters": {
                life.group.vhid: position
                for life in self.lives
                if (position := life.engine.position)
            },
        }

    # Inside.

    async def _states(self) -> Mapping[str, Program]:
        """What supervisord says, however long it takes to say it."""
        while True:
            try:
                return await self._c.programs.states()
            except SupervisorError as error:
                log.warning("%s; next try in a second", error)
                await asyncio.sleep(1.0)

    async def judge(self) -> None:
        await asyncio.gather(*(life.judge() for life in self.lives))

    async def _on_event(self, event: ProgramEvent) -> None:
        if event.is_bundle_stopping:
            await self.stop("stopping")
            return
        if event.program in TASKS:
            return
        self._c.tracker.feed(event, time.monotonic())
        if event.state in (ProgramState.STARTING, ProgramState.RUNNING):
            event = await self._with_pid(event)
            if event.pid:
                self._follow_process(event.program, event.pid)
        for life in self.lives:
            await life.engine.on_program(event)
        # Leaving takes its time, and the next event may be that the bundle stops.
        self.soon(self.judge())

    async def _with_pid(self, event: ProgramEvent) -> ProgramEvent:
        """Only RUNNING brings the pid, a second later than a death may come."""
        if event.pid:
            return event
        try:
            return replace(event, pid=(await self._c.programs.states())[event.program].pid)
        except (SupervisorError, KeyError):
            return event

    def _follow_process(self, program: str, pid: int) -> None:
        try:
            self._watch.follow(program, pid)
        except OSError as error:
            log.warning("watching %s: %s; supervisord's word comes later", program, error)

    def _on_death(self, program: str, pid: int) -> None:
        """The kernel's word, before supervisord's."""
        self._c.tracker.died(program, pid, time.monotonic())
        if not self.is_native or not self._c.tracker.all_dead(_HAPROXY):
            return
        for life in self.lives:
            # A client gets nothing here; where nobody else is healthy supervisord mends it here.
            if life.is_master and self._around.is_known_healthy(life.group.vhid):
                life.fault(_HAPROXY, "every HAProxy process has died", 12, ALL_DEAD_S)
        self.soon(self.judge())

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside what is being done."""
        task = asyncio.ensure_future(work)
        self._works.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._works.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("unexpected: %s; the next turn tries again", error, exc_info=error)

    def _lacks(self, lacking: Sequence[str]) -> None:
        text = f"no answer from {', '.join(lacking)}"
        self._c.journal.note("fault", text, lacking=list(lacking), faults=[text])
        for life in self.lives:
            life.fault("serving", f"{lacking[0]} does not answer", 12)

    async def apply_pause(self) -> None:
        now = self._c.pause.is_on
        if now == self._was_paused:
            return
        self._was_paused = now
        word = self._c.pause.word
        text = f"paused by {word.by}: {word.why}" if now else f"resumed: {_end_of(word)}"
        self._c.journal.note("pause", text, **word.as_dict())
        for life in self.lives:
            await life.engine.pause(now)
        await self.judge()
        if self._greeter is not None:
            self._greeter.changed()

    def _on_pause(self, word: PauseWord) -> None:
        """The other node's word."""
        self.soon(self._hear_pause(word))

    async def _hear_pause(self, word: PauseWord) -> None:
        await asyncio.to_thread(self._c.pause.hear, word)
        await self.apply_pause()

    def _on_greeting(self, neighbour: Neighbour) -> None:
        """Fresh: what it says of itself is so now."""
        if self._is_met_anew(neighbour):
            for life in self.lives:
                life.retell()
        here = self.lives[0].group.interface
        for life in self.lives:
            if life.group.interface == here:
                position = neighbour.counters.get(life.group.vhid, 0)
                is_native = neighbour.engine == "native"
                facts = neighbour.group(life.group.vhid)
                leads = facts.advskew if facts is not None and facts.role == "MASTER" else None
                life.engine.greeted(
                    neighbour.address, is_native=is_native, position=position, leads=leads
                )

    def _is_met_anew(self, neighbour: Neighbour) -> bool:
        known = self._met.get(neighbour.address)
        self._met[neighbour.address] = neighbour
        return (
            known is None
            or known.session != neighbour.session
            or neighbour.proven - known.proven > _MISSED_S
        )

    def _on_note(self, kind: str) -> None:
        if kind in _TOLD_AT_ONCE and self._greeter is not None:
            asyncio.get_running_loop().call_later(_GREET_AFTER_S, self._greeter.changed)

    @staticmethod
    def _on_stranger(greeter: Greeter, vhid: int, source: str, kind: str) -> None:
        if kind != OWN_SOURCE:
            greeter.carp_heard(source, "bad digest" if kind == BAD_DIGEST else kind, vhid)


def _end_of(word: PauseWord) -> str:
    return "its time was over" if word.is_on else f"by {word.by}"
