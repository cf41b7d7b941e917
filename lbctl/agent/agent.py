"""
The agent: knows what runs, starts again what hangs or was given up, and remembers what happened.

Several loops over one program table and one event log. It has HAProxy follow what is wanted, and
touches no address and no file of others; what it cannot reach it says and tries again. A loop that
ends with an error ends the process: supervisord starts it again, and the log tells it where it was.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lbctl.agent.changes import changes
from lbctl.agent.eventlog import Event, EventLog
from lbctl.agent.finder import PROGRAM
from lbctl.agent.hang import HangWatch
from lbctl.agent.health import HealthChecks
from lbctl.agent.hooks import HookRunner
from lbctl.agent.hostnames import HostsFollower
from lbctl.agent.inputs import Inputs
from lbctl.agent.ledger import Book
from lbctl.agent.nameserver import Nameserver
from lbctl.agent.registration import Registration
from lbctl.agent.sampler import Sampler, servers_in
from lbctl.agent.sources import Sources
from lbctl.agent.table import Note, ProgramTable
from lbctl.agent.tasks import Tasks
from lbctl.agent.traffic import Traffic
from lbctl.agent.vipd import VipdClient
from lbctl.errors import SupervisorError, UnreachableError, VipdError
from lbctl.follow.follower import Follower
from lbctl.follow.host import HostWorld
from lbctl.follow.overrides import Overrides
from lbctl.layout import RunDir, StateDir
from lbctl.model.names import backend_name
from lbctl.programs import ProgramEvents, Programs, ProgramState
from lbctl.spec import BundleSpec, read_spec

log = logging.getLogger(__name__)

PROBE_EVERY_S = 1.0
REVIVE_EVERY_S = 5.0
SYNC_EVERY_S = 10.0
#: supervisord tells of a start before it has a pid; events come in bursts.
SYNC_AFTER_S = 0.05
WATCH_AGAIN_S = 0.5
#: An agent that comes back says of no source that it was never heard before the program discovery
#: has told what it knows, unless that says nothing for so long, seconds.
PATIENCE_S = 5.0
#: More than vipd keeps: what it tells again after a reconnect is known.
VIPD_EVENTS_KNOWN = 1024


class Agent:
    """The life of the process; everything on one event loop."""

    def __init__(self, spec: BundleSpec, run: RunDir, programs: Programs, events: EventLog) -> None:
        self.spec = spec
        self.run_dir = run
        self.events = events
        self.vipd = VipdClient(run.vipd_socket) if spec.group else None
        restarts = _restarts(events.since(0), spec.started_at)
        self.table = ProgramTable(spec.programs, restarts=restarts)
        self.hang = HangWatch(spec, run, self.table, programs, self.note)
        self._hooks = HookRunner(spec, self.vipd, self.note) if self.vipd else None
        state = StateDir(Path(spec.state_dir))
        overrides = Overrides(state.server_states)
        self.world = HostWorld(spec, run, programs)
        self.follower = Follower(self.world, overrides, backend_name, self.note)
        self._tasks = Tasks(run, programs)
        wait_s = PATIENCE_S if self._is_back() else 0.0
        self.sources = Sources(run, state, programs, self.follower, self.note, patience_s=wait_s)
        self.inputs = Inputs(
            spec, run, self.table, self._tasks, self.follower, self.note, self._renew, self.sources
        )
        self.registration = Registration(run, self.sources, self.follower)
        nameserver = Nameserver(spec, programs)
        self._hosts = HostsFollower(self.follower, self.sources, self.note, nameserver)
        self._hosts.reload = self.inputs.load_anew
        self.checks = HealthChecks(
            spec,
            self.vipd,
            self.note,
            is_stopping=lambda: self.table.is_stopping,
            discovery=self.sources.standing,
        )
        self.sources.on_standing = self.checks.on_discovery
        self.sampler = Sampler(spec.processes, partial(servers_in, self.follower.applier.fleet))
        self.traffic = Traffic(spec.processes)
        self.book = Book(state, events)
        self.stats_turn = asyncio.Lock()
        self.trouble: dict[str, str] = {}
        self._programs = programs
        self._sync_wanted = asyncio.Event()
        self._vipd_known = deque(_vipd_keys(events.since(0)), maxlen=VIPD_EVENTS_KNOWN)

    async def live(self, program_events: ProgramEvents) -> None:
        """Run all loops until supervisord closes the stream of events."""
        self._say_what_starts()
        if self._hooks is not None:
            self._hooks.resume(self.events.since(0))
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(loop)
                for loop in (
                    self._sync_forever(),
                    self._probe_forever(),
                    self._revive_forever(),
                    self._copy_vipd_events(),
                    self.checks.run(),
                    self.follower.run(),
                    self.sources.run(),
                    self.inputs.run(),
                    self._hosts.run(),
                    self.traffic.run(),
                    *([self._hooks.run()] if self._hooks else []),
                )
            ]
            await self._follow(program_events)
            for loop in loops:
                loop.cancel()

    def _say_what_starts(self) -> None:
        """Once in the life of a bundle, not in each of this process."""
        spec = self.spec
        if self._is_back():
            return
        held = f", vhid {spec.group.vhid}: {', '.join(spec.group.addresses)}" if spec.group else ""
        text = (
            f"lbctl {spec.version} starts: HAProxy {spec.haproxy_version}, "
            f"{len(spec.processes)} process(es){held}"
        )
        self.note("bundle", text, {"version": spec.version, "hostname": spec.hostname})
        self._say_what_changed()

    def _is_back(self) -> bool:
        """Whether an agent has lived before in this life of the bundle."""
        return any(event.at >= self.spec.started_at for event in self.events.since(0))

    def _say_what_changed(self) -> None:
        recorded = self.events.newest("config")
        found = changes(recorded.fields if recorded else None, self.spec)
        if found is not None:
            self.note("config", *found)

    def _renew(self) -> None:
        """The operator's files were read again: what the hosts compare is another."""
        try:
            now = read_spec(self.run_dir.spec)
        except UnreachableError as error:
            log.warning("%s; the digests shown are the old ones", error)
            return
        self.spec = replace(self.spec, digests=now.digests, binds=now.binds)
        self._say_what_changed()

    def note(self, kind: str, text: str, fields: Mapping[str, Any]) -> None:
        """Record an event and log it."""
        self.events.append(kind, text, fields)
        extra = {"kind": kind, "text": text, "fields": fields}
        log.info("%s: %s", kind, text, extra=extra)

    def _note_programs(self, notes: Iterable[Note]) -> None:
        for note in notes:
            self.note(note.kind, note.text, note.fields)

    async def _follow(self, program_events: ProgramEvents) -> None:
        async for event in program_events:
            self._tasks.on_event(event)
            if event.state in (ProgramState.STARTING, ProgramState.RUNNING):
                self.follower.process_restarted(event.program)
                self._hosts.wake()
            note = self.table.apply(event)
            if note is not None:
                self._note_programs([note])
            if event.state is ProgramState.EXITED and not self.table.is_stopping:
                self.hang.on_death(event.program)
            self._sync_wanted.set()

    async def _sync_forever(self) -> None:
        is_warned = False
        while True:
            self._sync_wanted.clear()
            try:
                self._note_programs(self.table.sync(await self._programs.states()))
                is_warned = False
            except SupervisorError as error:
                # Asked while it shuts down, supervisord refuses.
                if not is_warned and not self.table.is_stopping:
                    log.warning("the states of the programs are unknown: %s; trying on", error)
                is_warned = True
            try:
                async with asyncio.timeout(SYNC_EVERY_S):
                    await self._sync_wanted.wait()
                await asyncio.sleep(SYNC_AFTER_S)
            except TimeoutError:
                continue

    async def _probe_forever(self) -> None:
        while True:
            began = time.monotonic()
            if not self.table.is_stopping:
                await self.hang.turn()
            await asyncio.sleep(max(0.0, began + PROBE_EVERY_S - time.monotonic()))

    async def _revive_forever(self) -> None:
        while True:
            await asyncio.sleep(REVIVE_EVERY_S)
            for program in () if self.table.is_stopping else self.table.failed():
                if program == PROGRAM and not self.sources.finder.is_wanted:
                    continue
                try:
                    await self._programs.start(program)
                except SupervisorError as error:
                    # Told once, as an event, when supervisord gave it up.
                    log.debug("%s does not start: %s", program, error)
                self._sync_wanted.set()

    async def _copy_vipd_events(self) -> None:
        if self.vipd is None:
            return
        while True:
            try:
                async with aclosing(self.vipd.watch()) as told:
                    async for raw in told:
                        self._copy(raw)
            except VipdError as error:
                log.debug("no events from vipd: %s", error)
            await asyncio.sleep(WATCH_AGAIN_S)

    def _copy(self, raw: Mapping[str, Any]) -> None:
        """Record what vipd told, once; vipd has logged it itself, in the same words."""
        try:
            vipd_id, at = int(raw["id"]), float(raw["at"])
            kind, text, fields = str(raw["kind"]), str(raw["text"]), dict(raw.get("fields", {}))
        except (KeyError, TypeError, ValueError) as error:
            log.warning("vipd told of an event that is none: %r; going on", error)
            return
        # Its ids begin anew with each of its lives: id and time together are one event's own.
        if (vipd_id, at) not in self._vipd_known:
            self._vipd_known.append((vipd_id, at))
            copied = self.events.append(kind, text, {**fields, "vipd_id": vipd_id}, at)
            if self._hooks is not None:
                self._hooks.offer(copied)


def _restarts(events: Iterable[Event], since: float) -> dict[str, int]:
    """Restarts by program in this life of the bundle, as far as an earlier agent knew."""
    known: dict[str, int] = {}
    for event in events:
        program, count = event.fields.get("program"), event.fields.get("restarts")
        if event.at >= since and isinstance(program, str) and isinstance(count, int):
            known[program] = max(count, known.get(program, 0))
    return known


def _vipd_keys(events: Iterable[Event]) -> Iterable[tuple[int, float]]:
    return ((e.fields["vipd_id"], e.at) for e in events if "vipd_id" in e.fields)
