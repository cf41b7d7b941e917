"""The agent over fakes: what it copies, what it remembers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lbctl.agent.agent import Agent
from lbctl.agent.eventlog import EventLog
from lbctl.layout import RunDir
from lbctl.programs import ProgramEvent, ProgramState
from lbctl.spec import BundleSpec, GroupSpec
from tests.agent_sources import generation
from tests.fakes.programs import FakePrograms
from tests.fakes.vipd import FakeVipd
from tests.specs import bundle_spec

GROUP = GroupSpec(
    7, "eth0", "10.0.1.11", "10.0.1.201", ("10.0.1.201/32",), "ucarp", 1, 0, 3, 2.0, ("nginx",)
)


def spec_in(root: Path, group: GroupSpec | None = GROUP) -> BundleSpec:
    return bundle_spec(
        node="n1",
        programs=("nginx", "vipd", "agent"),
        group=group,
        config_dir=str(root),
        state_dir=str(root),
    )


def new_agent(root: Path, group: GroupSpec | None = GROUP) -> Agent:
    spec = spec_in(root, group)
    return Agent(spec, RunDir(root), FakePrograms(), EventLog(root / "events.jsonl", "n1"))


class Script:
    """Events of supervisord, then silence."""

    def __init__(self, *events: ProgramEvent) -> None:
        self._events = events

    async def __aiter__(self) -> AsyncIterator[ProgramEvent]:
        for event in self._events:
            yield event
        await asyncio.Event().wait()


async def _live_until(agent: Agent, text: str) -> None:
    life = asyncio.create_task(agent.live(Script()))
    async with asyncio.timeout(3):
        async for event in agent.events.follow(0, beat_s=1):
            if event is not None and event.text == text:
                break
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)


def _told(agent: Agent) -> list[str]:
    starts = ("bundle", "config")
    return [event.text for event in agent.events.since(0) if event.kind not in starts]


def test_vipds_events_are_copied_with_their_own_time(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)

    async def live() -> None:
        async with FakeVipd(tmp_path / "vipd.sock") as vipd:
            vipd.tell(1, "role", "INIT -> BACKUP", at=1000.5)
            await _live_until(agent, "INIT -> BACKUP")

    asyncio.run(live())

    copied = agent.events.since(0)[-1]
    assert (copied.kind, copied.at, copied.fields) == ("role", 1000.5, {"vipd_id": 1})


def test_nothing_is_copied_twice_over_restarts_of_agent_and_vipd(tmp_path: Path) -> None:
    """vipd tells all it kept at each connection; its next life counts from 1 again."""

    async def life_of_both(*, has_old: bool, new: str) -> list[str]:
        agent = new_agent(tmp_path)
        async with FakeVipd(tmp_path / "vipd.sock") as vipd:
            if has_old:
                vipd.tell(1, "role", "old", at=1000.5)
            vipd.tell(2 if has_old else 1, "role", new, at=2000.5)
            await _live_until(agent, new)
        return _told(agent)

    assert asyncio.run(life_of_both(has_old=True, new="one")) == ["old", "one"]
    assert asyncio.run(life_of_both(has_old=True, new="one")) == ["old", "one"]
    assert asyncio.run(life_of_both(has_old=False, new="two")) == ["old", "one", "two"]


def test_an_event_that_is_none_is_left_out(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)

    async def live() -> None:
        async with FakeVipd(tmp_path / "vipd.sock") as vipd:
            vipd.events = [
                {},
                {"id": "x"},
                {"id": 1, "at": 1, "kind": "k", "text": "t", "fields": 3},
            ]
            vipd.tell(4, "role", "good")
            await _live_until(agent, "good")

    asyncio.run(live())

    assert _told(agent) == ["good"]


def test_restarts_are_remembered_within_one_life_of_the_bundle(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    states = [ProgramState.EXITED, ProgramState.STARTING, ProgramState.RUNNING]

    async def live() -> None:
        events = [
            ProgramEvent("nginx", "nginx", state, was, 5)
            for was, state in zip([ProgramState.RUNNING, *states], states, strict=False)
        ]
        life = asyncio.create_task(agent.live(Script(*events)))
        async with asyncio.timeout(3):
            async for event in agent.events.follow(0, beat_s=1):
                if event is not None and "runs again" in event.text:
                    break
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)

    asyncio.run(live())

    assert new_agent(tmp_path).table.rows["nginx"].restarts == 1


def test_the_stream_of_supervisord_ends_the_life(tmp_path: Path) -> None:
    async def none() -> AsyncIterator[ProgramEvent]:
        nothing: tuple[ProgramEvent, ...] = ()
        for event in nothing:
            yield event

    async def live() -> None:
        async with asyncio.timeout(2):
            await new_agent(tmp_path).live(none())

    asyncio.run(live())


def test_supervisord_that_refuses_while_it_stops_is_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings_of(*events: ProgramEvent) -> list[str]:
        caplog.clear()
        programs = FakePrograms()
        log = EventLog(tmp_path / f"{len(events)}.jsonl", "n1")
        agent = Agent(spec_in(tmp_path, None), RunDir(tmp_path), programs, log)
        for event in events:
            agent.table.apply(event)
        programs.is_reachable = False

        async def live() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(agent.live(Script()), 0.05)

        asyncio.run(live())
        return [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]

    assert len(warnings_of()) == 1
    assert warnings_of(ProgramEvent("", "", ProgramState.STOPPING)) == []


def test_only_an_agent_that_comes_back_waits_for_what_discovery_knows(tmp_path: Path) -> None:
    first = new_agent(tmp_path)
    first.sources.configure(generation())
    first.note("bundle", "it starts", {})
    second = new_agent(tmp_path)
    second.sources.configure(generation())

    assert first.sources.standing() == (False, "consul: not heard yet")
    assert second.sources.standing() == (None, "")
