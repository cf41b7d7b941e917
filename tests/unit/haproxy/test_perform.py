from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.perform import Outcome, perform
from lbctl.haproxy.plan import Plan
from lbctl.haproxy.runtime import Answer
from lbctl.haproxy.steps import AddServer, RemoveServer, SetAddress, SetWeight, Step
from lbctl.model.target import TargetServer
from tests.fakes.haproxy_runtime import RecordingRuntime

IN_USE = "Server still has connections attached to it, cannot remove it."
WEIGHT = SetWeight("b", "a", 5)
GONE = RemoveServer("b", "a")


class SilentRuntime(RecordingRuntime):
    async def ask_all(self, commands: Sequence[str]) -> tuple[Answer, ...]:
        message = "/x.sock: no whole answer in 2 s; its effect is unknown"
        raise RuntimeApiError(message)


class BusyServer(RecordingRuntime):
    """Refuses the first *times* removals."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def ask_all(self, commands: Sequence[str]) -> tuple[Answer, ...]:
        answers = []
        for command in commands:
            self.commands.append(command)
            is_refused = command.startswith("del ") and self.times > 0
            self.times -= is_refused
            answers.append(Answer(command, refusal=IN_USE if is_refused else ""))
        return tuple(answers)


def done(
    runtime: RecordingRuntime, *steps: Step, pending: tuple[RemoveServer, ...] = ()
) -> Outcome:
    return asyncio.run(perform(runtime, Plan(steps, (), pending)))


def test_a_process_that_does_not_answer_has_failed_every_step() -> None:
    outcome = done(SilentRuntime(), WEIGHT, GONE)

    assert outcome.done == ()
    assert [str(one) for one in outcome.failed] == [
        "weight 5 for b/a: /x.sock: no whole answer in 2 s; its effect is unknown"
    ]
    assert [one.step for one in outcome.pending] == [GONE]


def test_a_server_whose_connections_close_in_a_moment_is_gone_at_once() -> None:
    runtime = BusyServer(1)
    outcome = done(runtime, GONE)

    assert outcome == Outcome(done=(GONE,))
    assert runtime.commands == [*GONE.commands(), *GONE.commands()]


def test_a_server_in_use_is_pending() -> None:
    outcome = done(BusyServer(2), pending=(GONE,))

    assert [str(one) for one in outcome.pending] == [f"remove b/a: {IN_USE}"]
    assert outcome.failed == ()


@pytest.mark.parametrize(
    ("step", "answers", "fault"),
    [
        (GONE, [Answer("", refusal="No such server."), Answer("", refusal="No such server.")], ""),
        (GONE, [Answer("", failure="cut"), Answer("", failure="cut")], "cut"),
        (SetAddress("b", "a", "::1", 80), [Answer("", "nothing changed\n")], ""),
        (SetAddress("b", "a", "::1", 80), [Answer("", "IP changed from 'a' to 'b'\n")], ""),
        (SetAddress("b", "a", "::1", 80), [Answer("", "no need to change the addr\n")], ""),
        (
            SetAddress("b", "a", "::1", 80),
            [Answer("", "Invalid addr '::1'\n")],
            "Invalid addr '::1'",
        ),
        (SetAddress("b", "a", "::1", 80), [Answer("")], "it said nothing"),
        (
            SetAddress("b", "a", "::1", 80),
            [Answer("", refusal="No such server.")],
            "No such server.",
        ),
        (
            AddServer("b", "a", TargetServer("a", 1, "10.0.0.1:80")),
            [Answer("", refusal="No such backend."), Answer("", refusal="No such server.")],
            "No such backend.",
        ),
    ],
)
def test_answers_are_read_as_they_are_meant(step: Step, answers: list[Answer], fault: str) -> None:
    assert step.fault(answers) == fault
