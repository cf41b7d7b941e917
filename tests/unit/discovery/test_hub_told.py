"""The hub: what it keeps on disk, and what it tells its listeners. In no time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from pathlib import Path

import pytest

from lbctl.discovery.saved import read_snapshot, write_snapshot
from lbctl.discovery.source import WRITE_AGAIN_S
from lbctl.discovery.wire import Update
from lbctl.layout import StateDir
from lbctl.model.service import Snapshot
from tests.fakes.provider import FakeProvider, service
from tests.fakes.timeless import clock, in_no_time
from tests.hubs import ONE, OTHER, has, make, of, running

UNSAVED = "what consul says is kept in memory alone; tried again every 10 s"


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@in_no_time
async def test_a_start_with_every_source_away_has_what_was_said_in_an_earlier_life(
    state: StateDir,
) -> None:
    async with running(make(state, FakeProvider("consul", ONE))):
        pass  # its end writes what there is
    away = FakeProvider("consul")
    away.fail()
    async with running(make(state, away)) as hub:
        kept, found = await has(hub), of(hub)

    assert kept == {"consul": (ONE,)}
    assert (found.state, found.is_saved, found.services) == ("failing", True, 1)
    assert "keeping 1 service with 2 servers" in found.sentence(clock())


@in_no_time
async def test_that_a_source_still_says_what_was_saved_is_news(state: StateDir) -> None:
    write_snapshot(state, Snapshot("consul", (ONE,), 900.0))
    hub = make(state, FakeProvider("consul", ONE))
    async with aclosing(hub.watch()) as updates:
        saved = await anext(updates)
        async with running(hub):
            live = await anext(updates)

    assert [one.is_saved for one in saved.heard] == [True]
    assert [one.is_saved for one in live.heard] == [False]
    assert live.heard[0].snapshot.services[0] is saved.heard[0].snapshot.services[0]


@in_no_time
async def test_the_disk_is_written_once_a_second_at_most_and_at_the_end(state: StateDir) -> None:
    provider = FakeProvider("consul", ONE)
    written: set[str] = set()
    async with running(make(state, provider)):
        for number in range(50):
            provider.say(service("hello/v1", f"10.0.1.{number}:80"))
            await asyncio.sleep(0.1)
            if state.snapshot("consul").exists():
                written.add(state.snapshot("consul").read_text())
        provider.say(OTHER)
        await asyncio.sleep(0.01)
    saved = read_snapshot(state, "consul")

    assert 4 <= len(written) <= 6
    assert saved is not None
    assert saved.services == (OTHER,)


@in_no_time
async def test_a_full_disk_is_told_once_and_services_live_on_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    state = StateDir(tmp_path / "state")
    state.root.touch()  # nothing can be written below a file
    provider = FakeProvider("consul", ONE)
    async with running(make(state, provider)) as hub:
        await asyncio.sleep(60)
        provider.say(OTHER)
        await asyncio.sleep(1)
        kept = await has(hub)
        state.root.unlink()
        state.root.mkdir()
        await asyncio.sleep(WRITE_AGAIN_S + 2)
        saved = read_snapshot(state, "consul")

    assert kept == {"consul": (OTHER,)}
    assert saved is not None
    assert saved.services == (OTHER,)
    told = [one for one in messages(caplog) if "again" in one]
    assert told == [
        f"{state.discovery}: Not a directory: {UNSAVED}",
        "consul: what it says is kept on disk again",
    ]


@in_no_time
async def test_a_disk_that_was_full_a_moment_ago_is_tried_once_more_at_the_end(
    tmp_path: Path,
) -> None:
    state = StateDir(tmp_path / "state")
    state.root.touch()
    async with running(make(state, FakeProvider("consul", ONE))):
        await asyncio.sleep(1.5)
        state.root.unlink()
        state.root.mkdir()

    assert read_snapshot(state, "consul") is not None


@in_no_time
async def test_a_listener_is_told_everything_and_then_what_changed(state: StateDir) -> None:
    consul, docker = FakeProvider("consul", ONE), FakeProvider("docker", OTHER)
    async with running(make(state, consul, docker)) as hub, aclosing(hub.watch()) as updates:
        first = await anext(updates)
        docker.say(OTHER, ONE)
        second = await anext(updates)
        docker.fail()
        third = await anext(updates)

    assert sources(first) == ["consul", "docker"]
    assert sources(second) == ["docker"]
    assert sources(third) == []
    assert [one.state for one in third.states] == ["live", "failing"]


@in_no_time
async def test_a_slow_listener_gets_many_changes_as_one(state: StateDir) -> None:
    provider = FakeProvider("consul", ONE)
    async with running(make(state, provider)) as hub, aclosing(hub.watch()) as updates:
        await anext(updates)
        for number in range(20):
            provider.say(service("hello/v1", f"10.0.1.{number}:80"))
            await asyncio.sleep(0.01)
        update = await anext(updates)

    assert update.heard[0].snapshot.services == (service("hello/v1", "10.0.1.19:80"),)


@in_no_time
async def test_a_listener_hears_that_nothing_is_new(state: StateDir) -> None:
    async with running(make(state, FakeProvider())) as hub, aclosing(hub.watch(15.0)) as updates:
        await anext(updates)
        began = clock()
        update = await anext(updates)

    assert clock() - began == pytest.approx(15.0, abs=0.1)
    assert update.heard == ()


@in_no_time
async def test_what_is_put_is_believed_and_told_even_if_it_is_the_same(state: StateDir) -> None:
    provider = FakeProvider("registry", ONE)
    async with running(make(state)) as hub, aclosing(hub.watch()) as updates:
        await anext(updates)
        hub.add(provider)
        while not sources(await anext(updates)):
            pass
        hub.put(Snapshot("registry", (ONE,), 5000.0))
        same = await anext(updates)
        hub.put(Snapshot("registry", (), 5001.0))
        empty = await anext(updates)

    assert [one.snapshot.at for one in same.heard] == [5000.0]
    assert same.heard[0].snapshot.services == (ONE,)
    assert empty.heard[0].snapshot.services == ()
    assert provider.is_closed


@in_no_time
async def test_services_that_are_as_they_were_stay_the_same_objects(state: StateDir) -> None:
    provider = FakeProvider("consul", service("b"), service("a"))
    async with running(make(state, provider)) as hub:
        before = (await has(hub))["consul"]
        provider.say(service("c"), service("a"), service("b", "10.0.0.9:80"))
        await asyncio.sleep(0.01)
        after = (await has(hub))["consul"]

    assert [one.name for one in after] == ["a", "b", "c"]
    assert after[0] is before[0]
    assert after[1] is not before[1]


@in_no_time
async def test_what_a_provider_leaves_out_is_logged_once_and_shown(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    provider = FakeProvider("consul", ONE)
    provider.facts = {"connections": 3}
    async with running(make(state, provider)) as hub:
        for _ in range(3):
            provider.say(ONE, problems=("service bad is left out",))
            await asyncio.sleep(1)
        found = of(hub)

    assert found.problems == ("service bad is left out",)
    assert found.more == {"connections": 3}
    assert messages(caplog) == ["consul http://10.0.0.5:8500: service bad is left out"]


def sources(update: Update) -> list[str]:
    return [one.snapshot.source for one in update.heard]
