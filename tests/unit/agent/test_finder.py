"""The program discovery is brought to run, or to rest, from whatever state it is in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from lbctl.agent.finder import PROGRAM, Finder
from lbctl.programs import Program, ProgramState
from tests.fakes.programs import FakePrograms
from tests.loops import in_a_loop, until

RUNS = ("STARTING", "RUNNING", "BACKOFF")
RESTS = ("STOPPED", "EXITED", "FATAL")
#: When it entered its state, and when it was told anew what to ask.
SINCE_S, BEFORE_S, AFTER_S = 5.0, 4.0, 6.0


class Looked(FakePrograms):
    """A supervisord whose program takes until the second look to end."""

    def __init__(self, state: ProgramState) -> None:
        super().__init__([Program(PROGRAM, PROGRAM, state, since=SINCE_S)])
        self.looks = 0

    async def states(self) -> Mapping[str, Program]:
        self.looks += 1
        found = await super().states()
        if found[PROGRAM].state is ProgramState.STOPPING:
            self.put(replace(found[PROGRAM], state=ProgramState.STOPPED))
        return found


@in_a_loop
async def test_one_that_was_started_anew_is_not_started_again_for_the_same() -> None:
    # Its supervisord goes on to say that it is old: it tells whole seconds.
    programs = Looked(ProgramState("RUNNING"))
    finder = Finder(programs)
    life = asyncio.ensure_future(finder.run())
    finder.want(True, since=AFTER_S)
    await until(lambda: len(programs.calls) == 2, "it is started anew")
    looks = programs.looks
    finder.want(True)
    await until(lambda: programs.looks > looks, "it is looked at again")
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)

    assert [verb for verb, _ in programs.calls] == ["stop", "start"]


@pytest.mark.parametrize(
    ("state", "is_wanted", "since", "expected"),
    [
        *((state, True, BEFORE_S, ()) for state in RUNS),
        *((state, True, AFTER_S, ("stop", "start")) for state in RUNS),
        *((state, False, BEFORE_S, ("stop",)) for state in RUNS),
        *((state, True, since, ("start",)) for state in RESTS for since in (BEFORE_S, AFTER_S)),
        *((state, False, BEFORE_S, ()) for state in RESTS),
        ("STOPPING", True, BEFORE_S, ("start",)),
        ("STOPPING", True, AFTER_S, ("start",)),
        ("STOPPING", False, BEFORE_S, ()),
    ],
)
@in_a_loop
async def test_it_runs_where_it_is_wanted_and_knows_what_to_ask(
    state: str, is_wanted: bool, since: float, expected: tuple[str, ...]
) -> None:
    programs = Looked(ProgramState(state))
    finder = Finder(programs)
    life = asyncio.ensure_future(finder.run())
    finder.want(is_wanted, since=since)
    await until(lambda: programs.looks and len(programs.calls) >= len(expected), "it is told")
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)

    assert tuple(verb for verb, _ in programs.calls) == expected
