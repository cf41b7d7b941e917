from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.agent.eventlog import KEPT, MAX_BYTES, Event, EventLog, read_events


def _log(directory: Path, max_bytes: int = MAX_BYTES) -> EventLog:
    path = directory / "events.jsonl"
    return EventLog(path, "node", wall=lambda: 42.0, max_bytes=max_bytes)


def test_ids_grow_over_restarts(tmp_path: Path) -> None:
    first = _log(tmp_path).append("program", "one")
    second = _log(tmp_path).append("program", "two", {"pid": 3}, at=41.0)

    assert (first.id, second.id) == (1, 2)
    assert _log(tmp_path).since(0) == (first, second)
    assert second == Event(2, 41.0, "node", "program", "two", {"pid": 3})


@pytest.mark.parametrize(
    "torn",
    [
        *(b'{"id":9,"at"', b"\xff\xfe", b"[]\n", b"null", b'{"id":"x"}', b"[" * 100_000),
        b'{"id":1e999,"at":0,"node":"","kind":"","text":"","fields":{}}',
    ],
)
def test_a_torn_last_line_is_left_out_and_swallows_nothing(tmp_path: Path, torn: bytes) -> None:
    _log(tmp_path).append("program", "one")
    with (tmp_path / "events.jsonl").open("ab") as stream:
        stream.write(torn)

    _log(tmp_path).append("program", "two")

    assert [event.text for event in _log(tmp_path).since(0)] == ["one", "two"]


@given(st.binary(max_size=200))
def test_no_line_raises_anything_but_value_error(line: bytes) -> None:
    try:
        Event.from_json(line)
    except ValueError:
        return


def test_the_file_is_bounded_and_ids_go_on(tmp_path: Path) -> None:
    log = _log(tmp_path, max_bytes=1000)
    for number in range(100):
        log.append("program", f"event {number}")

    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    assert len(sizes) == 2
    assert max(sizes) <= 1000
    again = _log(tmp_path, max_bytes=1000)
    assert again.append("program", "next").id == 101
    assert len(again.since(0)) > 10


def test_memory_is_bounded(tmp_path: Path) -> None:
    log = _log(tmp_path)
    for _ in range(KEPT + 5):
        log.append("program", "again")

    assert len(log.since(0)) == KEPT
    assert [event.id for event in log.last(2)] == [KEPT + 4, KEPT + 5]
    assert log.last(0) == ()


def test_a_file_that_cannot_be_written_costs_the_record_only(tmp_path: Path) -> None:
    directory = tmp_path / "later"
    log = EventLog(directory / "events.jsonl", "node")

    log.append("program", "kept in memory")

    assert [event.text for event in log.last(5)] == ["kept in memory"]
    assert log.error is not None
    assert "No such file" in log.error
    directory.mkdir()
    log.append("program", "written")
    assert log.error is None
    assert b"written" in (directory / "events.jsonl").read_bytes()


def test_a_full_disk_costs_the_record_only(tmp_path: Path) -> None:
    log = _log(tmp_path)
    (tmp_path / "events.jsonl").symlink_to("/dev/full")

    log.append("program", "one")

    assert log.error is not None
    assert os.strerror(28) in log.error


def test_a_follower_gets_what_it_missed_and_what_comes(tmp_path: Path) -> None:
    log = _log(tmp_path)
    log.append("program", "before")
    log.append("program", "missed")

    async def follow() -> list[str | None]:
        seen: list[str | None] = []
        async with aclosing(log.follow(1, beat_s=0.01)) as events:
            async for event in events:
                seen.append(None if event is None else event.text)
                if seen == ["missed"]:
                    log.append("program", "one")
                    log.append("program", "two")
                elif event is None:
                    return seen
        return seen

    assert asyncio.run(follow()) == ["missed", "one", "two", None]


def _with_history(directory: Path, max_bytes: int) -> EventLog:
    path = directory / "events.jsonl"
    return EventLog(path, "node", history=directory / "history.jsonl", max_bytes=max_bytes)


def test_chatter_does_not_push_out_what_moved_the_addresses(tmp_path: Path) -> None:
    log = _with_history(tmp_path, 2000)
    log.append("role", "BACKUP -> MASTER")
    for number in range(200):
        log.append("program", f"nginx ended for the {number}th time")

    events, _ = read_events(tmp_path / "events.jsonl")
    lasting, _ = read_events(tmp_path / "history.jsonl")
    newest = _with_history(tmp_path, 2000).newest("role")

    assert "role" not in {event.kind for event in events}
    assert [event.text for event in lasting] == ["BACKUP -> MASTER"]
    assert newest is not None
    assert newest.text == "BACKUP -> MASTER"


def test_ids_go_on_when_only_the_history_is_left(tmp_path: Path) -> None:
    _with_history(tmp_path, 2000).append("role", "INIT -> BACKUP")
    (tmp_path / "events.jsonl").unlink()

    assert _with_history(tmp_path, 2000).append("role", "next").id == 2


def test_a_history_that_cannot_be_written_is_told_and_costs_no_event(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").mkdir()
    log = _with_history(tmp_path, 2000)
    log.append("role", "INIT -> BACKUP")

    assert "history.jsonl" in (log.error or "")
    assert [event.text for event in _with_history(tmp_path, 2000).since(0)] == ["INIT -> BACKUP"]


def test_lines_that_are_no_events_are_counted(tmp_path: Path) -> None:
    _log(tmp_path).append("program", "one")
    with (tmp_path / "events.jsonl").open("ab") as stream:
        stream.write(b"\x00garbage\n{}\n")

    events, garbage = read_events(tmp_path / "events.jsonl")

    assert ([event.text for event in events], garbage) == (["one"], 2)
