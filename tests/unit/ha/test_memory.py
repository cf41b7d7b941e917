"""What the native engine remembers over a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lbctl.ha.counter import MARGIN_TICKS, ticks_at
from lbctl.ha.memory import Memory

NOW = 1_800_000_000.0
POSITION = ticks_at(NOW)


def facts() -> Mapping[str, Any]:
    return {"position": POSITION, "sources": {"natives": {}}, "advskew": 7, "started_at": 5.0}


def saved(path: Path, *, is_last: bool) -> Memory:
    memory = Memory(path, NOW)
    memory.ask(17, facts)
    memory.write(memory.text(is_last=is_last))
    return Memory(path, NOW)


@pytest.mark.parametrize(("is_last", "margin"), [(True, 0), (False, MARGIN_TICKS)])
def test_counters_go_on_after_the_last_that_may_have_been_used(
    tmp_path: Path, is_last: bool, margin: int
) -> None:
    memory = saved(tmp_path / "carp.json", is_last=is_last)

    assert memory.position(17) == POSITION + margin
    assert memory.position(18) == 0


def test_an_advskew_is_remembered_for_the_life_of_the_bundle(tmp_path: Path) -> None:
    memory = saved(tmp_path / "carp.json", is_last=True)

    assert memory.advskew(17, 5.0, default=0) == 7
    assert memory.advskew(17, 6.0, default=0) == 0


def test_the_file_is_closed_to_others(tmp_path: Path) -> None:
    saved(tmp_path / "carp.json", is_last=True)

    assert (tmp_path / "carp.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"groups": 5}', '{"groups": {"17": 5}}', "[" * 100_000]
)
def test_garbage_is_taken_as_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "carp.json"
    path.write_text(text)
    memory = Memory(path, NOW)

    assert memory.position(17) == 0
    assert memory.advskew(17, 5.0, default=3) == 3
    assert memory.sources(17) == {}


def test_a_position_ten_years_ahead_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "carp.json"
    ahead = ticks_at(NOW + 11 * 365.25 * 86_400)
    path.write_text(json.dumps({"groups": {"17": {"position": ahead}}}))

    assert Memory(path, NOW).position(17) == 0


def test_a_directory_that_became_a_fifo_is_told_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / "ha")
    memory = Memory(tmp_path / "ha" / "carp.json", NOW)
    memory.ask(17, facts)
    for _ in range(3):
        memory.write(memory.text())

    assert "is no directory" in memory.trouble
    assert "goes by the wall clock" in memory.trouble
    assert len(caplog.records) == 1


def test_a_directory_that_is_back_is_written_to_and_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "ha" / "carp.json"
    memory = Memory(path, NOW)
    memory.ask(17, facts)
    memory.write(memory.text())
    assert "No such file" in memory.trouble
    path.parent.mkdir(mode=0o700)
    memory.write(memory.text(is_last=True))

    assert memory.trouble == ""
    assert Memory(path, NOW).position(17) == POSITION
