"""
Every supervised program as the agent knows it, and what is worth telling about its changes.

Pure: supervisord's answers and events go in, notes come out. Tasks are not in it: that they end is
as it should be. An event names no pid before the program is RUNNING, so the table is also given
supervisord's full answer soon after each event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.programs import Program, ProgramEvent, ProgramState
from lbctl.spec import ON_DEMAND, TASKS

_ALIVE = frozenset({ProgramState.STARTING, ProgramState.RUNNING, ProgramState.STOPPING})
#: STARTING after one of these is a restart; after STOPPED somebody asked for it.
_FALLEN = frozenset({ProgramState.EXITED, ProgramState.BACKOFF, ProgramState.FATAL})


@dataclass(slots=True)
class Row:
    """
    One program.

    Attributes:
        since: wall clock, seconds, when it entered its state; for display.
        started: the clock of the table, when its process started; None when none runs.
        restarts: how often it was started again without being asked.
        troubled: it fell and was not RUNNING since: told once, not for every attempt.
        given_up: it was FATAL and was not RUNNING since: told once.
    """

    name: str
    group: str
    state: ProgramState = ProgramState.UNKNOWN
    pid: int = 0
    since: float = 0.0
    started: float | None = None
    restarts: int = 0
    troubled: bool = False
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A change worth an entry in the event log."""

    text: str
    fields: Mapping[str, Any]
    kind: str = "program"


class ProgramTable:
    """Rows by program name."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        restarts: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self.is_stopping = False
        known = restarts or {}
        self.rows = {name: Row(name, name, restarts=known.get(name, 0)) for name in names}

    def is_running(self, name: str) -> bool:
        """Whether supervisord holds it for RUNNING."""
        row = self.rows.get(name)
        return row is not None and row.state is ProgramState.RUNNING

    def uptime_s(self, name: str) -> float | None:
        """Seconds since its process started; None: no process."""
        row = self.rows.get(name)
        return None if row is None or row.started is None else self._clock() - row.started

    def failed(self) -> tuple[str, ...]:
        """Those that supervisord gave up."""
        return tuple(row.name for row in self.rows.values() if row.state is ProgramState.FATAL)

    def sync(self, states: Mapping[str, Program]) -> tuple[Note, ...]:
        """Take in supervisord's answer about all programs; notes on those found FATAL."""
        notes = []
        for name, program in states.items():
            if name in TASKS or self._is_not_wanted(name, program.state):
                continue
            row = self.rows.setdefault(name, Row(name, program.group))
            row.group = program.group
            is_same_life = program.pid == row.pid and row.started is not None
            if program.state is not row.state or not is_same_life:
                row.since = program.since or self._wall()
            row.state, row.pid = program.state, program.pid
            if program.state not in _ALIVE:
                row.started = None
            elif not is_same_life and row.started is None:
                age_s = self._wall() - program.since if program.since else 0.0
                row.started = self._clock() - max(0.0, age_s)
            if (text := _given_up(row)) is not None:
                notes.append(_note(row, text, 0))
        return tuple(notes)

    def _is_not_wanted(self, name: str, state: ProgramState) -> bool:
        return name in ON_DEMAND and name not in self.rows and state is ProgramState.STOPPED

    def apply(self, event: ProgramEvent) -> Note | None:
        """Take in one event; the note says what an operator wants to know about it."""
        if event.is_bundle_stopping:
            self.is_stopping = True
            return Note("the bundle stops", {}, "bundle")
        if not event.program or event.program in TASKS:
            return None
        row = self.rows.setdefault(event.program, Row(event.program, event.group))
        pid = event.pid or row.pid
        self._enter(row, event)
        if self.is_stopping:
            return None
        text = _sentence(row, event, pid)
        return None if text is None else _note(row, text, pid)

    def _enter(self, row: Row, event: ProgramEvent) -> None:
        row.group = event.group
        row.since = self._wall()
        row.state = event.state
        if event.state is ProgramState.STARTING:
            row.restarts += event.was in _FALLEN
            row.pid, row.started = 0, self._clock()
        elif event.state in _ALIVE:
            row.pid = event.pid or row.pid
            row.started = self._clock() if row.started is None else row.started
        else:
            row.pid, row.started = 0, None


def _note(row: Row, text: str, pid: int) -> Note:
    fields = {
        "program": row.name,
        "group": row.group,
        "state": row.state.value,
        "pid": pid,
        "restarts": row.restarts,
    }
    return Note(text, fields)


def _sentence(row: Row, event: ProgramEvent, pid: int) -> str | None:
    """Words for a change, or None; one word for a series of failed attempts."""
    match event.state:
        case ProgramState.RUNNING if row.troubled:
            row.troubled = row.given_up = False
            return f"{row.name} runs again (pid {pid}, restarts so far: {row.restarts})"
        case ProgramState.EXITED:
            row.troubled = True
            # vipd ends ucarp to have it speak otherwise, and says itself when it did not.
            is_expected = event.expected or row.name == "ucarp"
            how = "ended" if is_expected else "ended unexpectedly"
            return f"{row.name} (pid {pid}) {how}: supervisord starts it again"
        case ProgramState.STOPPED:
            row.troubled = True
            return f"{row.name} (pid {pid}) was stopped"
        case ProgramState.BACKOFF if not row.troubled:
            row.troubled = True
            return f"{row.name} ended as soon as it was started: supervisord tries again"
    return _given_up(row)


def _given_up(row: Row) -> str | None:
    if row.state is not ProgramState.FATAL or row.given_up:
        return None
    row.troubled = row.given_up = True
    return f"{row.name} does not stay up, supervisord gave up: the agent tries again every 5 s"
