"""A supervisord in memory; tests/contract/test_supervisord.py holds it to the real one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lbctl.errors import SupervisorError
from lbctl.programs import Program, ProgramState

ALIVE = (ProgramState.STARTING, ProgramState.RUNNING, ProgramState.STOPPING)


class FakePrograms:
    """
    Programs that start, stop and take signals at once.

    Attributes:
        calls: every call that changes something, in order: ``("signal", "nginx", "HUP")``.
        is_reachable: False: every call fails as it does when supervisord is not there.
        is_shut_down: whether the bundle was stopped.
    """

    def __init__(self, programs: Iterable[Program] = ()) -> None:
        self._programs = {program.name: program for program in programs}
        self._last_pid = 1000
        self.calls: list[tuple[str, ...]] = []
        self.is_reachable = True
        self.is_shut_down = False

    def put(self, program: Program) -> None:
        """Have it be so: what a test needs and no caller can do."""
        self._programs[program.name] = program

    async def states(self) -> Mapping[str, Program]:
        self._require_reachable()
        return dict(self._programs)

    async def start(self, program: str) -> None:
        known = self._called("start", program)
        if known.state not in (ProgramState.STARTING, ProgramState.RUNNING):
            self._last_pid += 1
            self.put(replace(known, state=ProgramState.RUNNING, pid=self._last_pid))

    async def stop(self, program: str) -> None:
        known = self._called("stop", program)
        if known.state in ALIVE or known.state is ProgramState.BACKOFF:
            self.put(replace(known, state=ProgramState.STOPPED, pid=0))

    async def signal(self, program: str, signal_name: str) -> None:
        known = self._called("signal", program, signal_name)
        if known.state not in ALIVE:
            message = f"fake: sending {signal_name} to {program}: refused: NOT_RUNNING"
            raise SupervisorError(message)

    async def signal_group(self, group: str, signal_name: str) -> None:
        self._require_reachable()
        self.calls.append(("signal_group", group, signal_name))
        if not any(program.group == group for program in self._programs.values()):
            message = f"fake: sending {signal_name} to the group {group}: refused: BAD_NAME"
            raise SupervisorError(message)

    async def shutdown(self) -> None:
        self._require_reachable()
        self.calls.append(("shutdown",))
        self.is_shut_down = True

    def _called(self, verb: str, program: str, *more: str) -> Program:
        self._require_reachable()
        self.calls.append((verb, program, *more))
        if program not in self._programs:
            message = f"fake: {verb} {program}: refused: BAD_NAME"
            raise SupervisorError(message)
        return self._programs[program]

    def _require_reachable(self) -> None:
        if not self.is_reachable or self.is_shut_down:
            message = "fake: supervisord is not there"
            raise SupervisorError(message)
