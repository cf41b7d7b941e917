from __future__ import annotations

import time

import pytest

from lbctl.cli.durations import past, seconds_of
from lbctl.errors import UsageError
from lbctl.glance.durations import duration, moment


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (200.0, "3 m 20 s"),
        (18_060.0, "5 h 01 m"),
        (1_047_600.0, "12 d 3 h"),
    ],
)
def test_durations_are_readable(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1h 30m", 5400), ("1.5h", 5400), ("7d", 604800)],
)
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    assert seconds_of("--for", text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2x", "-1h", "1h then", "1e9s", "٣h"])
def test_no_length_of_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match=r"--for .*: a time like 90s"):
        seconds_of("--for", text)


def test_the_past_is_a_date_or_so_long_ago() -> None:
    noon = time.mktime((2026, 11, 20, 12, 0, 0, 0, 0, -1))

    assert past("--since", "2h", 10_000.0) == 2800.0
    assert past("--since", "2026-11-20 12:00", 0.0) == noon
    assert past("--since", "2026-11-20", 0.0) == noon - 43200
    with pytest.raises(UsageError, match="or a date"):
        past("--since", "yesterday", 0.0)


@pytest.mark.parametrize("at", [1e300, -1e300, float("inf"), float("nan"), 1e12])
def test_a_moment_that_no_calendar_has_is_told_in_seconds(at: float) -> None:
    assert moment(at) == f"{at} s after 1970"


@pytest.mark.parametrize("seconds", [float("inf"), float("nan")])
def test_a_length_without_end_is_none(seconds: float) -> None:
    assert duration(seconds) == "-"
