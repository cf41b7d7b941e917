"""The live picture, what differs between two, and those who watch."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lbctl.agent import live, viewers
from lbctl.agent.agent import Agent
from lbctl.agent.traffic import POINTS, Point, Traffic, as_plain
from lbctl.agent.viewers import Viewer, Viewers
from lbctl.api.live import VIEWERS
from lbctl.api.server import build, serve
from lbctl.cli.client import ApiClient
from lbctl.errors import UnreachableError
from tests.loops import until
from tests.unit.agent.test_agent import new_agent
from tests.unit.api.test_server import served


def picture(**more: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "at": 1.0,
        "every_s": 2.0,
        "cost_ms": 1.0,
        "status": {},
        "events": [],
        "traffic": {},
        "proxies": {},
        "silent": {},
        "history": as_plain([]),
        "ledger": [],
    }
    return {**empty, **more}


def test_a_turn_comes_when_a_hundred_times_its_cost_has_passed() -> None:
    assert [live.pace(cost_s) for cost_s in (0.0, 0.02, 0.05, 3.0)] == [2.0, 2.0, 5.0, 30.0]


def test_without_a_change_the_time_alone_is_told() -> None:
    said = live.difference(picture(), picture(at=3.0))

    assert said == {"at": 3.0, "every_s": 2.0, "cost_ms": 1.0}


def test_a_change_says_what_differs_and_what_is_gone() -> None:
    was = picture(
        status={"ha": 1, "apply": 2},
        proxies={"a": {"rate": 1}, "b": {"rate": 1}, "c": {"rate": 1}},
        ledger=[{"at": 0, "reloads": 1}],
        history=as_plain([Point(10.0, 1)]),
    )
    now = picture(
        status={"ha": 1, "apply": 3},
        proxies={"a": {"rate": 1}, "b": {"rate": 2}},
        traffic={"sessions": 3},
        silent={"2": "does not answer"},
        ledger=[{"at": 0, "reloads": 2}],
        history=as_plain([Point(10.0, 1), Point(20.0, 2)]),
    )

    said = live.difference(was, now)
    assert said["status"] == {"apply": 3}
    assert said["proxies"] == {"b": {"rate": 2}, "c": None}
    assert said["traffic"] == {"sessions": 3}
    assert said["silent"] == {"2": "does not answer"}
    assert said["ledger"] == [{"at": 0, "reloads": 2}]
    assert said["history"]["at"] == [20.0]
    assert said["history"]["sessions"] == [2]


def test_who_watches_gets_the_whole_then_changes_and_events_at_once(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    agent.events.append("role", "INIT -> BACKUP")

    def use(client: ApiClient) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for kind, said in client.stream_events("/v1/live"):
            if kind == "snapshot":
                agent.events.append("role", "BACKUP -> MASTER")
                assert said["status"]["ha"]["role"] == "MASTER"
                assert "events" not in said["status"]
                found.append((kind, [event["text"] for event in said["events"]]))
            else:
                found.append((kind, said))
            if kind == "change":
                break
        return found

    (_, before), (_, event), (_, change) = served(agent, use)
    assert before == ["INIT -> BACKUP"]
    assert event["text"] == "BACKUP -> MASTER"
    assert "uptime_s" in change["status"]


def test_nothing_runs_when_nobody_watches_any_more(tmp_path: Path) -> None:
    agent = new_agent(tmp_path, group=None)

    async def live_through() -> tuple[int, int, int]:
        everyone = Viewers(agent)
        at_rest = len(asyncio.all_tasks())
        streams = [everyone.watch(lambda: None) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        busy = len(everyone)
        for stream in streams:
            await stream.aclose()
        await until(lambda: len(asyncio.all_tasks()) == at_rest, "its tasks end")
        return at_rest, busy, len(everyone)

    assert asyncio.run(live_through())[1:] == (3, 0)


def test_all_who_watch_share_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = new_agent(tmp_path, group=None)
    made: list[int] = []

    async def counted(of: Agent) -> dict[str, Any]:
        made.append(1)
        return await real(of)

    real = live.picture
    monkeypatch.setattr(live, "picture", counted)

    async def watch() -> None:
        everyone = Viewers(agent)
        streams = [everyone.watch(lambda: None) for _ in range(20)]
        first = await asyncio.gather(*(anext(stream) for stream in streams))
        assert len({*first}) == 1
        for stream in streams:
            await stream.aclose()

    asyncio.run(watch())
    assert len(made) == 1


def test_more_than_enough_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = new_agent(tmp_path, group=None)
    monkeypatch.setattr(viewers, "MOST", 1)

    async def watch() -> None:
        everyone = Viewers(agent)
        first = everyone.watch(lambda: None)
        await anext(first)
        with pytest.raises(UnreachableError, match="1 watch already"):
            await anext(everyone.watch(lambda: None))
        await first.aclose()
        # There is room again.
        again = everyone.watch(lambda: None)
        assert b"snapshot" in await anext(again)
        await again.aclose()

    asyncio.run(watch())


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_takes_nothing_is_let_go_after_a_while() -> None:
    clock, gone = Clock(), []

    async def watch() -> bool:
        one = Viewer(lambda: gone.append(1), b"first", 0, clock)
        clock.now = viewers.PATIENCE_S
        one.offer(b"news")
        was_patient = not one.is_gone
        clock.now += 0.1
        one.offer(b"news")
        one.offer(b"more")
        return was_patient and one.is_gone and await one.take() == b""

    assert asyncio.run(watch())
    assert gone == [1]


def test_who_takes_what_comes_stays_however_long_nothing_came() -> None:
    clock, gone = Clock(), []

    async def watch() -> list[bytes]:
        one = Viewer(lambda: gone.append(1), b"first", 0, clock)
        taken = [await one.take()]
        for _ in range(3):
            clock.now += 10 * viewers.PATIENCE_S
            one.offer(b"a")
            one.offer(b"b")
            taken.append(await one.take())
        return taken

    assert asyncio.run(watch()) == [b"first", b"ab", b"ab", b"ab"]
    assert not gone


def test_who_is_megabytes_behind_is_let_go_at_once() -> None:
    gone: list[int] = []

    async def watch() -> None:
        one = Viewer(lambda: gone.append(1), b"first", 0)
        one.offer(bytes(viewers.BEHIND_BYTES))

    asyncio.run(watch())
    assert gone == [1]


def test_an_event_that_was_in_the_snapshot_is_not_told_again() -> None:
    async def watch() -> bytes:
        one = Viewer(lambda: None, b"", 7)
        one.offer(b"seven", 7)
        one.offer(b"eight", 8)
        return await one.take()

    assert asyncio.run(watch()) == b"eight"


@asynccontextmanager
async def _serving(agent: Agent) -> AsyncIterator[Viewers]:
    agent.run_dir.api.mkdir(exist_ok=True)
    app = build(agent)
    runner = await serve(app, agent.run_dir.api_socket)
    try:
        yield app[VIEWERS]
    finally:
        await runner.cleanup()


def test_a_connection_that_nobody_reads_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = new_agent(tmp_path, group=None)
    monkeypatch.setattr(viewers, "BEHIND_BYTES", 1 << 20)

    async def watch() -> int:
        async with _serving(agent) as everyone:
            with socket.socket(socket.AF_UNIX) as deaf:
                deaf.connect(str(agent.run_dir.api_socket))
                deaf.sendall(b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await until(lambda: len(everyone) == 1, "it watches")
                while len(everyone):
                    agent.events.append("program", "x" * 200_000)
                    await asyncio.sleep(0)
            return len(everyone)

    async def in_time() -> int:
        async with asyncio.timeout(10):
            return await watch()

    assert asyncio.run(in_time()) == 0


def test_a_point_of_the_last_hour_is_kept_and_the_oldest_goes() -> None:
    traffic = Traffic(())

    async def turns() -> None:
        for _ in range(POINTS + 5):
            await traffic.turn()

    asyncio.run(turns())
    found = traffic.points()
    assert len(found) == POINTS
    # No process answered: nothing is known.
    assert found[-1].sessions is None
    assert traffic.points(found[-1].at) == ()
    assert json.dumps(as_plain(found[:1]))
