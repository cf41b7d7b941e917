"""
The programs that read the operator's files with the rights of whoever started the bundle.

The agent, who has none of them, has supervisord start one, waits for its end, and reads its
verdict.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from lbctl.errors import LbctlError, SupervisorError, UnreachableError
from lbctl.follow.generation import Verdict, read_verdict
from lbctl.layout import RunDir
from lbctl.programs import ProgramEvent, Programs, ProgramState
from lbctl.spec import TASKS, Task

#: Reading, rendering, ``haproxy -c`` and ``nginx -t``, on a busy host.
LIMIT_S = 25.0
_ENDED = frozenset({ProgramState.EXITED, ProgramState.FATAL, ProgramState.STOPPED})


class Tasks:
    """One run of each task at a time; who asks meanwhile gets one of their own afterwards."""

    def __init__(self, run: RunDir, programs: Programs) -> None:
        self._run = run
        self._programs = programs
        self._locks = {task: asyncio.Lock() for task in TASKS}
        self._ends: dict[str, asyncio.Event] = {}

    def on_event(self, event: ProgramEvent) -> None:
        """A program has changed its state."""
        if event.program in self._ends and event.state in _ENDED:
            self._ends[event.program].set()

    async def run(self, task: Task) -> Verdict:
        """
        Run *task* to its end.

        Raises:
            UnreachableError: it cannot be started, does not end, or leaves no verdict; nothing
                was changed.
        """
        async with self._locks[task]:
            before = self._last(task)
            ended = self._ends[task] = asyncio.Event()
            try:
                await self._programs.start(task)
                async with asyncio.timeout(LIMIT_S):
                    await ended.wait()
            except SupervisorError as error:
                message = f"{task}: cannot be started: {error}; everything stays as it is"
                raise UnreachableError(message) from error
            except TimeoutError as error:
                await self._end(task)
                message = (
                    f"{task}: not done within {LIMIT_S:g} s, and ended; everything stays as it is"
                )
                raise UnreachableError(message) from error
            finally:
                del self._ends[task]
            return self._verdict(task, before)

    async def _end(self, task: Task) -> None:
        """One that hangs would keep the next one waiting as well."""
        with suppress(SupervisorError):
            await self._programs.stop(task)

    def _last(self, task: Task) -> Verdict | None:
        """What it said when it ran before."""
        with suppress(OSError, ValueError, LbctlError):
            return read_verdict(self._run, task)
        return None

    def _verdict(self, task: Task, before: Verdict | None) -> Verdict:
        try:
            verdict = read_verdict(self._run, task)
        except (OSError, ValueError) as error:
            message = f"{task}: ended without a verdict: {error}; why is in the log"
            raise UnreachableError(message) from error
        if verdict == before:
            message = f"{task}: ended without a verdict; why is in the log; nothing was changed"
            raise UnreachableError(message)
        return verdict
