"""Which losses wait, how long, and what lets them through."""

from __future__ import annotations

import pytest

from lbctl.follow.guard import Guard, is_loss


@pytest.mark.parametrize(
    ("had", "wants", "loses"),
    [
        (10, 5, False),
        (10, 4, True),
        (3, 2, False),
        (3, 1, True),
        (2, 1, False),
        (1, 0, True),
        (1, None, True),
        (0, None, False),
        (0, 0, False),
        (4, 9, False),
    ],
)
def test_more_than_half_of_the_servers_is_a_loss(had: int, wants: int | None, loses: bool) -> None:
    assert is_loss(had, wants) is loses


def test_a_loss_waits_and_goes_through_when_it_lasts() -> None:
    guard = Guard(30.0)
    first = guard.judge(100.0, {"a": 4}, {"a": 1})
    later = guard.judge(129.9, {"a": 4}, {"a": 1})

    assert [(one.name, one.had, one.wants, one.until) for one in first] == [("a", 4, 1, 130.0)]
    assert later == first
    assert guard.due == 130.0
    assert guard.judge(130.0, {"a": 4}, {"a": 1}) == ()


def test_a_loss_that_grows_waits_anew() -> None:
    guard = Guard(30.0)
    guard.judge(100.0, {"a": 4}, {"a": 1})

    assert guard.judge(110.0, {"a": 4}, {})[0].since == 110.0


def test_a_loss_that_shrinks_goes_on_waiting_since_it_began() -> None:
    guard = Guard(30.0)
    guard.judge(100.0, {"a": 9}, {})

    assert guard.judge(110.0, {"a": 9}, {"a": 2})[0].since == 100.0


def test_a_loss_that_was_taken_back_waits_anew() -> None:
    guard = Guard(30.0)
    guard.judge(100.0, {"a": 4}, {"a": 1})
    guard.judge(110.0, {"a": 4}, {"a": 4})

    assert guard.judge(120.0, {"a": 4}, {"a": 1})[0].since == 120.0


def test_what_is_confirmed_goes_through_and_more_of_it_does_not() -> None:
    guard = Guard(30.0)
    guard.judge(100.0, {"a": 4, "b": 4}, {"a": 1, "b": 4})
    guard.confirm()

    assert guard.judge(101.0, {"a": 4, "b": 4}, {"a": 1, "b": 1})[0].name == "b"
    assert [one.name for one in guard.judge(102.0, {"a": 4}, {})] == ["a"]


def test_the_next_judgement_can_be_confirmed_before_it_is_made() -> None:
    guard = Guard(30.0)
    guard.confirm_next()

    assert guard.judge(100.0, {"a": 4}, {}) == ()
    assert guard.judge(101.0, {"a": 4}, {}) == ()
    assert guard.judge(102.0, {"b": 4}, {})[0].name == "b"


def test_without_a_wait_nothing_is_held() -> None:
    assert Guard(0.0).judge(100.0, {"a": 4}, {}) == ()
