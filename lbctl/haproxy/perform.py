"""
A plan, done to one HAProxy process.

Owns the order of asking and the reading of answers. What gives service is done and checked first;
where it was refused, nothing is taken away from that backend.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.plan import Plan
from lbctl.haproxy.runtime import Runtime
from lbctl.haproxy.steps import RemoveServer, Step


@dataclass(frozen=True, slots=True)
class Undone:
    """
    A step that was not done.

    Attributes:
        step: which.
        said: why: HAProxy's words, or why there are none.
    """

    step: Step
    said: str

    def __str__(self) -> str:
        return f"{self.step.describe()}: {self.said}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of a plan.

    Attributes:
        done: steps, in order.
        failed: refused, or without an answer: the process is to be looked at.
        pending: servers in maintenance that someone still uses, and those that stay until what
            should replace them is there: to be tried again.
    """

    done: tuple[Step, ...] = ()
    failed: tuple[Undone, ...] = ()
    pending: tuple[Undone, ...] = ()


async def perform(runtime: Runtime, plan: Plan) -> Outcome:
    """
    Do the steps and the pending removals of *plan*; its reasons are not looked at.

    Never raises for an answer: a process that does not answer has failed steps.
    """
    leaves = [step for step in plan.steps if isinstance(step, RemoveServer)]
    first = [step for step in plan.steps if not isinstance(step, RemoveServer)]
    done: list[Step] = []
    failed: list[Undone] = []
    pending: list[Undone] = []
    await _do(runtime, first, done, failed)
    lacking = {one.step.backend: one for one in failed}
    pending += [
        Undone(step, f"it stays until this is done: {lacking[step.backend]}")
        for step in leaves
        if step.backend in lacking
    ]
    removals = [step for step in leaves if step.backend not in lacking]
    refused: list[Undone] = []
    await _do(runtime, [*removals, *plan.pending], done, refused)
    # maintenance closes a server's idle connections, a moment after it was said
    again = [one.step for one in refused if RemoveServer.is_in_use(one.said)]
    failed += [one for one in refused if not RemoveServer.is_in_use(one.said)]
    refused = []
    await _do(runtime, again, done, refused)
    for one in refused:
        (pending if RemoveServer.is_in_use(one.said) else failed).append(one)
    return Outcome(tuple(done), tuple(failed), tuple(pending))


async def _do(
    runtime: Runtime, steps: Iterable[Step], done: list[Step], undone: list[Undone]
) -> None:
    """Side by side on one connection; each step into one of the lists."""
    commands = [(step, step.commands()) for step in steps]
    if not commands:
        return
    flat = [command for _, each in commands for command in each]
    try:
        answers = await runtime.ask_all(flat)
    except RuntimeApiError as error:
        undone += [Undone(step, str(error)) for step, _ in commands]
        return
    at = 0
    for step, each in commands:
        fault = step.fault(answers[at : at + len(each)])
        at += len(each)
        if fault:
            undone.append(Undone(step, fault))
        else:
            done.append(step)
