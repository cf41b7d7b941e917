"""Tasks: started, waited for, believed only when they have said something themselves."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.agent.tasks import Tasks
from lbctl.errors import UnreachableError
from lbctl.follow.generation import Verdict, verdict_of, write_verdict
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramEvent, ProgramState
from lbctl.spec import Task
from tests.fakes.programs import FakePrograms
from tests.fakes.timeless import in_no_time
from tests.loops import in_a_loop


class Runner(FakePrograms):
    """Ends a task as soon as it is started, with a verdict or without."""

    def __init__(self, run: RunDir, verdict: Verdict | None, task: Task = "stage") -> None:
        super().__init__()
        self._run = run
        self._task = task
        self._verdict = verdict
        self.tasks = Tasks(run, self)
        self.ran = 0

    async def start(self, program: str) -> None:
        self.ran += 1
        if self._verdict is not None:
            write_verdict(self._run, self._task, replace(self._verdict, pid=self.ran))
        event = ProgramEvent(program, program, ProgramState.EXITED, ProgramState.RUNNING)
        asyncio.get_running_loop().call_soon(self.tasks.on_event, event)


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path)
    run.inputs.mkdir()
    return run


@in_a_loop
async def test_a_verdict_comes_back(run: RunDir) -> None:
    verdict = verdict_of(time.monotonic(), number=7)

    assert (await Runner(run, verdict).tasks.run("stage")).number == 7


@in_a_loop
async def test_two_who_ask_at_once_get_a_run_each(run: RunDir) -> None:
    runner = Runner(run, verdict_of(time.monotonic(), number=7))
    await asyncio.gather(runner.tasks.run("stage"), runner.tasks.run("stage"))

    assert runner.ran == 2


@in_a_loop
async def test_the_verdict_of_the_run_before_is_none_however_new_it_is(run: RunDir) -> None:
    write_verdict(run, "stage", verdict_of(time.monotonic(), number=7))

    with pytest.raises(UnreachableError, match="ended without a verdict"):
        await Runner(run, None).tasks.run("stage")


class Hanging(FakePrograms):
    """Its task does not end by itself."""

    async def start(self, program: str) -> None:
        self.put(Program(program, program, ProgramState.RUNNING, 77))


@in_no_time
async def test_a_task_that_hangs_is_ended_so_that_the_next_one_can_begin(tmp_path: Path) -> None:
    programs = Hanging()
    with pytest.raises(UnreachableError, match="not done within 25 s, and ended"):
        await Tasks(RunDir(tmp_path), programs).run("stage")

    assert (await programs.states())["stage"].state is ProgramState.STOPPED


@in_a_loop
async def test_no_verdict_is_told(run: RunDir) -> None:
    with pytest.raises(UnreachableError, match="stage"):
        await Runner(run, None).tasks.run("stage")
