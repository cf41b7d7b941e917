"""
What the virtual addresses depend on, and how bad it is when some of it is missing.

Pure: program events and the clock go in, faults come out. A program that supervisord brings back
within the grace time is no fault, because a restart in place costs clients less than a move; one
that dies at once again, or keeps dying, is.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbctl.ha.ucarp import WORST_SEVERITY
from lbctl.programs import Program, ProgramEvent, ProgramState

#: A tracked program may be away this long, seconds: supervisord starts it again in a tenth of it.
GRACE_S = 0.4
#: This many deaths of one program within the window are a fault even if it is up in between.
CRASHES = 4
CRASH_WINDOW_S = 20.0
#: A fault is over when nothing was wrong for this long, seconds.
RECOVERY_S = 5.0

_UP = frozenset({ProgramState.STARTING, ProgramState.RUNNING})
_SEVERITY = {"haproxy": 12, "nginx": 6}
_SEVERITY_FATAL = 2
#: ucarp's own state is the election's business, not a fault of what it announces.
_IGNORED = frozenset({"ucarp"})


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One reason why another node would serve better.

    Attributes:
        what: a phrase: ``nginx is BACKOFF``.
        severity: 1..15; of two faulty nodes the one with the smaller sum serves.
    """

    what: str
    severity: int


def severity_of(faults: Iterable[Fault]) -> int:
    """The sum, bounded by 15: advskew 240 + severity must fit a byte."""
    return min(WORST_SEVERITY, sum(fault.severity for fault in faults))


class Tracker:
    """
    Faults of the tracked programs over time.

    Invariant: a fault appears once its cause has lasted for its grace time, and each goes, or
    becomes a lesser one, only after ``RECOVERY_S`` seconds without its cause: a program that comes
    and goes, beside others or alone, does not move the addresses to and fro.
    """

    def __init__(self, track: Iterable[str]) -> None:
        self._track = tuple(track)
        self._programs: dict[str, Program] = {}
        self._down_since: dict[str, float] = {}
        self._deaths: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=CRASHES))
        self._standing: dict[tuple[str, int], tuple[Fault, float]] = {}

    def reset(self, programs: Mapping[str, Program], now: float) -> None:
        """Start from what supervisord says now."""
        self._programs = dict(programs)
        self._note_items(now)

    def feed(self, event: ProgramEvent, now: float) -> None:
        """Take in one event."""
        if not event.program:
            return
        if event.state is ProgramState.EXITED and not event.expected:
            self._deaths[event.program].append(now)
        self._programs[event.program] = Program(
            event.program, event.group, event.state, event.pid, now
        )
        self._note_items(now)

    def faults(self, now: float) -> tuple[Fault, ...]:
        """What is wrong by now, worst first; ask again whenever time has passed."""
        for name, fault in self._causes(now):
            self._standing[name, fault.severity] = fault, now
        self._standing = {k: v for k, v in self._standing.items() if now - v[1] < RECOVERY_S}
        worst = {name: self._standing[name, s][0] for name, s in sorted(self._standing)}
        groups = {p.name: p.group for p in self._programs.values() if p.group != p.name}
        shown = (fault for name, fault in worst.items() if groups.get(name) not in worst)
        return tuple(sorted(shown, key=lambda fault: (-fault.severity, fault.what)))

    def is_up(self, item: str) -> bool:
        """Whether any program of *item* (a group or a program) runs."""
        return any(p.state in _UP for p in self._members(item))

    def _members(self, item: str) -> list[Program]:
        return [p for p in self._programs.values() if item in (p.group, p.name)]

    def _note_items(self, now: float) -> None:
        for item in self._track:
            if self.is_up(item):
                self._down_since.pop(item, None)
            else:
                self._down_since.setdefault(item, now)

    def _causes(self, now: float) -> Iterable[tuple[str, Fault]]:
        down = set()
        for item in self._track:
            if self._is_down(item, now):
                down.add(item)
                severity = _SEVERITY.get(item, 4)
                yield item, Fault(f"{item} is {self._worst_state(item)}", severity)
        for program in self._programs.values():
            if program.name in _IGNORED or program.group in down or program.name in down:
                continue
            if program.state is ProgramState.FATAL:
                yield program.name, Fault(f"{program.name} is FATAL", _SEVERITY_FATAL)
            elif self._keeps_dying(program, now):
                yield program.name, Fault(f"{program.name} keeps dying", _SEVERITY_FATAL)

    def _is_down(self, item: str, now: float) -> bool:
        since = self._down_since.get(item)
        if since is None:
            return False
        gave_up = (ProgramState.BACKOFF, ProgramState.FATAL)
        members = self._members(item)
        return now - since >= GRACE_S or (
            bool(members) and all(p.state in gave_up for p in members)
        )

    def _worst_state(self, item: str) -> str:
        states = {p.state for p in self._members(item)}
        for state in (ProgramState.FATAL, ProgramState.BACKOFF, ProgramState.EXITED):
            if state in states:
                return state.value
        return "STOPPED" if states else "not there"

    def _keeps_dying(self, program: Program, now: float) -> bool:
        deaths = self._deaths[program.name]
        tracked = program.group in self._track or program.name in self._track
        return tracked and len(deaths) == CRASHES and now - deaths[0] <= CRASH_WINDOW_S
