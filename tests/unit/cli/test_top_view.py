"""A frame of ``lbctl top``, and what keys do to it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lbctl.cli.top import _keys
from lbctl.cli.top_view import Wish, frame
from lbctl.glance.picture import Picture
from tests.unit.cli.test_status_view import _other, _with

PROXY = {
    "status": "UP",
    "servers_up": 2,
    "servers": 2,
    "sessions": 3,
    "requests_per_s": 12.5,
    "bytes_in_per_s": 1000,
    "bytes_out_per_s": None,
    "5xx_per_s": 0.0,
    "queue": 0,
}


def picture(count: int = 100, **status: Any) -> Picture:
    found = Picture(at=1_700_000_200.0)
    found.status = {**_with(_other()), "programs": [], "warnings": [], **status}
    found.status["haproxy"] = {"version": "2.6.12", "processes": []}
    found.traffic = {"requests_per_s": 1234.5, "errors_5xx_per_s": 0.0}
    found.proxies = {f"service-{n:03d}": PROXY for n in range(count)}
    found.proxies["broken"] = {**PROXY, "status": "DOWN", "servers_up": 0}
    found.events.extend(
        {"id": n, "at": 1_700_000_000.0, "kind": "role", "text": f"event {n} " + "x" * 300}
        for n in range(9)
    )
    return found


def plain(lines: list[str]) -> list[str]:
    """Without colours."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]


@pytest.mark.parametrize("size", [(80, 24), (120, 50), (60, 12), (40, 5), (200, 3)])
def test_a_frame_fills_the_screen_and_no_line_is_too_long(size: tuple[int, int]) -> None:
    width, height = size
    lines = plain(frame(picture(), Wish(), width, height))

    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_a_frame_holds_what_matters_in_80_columns() -> None:
    lines = plain(frame(picture(), Wish(), 80, 24))
    text = "\n".join(lines)

    assert lines[2].startswith("lb1 ")
    assert lines[3].startswith("lb2 ")
    assert "1.2k requests/s" in text
    assert "proxy (101)" in text
    assert re.search(r"^broken +DOWN +0/2 +12 +3 +1k +- +0 +0$", text, re.M)
    assert text.index("broken") < text.index("service-000")
    assert next(line for line in lines if "event 8" in line).endswith("…")
    assert lines[-1].startswith("q quit")
    assert len(lines) == 24


@pytest.mark.parametrize("width", [80, 110])
def test_a_long_name_is_cut_off_and_takes_no_figure_with_it(width: int) -> None:
    seen = picture(1)
    seen.proxies["A" * 60] = PROXY
    lines = plain(frame(seen, Wish(), width, 24))
    titles = next(line for line in lines if line.startswith("proxy"))
    row = next(line for line in lines if line.startswith("AAA"))

    assert titles.split()[2:] == ["state", "up", "req/s", "open", "in/s", "out/s", "5xx/s", "queue"]
    assert re.fullmatch("A+… +UP +2/2 +12 +3 +1k +- +0 +0", row.rstrip())


def test_trouble_is_shown_before_the_figures_and_counted_when_it_is_much() -> None:
    warnings = [f"warning {number}" for number in range(9)]
    text = "\n".join(plain(frame(picture(warnings=warnings), Wish(), 80, 40, "it is gone")))

    assert "!! NOT LIVE: it is gone" in text
    assert "warning 2" in text
    assert "and 6 more: lbctl status" in text
    assert "warning 3" not in text


def test_programs_that_are_not_well_are_named() -> None:
    programs = [{"name": "nginx", "state": "FATAL", "pid": 0}]
    text = "\n".join(plain(frame(picture(programs=programs), Wish(), 80, 24)))

    assert "programs: nginx FATAL" in text


def test_a_name_is_no_markup_and_no_terminal_control() -> None:
    bad = picture(1)
    bad.proxies = {"[red]x[/]\x1b[2J": PROXY}
    bad.status["hostname"] = "[bold]lb1"
    lines = frame(bad, Wish(), 100, 30)

    assert "[red]x[/]" in "\n".join(plain(lines))
    assert not any("\x1b[2J" in line for line in lines)


def test_before_the_first_answer_it_says_what_it_waits_for() -> None:
    assert "waiting for the agent" in "\n".join(frame(Picture(), Wish(), 80, 24))
    assert "permission denied" in "\n".join(frame(Picture(), Wish(), 80, 24, "permission denied"))


def _after(keys: str, wish: Wish | None = None) -> Wish:
    wish = wish or Wish()
    for key in keys:
        wish = wish.pressed(key)
    return wish


def test_keys_sort_scroll_and_filter() -> None:
    assert _after("s").sort == "rate"
    assert _after("ssssss").sort == "trouble"
    assert _after("jj k").first == 11
    assert _after("bb").first == 0
    assert _after("/abq") == Wish(filter="abq", typing="abq")
    assert _after("/ab\x7f\r") == Wish(filter="a")
    assert _after("/ab\x1b") == Wish()
    assert _after("/ab\r\x1b") == Wish()


def test_a_filter_shows_those_alone_and_how_many_they_are() -> None:
    text = "\n".join(plain(frame(picture(), Wish(filter="brok"), 80, 24)))

    assert "proxy (1 of 101)" in text
    assert "service-000" not in text


def test_scrolling_ends_at_the_last() -> None:
    lines = plain(frame(picture(), Wish(sort="name", first=5000), 80, 24))

    assert any(line.startswith("service-099") for line in lines)


def test_an_arrow_scrolls_and_other_sequences_do_nothing() -> None:
    assert _keys("\x1b[B") == ["j"]
    assert _keys("\x1b[15~") == []
    assert _keys("ab") == ["a", "b"]
    assert _keys("\x1b") == ["\x1b"]
