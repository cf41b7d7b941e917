"""Lines of an hour and bars of a day; numbers and ages in words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lbctl.api.page import words
from lbctl.api.page.plots import BUCKET_S, BUCKETS, HEIGHT, WIDTH, changes, line
from tests.pictures import AT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0, "0"), (4.24, "4.2"), (9.96, "10"), (312, "312"), (999.6, "1.0 k"), (1234, "1.2 k")],
        *[(2.5e6, "2.5 M"), (0.04, "0.0"), (None, "–"), (math.nan, "–"), (True, "–")],  # noqa: RUF001
    ],
)
def test_a_number_is_short(value: Any, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "0 s"), (200, "3 m 20 s"), (18060, "5 h 01 m"), (1_047_600, "12 d 3 h"), (-5, "0 s")],
)
def test_an_age_has_two_parts_at_most(seconds: float, text: str) -> None:
    assert words.age(seconds) == text
    assert words.moment(1e300) == words.NONE


def test_a_line_ends_at_the_right_and_begins_where_something_is_known() -> None:
    hour, minute = line([1.0] * 360), line([0.0, 0.0, 0.0, 6.0, 6.0, 6.0])

    assert len(hour.values) == 120
    assert hour.path.startswith("M0.0 1.0")
    assert minute.values == (0.0, 6.0)
    assert minute.path == f"M{WIDTH - WIDTH / 119:.1f} {HEIGHT - 1}.0L{WIDTH:.1f} 1.0"
    assert (minute.peak, line([]).path, line([5.0]).path) == (6.0, "", "")


def test_the_day_has_a_bar_for_each_quarter_of_an_hour_with_its_reasons() -> None:
    span = {"at": AT, "reloads": 1, "runtime": 0, "failed": 0, "reasons": ["a: new"]}
    later = {**span, "at": AT + 300, "reloads": 0, "runtime": 4, "reasons": ["b: gone"]}
    long_ago = {**span, "at": AT - 2 * 86400}

    day = changes([long_ago, span, later], AT + 600)
    (bucket,) = day.buckets

    assert dict(day.totals) == {"runtime": 4, "reloads": 1, "failed": 0}
    assert set(bucket.bars) == {"runtime", "reloads"}
    assert bucket.at == AT - AT % BUCKET_S
    assert bucket.text.endswith(": 4 changes at run time, 1 reload: b: gone; a: new")
    assert {x for x, _, _ in bucket.bars.values()} == {(BUCKETS - 1) * 10 + 1}
    assert not changes([], AT).buckets
