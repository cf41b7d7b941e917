"""
What the virtual addresses depend on, and how bad it is when some of it is missing.

Pure: program events, deaths, verdicts and the clock go in, faults come out. A program that
supervisord brings back within the grace time is no fault, because a restart in place costs clients
less than a move; one that dies at once again, or keeps dying, is. Checks are faults as soon as
:mod:`lbctl.ha.checks` says that they have failed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.ha.checks import Board
from lbctl.ha.ucarp import WORST_SEVERITY
from lbctl.programs import Program, ProgramEvent, ProgramState
from lbctl.spec import CheckSpec

#: A tracked program may be away this long, seconds: supervisord starts it again in a tenth of it.
GRACE_S = 0.4
#: This many deaths of one program within the window are a fault even if it is up in between.
CRASHES = 4
CRASH_WINDOW_S = 20.0
#: A fault is over when nothing was wrong for this long, seconds.
RECOVERY_S = 5.0
#: supervisord tells of each death too, milliseconds later. One that it does not know of after this
#: long was a worker's whose master goes on: whether that serves is for the agent to find out.
CONFIRM_S = 2.0

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
    Faults of the tracked programs and of the checks over time.

    Invariant: a fault appears once its cause has lasted for its grace time, and each goes, or
    becomes a lesser one, only after ``RECOVERY_S`` seconds without its cause: a program that comes
    and goes, beside others or alone, does not move the addresses to and fro.
    """

    def __init__(
        self, track: Iterable[str], checks: Iterable[CheckSpec] = (), grace_s: float = GRACE_S
    ) -> None:
        self._track = tuple(track)
        self._board = Board(checks)
        checked = (check.target for check in self._board.of_kind("program"))
        self._items = tuple(dict.fromkeys((*self._track, *checked)))
        self._grace_s = grace_s
        self._programs: dict[str, Program] = {}
        self._dead: dict[str, tuple[int, float]] = {}
        self._down_since: dict[str, float] = {}
        self._deaths: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=CRASHES))
        self._standing: dict[tuple[str, int], tuple[Fault, float]] = {}

    def reset(self, programs: Mapping[str, Program], now: float) -> None:
        """Start from what supervisord says now."""
        self._programs = dict(programs)
        self._dead.clear()
        self._note_items(now)

    def feed(self, event: ProgramEvent, now: float) -> None:
        """Take in one event."""
        if not event.program:
            return
        if event.state is ProgramState.EXITED and not event.expected:
            self._deaths[event.program].append(now)
        self._confirm(event)
        self._programs[event.program] = Program(
            event.program, event.group, event.state, event.pid, now
        )
        self._note_items(now)

    def died(self, program: str, pid: int, now: float) -> None:
        """The kernel says that *pid* of *program* is gone, which supervisord may not know yet."""
        known = self._programs.get(program)
        if known is not None and known.state in _UP:
            self._dead[program] = pid, now
            self._note_items(now)

    def verdict(self, name: str, is_well: bool, what: str, now: float) -> None:
        """The agent looked at the check *name*; rise and fall have been counted."""
        self._board.verdict(name, is_well, what, now)

    def link(self, interface: str, is_up: bool, now: float) -> None:
        """An interface has a link, or not; one that no check is about is ignored."""
        self._board.link(interface, is_up, now)

    def faults(self, now: float) -> tuple[Fault, ...]:
        """What is wrong by now, worst first; ask again whenever time has passed."""
        self._forget_unconfirmed(now)
        self._look_at_programs(now)
        for name, fault in self._causes(now):
            self._standing[name, fault.severity] = fault, now
        self._standing = {k: v for k, v in self._standing.items() if now - v[1] < RECOVERY_S}
        worst = {name: self._standing[name, s][0] for name, s in sorted(self._standing)}
        groups = {p.name: p.group for p in self._programs.values() if p.group != p.name}
        shown = (fault for name, fault in worst.items() if groups.get(name) not in worst)
        return tuple(sorted(shown, key=lambda fault: (-fault.severity, fault.what)))

    def is_up(self, item: str) -> bool:
        """Whether any program of *item* (a group or a program) runs."""
        return any(self._is_alive(p) for p in self._members(item))

    def all_dead(self, item: str) -> bool:
        """Whether the last process of *item* has just died: no grace, the kernel says so."""
        members = self._members(item)
        return not self.is_up(item) and any(p.name in self._dead for p in members)

    def checks_as_list(self, now: float) -> list[dict[str, Any]]:
        """Name, kind, state (``well``, ``fault``, ``unknown``), what and severity of each check."""
        self._look_at_programs(now)
        return self._board.as_list(now)

    def _is_alive(self, program: Program) -> bool:
        return program.state in _UP and program.name not in self._dead

    def _confirm(self, event: ProgramEvent) -> None:
        """A new life ends the word of the old one's death; what supervisord said late does not."""
        pid, _ = self._dead.get(event.program, (0, 0.0))
        is_new = event.state is ProgramState.STARTING
        if is_new or (event.state is ProgramState.RUNNING and event.pid != pid):
            self._dead.pop(event.program, None)

    def _forget_unconfirmed(self, now: float) -> None:
        for name, (_, at) in list(self._dead.items()):
            known = self._programs.get(name)
            if known is None or (known.state in _UP and now - at >= CONFIRM_S):
                del self._dead[name]
                self._note_items(now)

    def _look_at_programs(self, now: float) -> None:
        for check in self._board.of_kind("program"):
            is_up = not self._is_down(check.target, now)
            state = "runs" if is_up else f"is {self._worst_state(check.target)}"
            self._board.program(check.target, is_up, f"{check.target} {state}", now)

    def _members(self, item: str) -> list[Program]:
        return [p for p in self._programs.values() if item in (p.group, p.name)]

    def _note_items(self, now: float) -> None:
        for item in self._items:
            if self.is_up(item):
                self._down_since.pop(item, None)
            else:
                self._down_since.setdefault(item, now)

    def _causes(self, now: float) -> Iterable[tuple[str, Fault]]:
        down = set()
        for item in self._items:
            if self._is_down(item, now):
                down.add(item)
                if item in self._track:
                    severity = _SEVERITY.get(item, 4)
                    yield item, Fault(f"{item} is {self._worst_state(item)}", severity)
        for check in self._board.failing(now):
            yield f"check {check.name}", Fault(f"check {check.name}: {check.what}", check.severity)
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
        return now - since >= self._grace_s or (
            bool(members) and all(p.state in gave_up for p in members)
        )

    def _worst_state(self, item: str) -> str:
        # One that the kernel has told of is EXITED in a moment.
        states = {ProgramState.EXITED if p.state in _UP else p.state for p in self._members(item)}
        for state in (ProgramState.FATAL, ProgramState.BACKOFF, ProgramState.EXITED):
            if state in states:
                return state.value
        return "STOPPED" if states else "not there"

    def _keeps_dying(self, program: Program, now: float) -> bool:
        deaths = self._deaths[program.name]
        tracked = program.group in self._items or program.name in self._items
        return tracked and len(deaths) == CRASHES and now - deaths[0] <= CRASH_WINDOW_S
