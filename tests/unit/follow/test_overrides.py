"""What the operator wants of servers: kept, applied, forgotten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.follow.overrides import KEPT_S, Overrides
from lbctl.model.target import Target, TargetBackend, TargetServer

A, B = TargetServer("a", 1, "10.0.0.1:80"), TargetServer("b", 2, "10.0.0.2:80")
TARGET = Target(
    "",
    {
        "hello": TargetBackend("hello", "backend hello\n", servers=(A, B)),
        "other": TargetBackend("other", "backend other\n", servers=(A,)),
    },
)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "server-states.json"


def test_it_survives(path: Path) -> None:
    Overrides(path).set(("hello", "a"), by="root@a", at=5.0, admin="drain", weight=7)
    one = Overrides(path).get(("hello", "a"))

    assert one is not None
    assert (one.admin, one.weight, one.by, one.at) == ("drain", 7, "root@a", 5.0)
    assert path.stat().st_mode & 0o007 == 0


def test_what_is_not_said_stays_as_it_was_wanted(path: Path) -> None:
    overrides = Overrides(path)
    overrides.set(("hello", "a"), by="x", at=0.0, weight=7)
    overrides.set(("hello", "a"), by="x", at=1.0, admin="maint")

    assert overrides.set(("hello", "a"), by="x", at=2.0, admin="ready").weight == 7


def test_ready_overrules_a_source_until_that_says_so_itself(path: Path) -> None:
    overrides = Overrides(path)
    drained = TargetBackend("hello", "backend hello\n", servers=(replace(A, admin="drain"), B))
    target = Target("", {"hello": drained})
    overrides.set(("hello", "a"), by="x", at=0.0, admin="ready", weight=7, is_own=True)
    overrides.forget_ready(target)
    kept = overrides.applied(target).backends["hello"].servers[0]
    overrides.forget_ready(TARGET)
    later = overrides.applied(target).backends["hello"].servers[0]

    assert (kept.admin, kept.weight) == ("ready", 7)
    assert (later.admin, later.weight) == ("drain", 7)


def test_ready_needs_no_memory_but_for_the_operators_own_servers(path: Path) -> None:
    overrides = Overrides(path)
    for key, is_own in ((("hello", "a"), False), (("own", "a"), True)):
        overrides.set(key, by="x", at=0.0, admin="drain")
        overrides.set(key, by="x", at=0.0, admin="ready", is_own=is_own)

    assert [key for key, _ in Overrides(path).items()] == [("own", "a")]


def test_it_is_applied_to_its_server_alone(path: Path) -> None:
    overrides = Overrides(path)
    overrides.set(("hello", "b"), by="x", at=0.0, admin="drain", weight=9)
    applied = overrides.applied(TARGET)
    first, second = applied.backends["hello"].servers

    assert (first, second.admin, second.weight) == (A, "drain", 9)
    assert applied.backends["other"] is TARGET.backends["other"]


def test_without_any_the_target_is_the_same_object(path: Path) -> None:
    overrides = Overrides(path)
    overrides.set(("nowhere", "b"), by="x", at=0.0, admin="drain")

    assert overrides.applied(TARGET) is TARGET


def test_a_vanished_servers_state_is_forgotten_after_a_day(path: Path) -> None:
    overrides = Overrides(path)
    overrides.set(("hello", "a"), by="x", at=0.0, admin="drain")
    overrides.note_present((), 100.0)
    kept = overrides.note_present((), 100.0 + KEPT_S - 1)
    forgotten = Overrides(path).note_present((), 100.0 + KEPT_S)

    assert kept == ()
    assert forgotten == (("hello", "a"),)


def test_one_that_comes_back_in_time_is_what_it_was(path: Path) -> None:
    overrides = Overrides(path)
    overrides.set(("hello", "a"), by="x", at=0.0, admin="drain")
    overrides.note_present((), 100.0)
    overrides.note_present([("hello", "a")], 200.0)

    assert overrides.note_present((), 100.0 + KEPT_S) == ()


ROW = {
    "backend": "b",
    "server": "s",
    "admin": "drain",
    "weight": 1,
    "at": 0,
    "by": "x",
    "gone_at": None,
}


def test_a_row_is_taken_up(path: Path) -> None:
    path.write_text(json.dumps({"servers": [ROW]}))

    assert len(Overrides(path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"servers": [{}]}',
        json.dumps({"servers": [{**ROW, "gone_at": "yesterday"}]}),
        json.dumps({"servers": [{**ROW, "weight": 1.5}]}),
        json.dumps(
            {
                "servers": [
                    {"backend": "b", "server": "s", "admin": "gone", "weight": 1, "at": 0, "by": ""}
                ]
            }
        ),
    ],
)
def test_a_file_that_is_none_is_left_out(path: Path, text: str) -> None:
    path.write_text(text)

    assert len(Overrides(path)) == 0


def test_what_cannot_be_written_holds_in_memory_and_is_told(tmp_path: Path) -> None:
    overrides = Overrides(tmp_path / "nowhere" / "server-states.json")
    overrides.set(("hello", "a"), by="x", at=0.0, admin="drain")

    assert overrides.get(("hello", "a")) is not None
    assert "nowhere" in str(overrides.error)
