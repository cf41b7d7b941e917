from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.ha.ranges import Losses, Ranges

numbers = st.integers(0, 40)


@given(st.lists(st.tuples(numbers, st.integers(0, 5))))
def test_ranges_hold_what_was_put_in_and_nothing_else(added: list[tuple[int, int]]) -> None:
    ranges, expected = Ranges(), set()
    for low, more in added:
        ranges.add(low, through=low + more)
        expected |= set(range(low, low + more + 1))

    assert {number for number in range(-2, 60) if number in ranges} == expected
    assert len(ranges) == sum(number - 1 not in expected for number in expected)


@given(st.lists(numbers), numbers, st.integers(1, 3))
def test_a_number_follows_a_range_that_ends_just_below_it(
    added: list[int], number: int, within: int
) -> None:
    ranges = Ranges()
    for one in added:
        ranges.add(one)
    is_near = any(number - near in ranges for near in range(1, within + 1))

    assert ranges.follows(number, within) is (number not in ranges and is_near)


def test_full_ranges_forget_the_one_that_grew_least_lately() -> None:
    ranges = Ranges(limit=3)
    for number in (10, 20, 30, 11, 40):
        ranges.add(number)

    assert [number in ranges for number in (10, 11, 20, 30, 40)] == [True, True, False, True, True]
    assert ranges.newest(2) == [[10, 11], [40, 40]]


def test_what_is_saved_is_filled_in_again() -> None:
    ranges, again = Ranges(), Ranges()
    for number in (5, 6, 7, 99):
        ranges.add(number)
    again.fill(ranges.newest(10))

    assert again.newest(10) == [[5, 7], [99, 99]]


def share_of(ticks: list[int], interval_s: float = 0.05) -> float:
    losses = Losses()
    for one in ticks:
        losses.heard(one, interval_s)
    return losses.share


def sent(many: int, period_s: float = 0.025) -> list[int]:
    return [int(number * period_s / 0.004) for number in range(many)]


@pytest.mark.parametrize("interval_s", [0.02, 0.03, 0.05, 0.1, 1.0])
def test_a_clean_link_has_no_loss_though_ticks_are_coarse(interval_s: float) -> None:
    assert share_of(sent(500, interval_s / 2), interval_s) == 0.0


@pytest.mark.parametrize("interval_s", [0.02, 0.05, 1.0])
def test_every_third_packet_missing_is_a_loss_of_a_third(interval_s: float) -> None:
    ticks = [one for at, one in enumerate(sent(300, interval_s / 2)) if at % 3]

    assert share_of(ticks, interval_s) == pytest.approx(1 / 3, abs=0.02)


def test_a_packet_said_twice_at_once_is_no_loss() -> None:
    assert share_of([0, 6, 7, 12, 18, 19, 25]) == 0.0


def test_loss_is_forgotten_after_64_packets() -> None:
    ticks = [one for at, one in enumerate(sent(300)) if at >= 40 or at % 2]

    assert share_of(ticks) == 0.0


def test_a_time_without_being_master_is_no_loss() -> None:
    assert share_of([0, 6, 12, 5000, 5006]) == 0.0

    losses = Losses()
    for one in (0, 6):
        losses.heard(one, 0.05)
    losses.ended()
    losses.heard(100, 0.05)

    assert losses.share == 0.0
