"""The hub: what a source said stays, whatever goes wrong with it. Invariants, in no time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest

from lbctl.discovery.hub import PAUSE_FIRST_S, PAUSE_MOST_S, SILENCE_S
from lbctl.discovery.saved import read_snapshot, write_snapshot
from lbctl.layout import StateDir
from lbctl.model.service import Snapshot
from tests.fakes.provider import FakeProvider
from tests.fakes.timeless import clock, in_no_time
from tests.hubs import EMPTY_S, ONE, OTHER, has, make, of, running

AWAY = "consul http://10.0.0.5:8500: no answer in 5.0 s"


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@in_no_time
async def test_all_sources_down_for_ten_minutes_lose_nothing_and_come_back(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    consul, docker = FakeProvider("consul", ONE), FakeProvider("docker", OTHER)
    async with running(make(state, consul, docker)) as hub:
        before = await has(hub)
        for provider in (consul, docker):
            provider.fail()
        await asyncio.sleep(600)
        meanwhile, down = await has(hub), of(hub)
        for provider in (consul, docker):
            provider.say(ONE if provider is consul else OTHER)
        await asyncio.sleep(PAUSE_MOST_S)
        after, up = await has(hub), of(hub)

    assert before == meanwhile == after == {"consul": (ONE,), "docker": (OTHER,)}
    assert (down.state, up.state, up.error) == ("failing", "live", "")
    assert down.heard_at == pytest.approx(1000.0)
    assert (down.services, down.servers) == (1, 2)
    told = [one for one in messages(caplog) if one.startswith("consul")]
    assert told == [
        "consul http://10.0.0.5:8500: 1 service with 2 servers",
        f"{AWAY}; keeping 1 service with 2 servers, last heard 0.0 s ago",
        told[-1],
    ]
    assert told[-1].startswith("consul http://10.0.0.5:8500: answers again after 10 min")
    # 0.2, 0.4, 0.8 ... 12.8, then every 15 s.
    assert 40 < consul.watches < 50


@in_no_time
async def test_a_source_that_fails_is_asked_less_and_less_often_and_never_less_than_that(
    state: StateDir,
) -> None:
    provider = FakeProvider()
    provider.fail()
    at: list[float] = []
    async with running(make(state, provider)) as hub:
        while len(at) < 12:
            at.append(clock())
            failures = of(hub).failures
            async with aclosing(hub.watch()) as updates:
                async for _ in updates:
                    if of(hub).failures != failures:
                        break
    pauses = [after - before for before, after in pairwise(at[1:])]

    assert pauses[0] == pytest.approx(2 * PAUSE_FIRST_S, abs=0.05)
    assert pauses[1] == pytest.approx(4 * PAUSE_FIRST_S, abs=0.05)
    assert pauses[-1] == pytest.approx(PAUSE_MOST_S, abs=0.05)


@pytest.mark.parametrize(
    "fault",
    [RuntimeError("boom"), KeyError("x"), RecursionError(), TimeoutError(), OSError(5, "io")],
    ids=repr,
)
@in_no_time
async def test_a_defect_of_a_provider_is_told_with_its_trace_and_asked_again_for_ever(
    state: StateDir, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    bad, good = FakeProvider("consul", ONE), FakeProvider("docker", OTHER)
    async with running(make(state, bad, good)) as hub:
        bad.fail(fault)
        await asyncio.sleep(600)
        failing = of(hub)
        good.say(OTHER, ONE)
        await asyncio.sleep(1)
        others = (await has(hub))["docker"]
        bad.say(ONE)
        await asyncio.sleep(PAUSE_MOST_S)
        back = of(hub)

    assert failing.state == "failing"
    assert failing.failures > 40
    assert len(others) == 2
    assert back.state == "live"
    if not isinstance(fault, TimeoutError):
        assert "defect" in failing.error
        assert sum(record.exc_info is not None for record in caplog.records) == 1


@in_no_time
async def test_a_cancellation_that_leaks_out_of_a_provider_does_not_end_the_asking(
    state: StateDir,
) -> None:
    provider = FakeProvider("consul", ONE)
    async with running(make(state, provider)) as hub:
        provider.fail(asyncio.CancelledError())
        await asyncio.sleep(60)
        failing = of(hub)
        provider.say(ONE)
        await asyncio.sleep(PAUSE_MOST_S)
        back = of(hub)

    assert failing.state == "failing"
    assert failing.failures > 5
    assert back.state == "live"


@in_no_time
async def test_a_watch_that_ends_or_hangs_is_begun_anew(state: StateDir) -> None:
    ends, hangs = FakeProvider("consul", ONE), FakeProvider("docker", OTHER)
    async with running(make(state, ends, hangs)) as hub:
        ends.fail("ends")
        hangs.fail("hangs")
        await asyncio.sleep(1)
        at_once = of(hub, "consul"), of(hub, "docker")
        await asyncio.sleep(SILENCE_S)
        later = of(hub, "docker")
        kept = await has(hub)

    assert (at_once[0].state, at_once[1].state) == ("failing", "live")
    assert at_once[0].error == "consul http://10.0.0.5:8500: the watch ended; it begins anew"
    assert later.state == "failing"
    assert later.error == "docker http://10.0.0.5:8500: silent for 150 s; it is asked anew"
    assert kept == {"consul": (ONE,), "docker": (OTHER,)}


@in_no_time
async def test_that_all_services_are_gone_is_believed_after_five_minutes_of_it(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = FakeProvider("consul", ONE)
    async with running(make(state, provider)) as hub:
        await asyncio.sleep(10)
        provider.say()
        await asyncio.sleep(EMPTY_S - 5)
        doubted, kept = of(hub), await has(hub)
        await asyncio.sleep(7)
        believed, gone = of(hub), await has(hub)

    assert doubted.state == "doubted"
    assert doubted.services == 1
    assert doubted.is_in_touch
    assert kept == {"consul": (ONE,)}
    assert (believed.state, believed.services) == ("live", 0)
    assert gone == {"consul": ()}
    assert any(
        "it says that it has no services any more, and is believed after 300 s of that; "
        "keeping 1 service with 2 servers, last heard 10 s ago" in one
        for one in messages(caplog)
    )


@in_no_time
async def test_what_was_seen_to_go_is_gone_at_once(state: StateDir) -> None:
    provider = FakeProvider("docker", ONE)
    async with running(make(state, provider)) as hub:
        provider.say(is_sure=True)
        await asyncio.sleep(1)
        gone, live = await has(hub), of(hub, "docker")

    assert gone == {"docker": ()}
    assert live.state == "live"


@in_no_time
async def test_a_failure_between_two_empty_answers_begins_the_wait_anew(state: StateDir) -> None:
    provider = FakeProvider("consul", ONE)
    async with running(make(state, provider)) as hub:
        provider.say()
        await asyncio.sleep(EMPTY_S - 10)
        provider.fail()
        await asyncio.sleep(1)
        provider.say()
        await asyncio.sleep(EMPTY_S - 10)
        kept = await has(hub)
        provider.say(ONE)
        await asyncio.sleep(1)
        back = of(hub)

    assert kept == {"consul": (ONE,)}
    assert back.state == "live"


@in_no_time
async def test_an_empty_answer_right_after_a_start_takes_away_nothing_that_was_saved(
    state: StateDir,
) -> None:
    write_snapshot(state, Snapshot("consul", (ONE,), 900.0))
    async with running(make(state, FakeProvider("consul"))) as hub:
        kept, doubted = await has(hub), of(hub)

    assert kept == {"consul": (ONE,)}
    assert (doubted.state, doubted.is_saved, doubted.heard_at) == ("doubted", True, 900.0)


@in_no_time
async def test_without_the_wait_an_empty_answer_is_believed_at_once(state: StateDir) -> None:
    provider = FakeProvider("consul", ONE)
    async with running(make(state, provider, empty_s=0)) as hub:
        provider.say()
        await asyncio.sleep(0.01)
        gone = await has(hub)

    assert gone == {"consul": ()}


@in_no_time
async def test_what_a_source_says_first_is_on_disk_before_anybody_is_told(state: StateDir) -> None:
    provider = FakeProvider()
    provider.fail()
    async with running(make(state, provider)) as hub, aclosing(hub.watch()) as updates:
        await anext(updates)
        provider.say(ONE)
        while not (await anext(updates)).heard:
            assert read_snapshot(state, "consul") is None
        saved = read_snapshot(state, "consul")

    assert saved is not None
    assert saved.services == (ONE,)
