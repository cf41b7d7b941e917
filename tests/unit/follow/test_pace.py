"""When a change is applied, and when what failed is tried again."""

from __future__ import annotations

from lbctl.follow.pace import RETRY_MAX_S, Backoff, Pace, Pacing

PACING = Pacing(gather_s=0.05, gather_max_s=0.5, reload_every_s=1.0)


def applied(at: float) -> Pace:
    """One that has ended an apply at *at*."""
    pace = Pace(PACING)
    pace.offered(at)
    pace.taken()
    pace.ended(at)
    return pace


def test_nothing_offered_is_never_due() -> None:
    assert Pace(PACING).due() is None


def test_the_first_change_is_due_at_once() -> None:
    pace = Pace(PACING)
    pace.offered(10.0)

    assert pace.due() == 10.0


def test_a_change_after_a_silence_is_due_at_once() -> None:
    pace = applied(10.0)
    pace.offered(10.06)

    assert pace.due() == 10.06


def test_a_change_soon_after_an_apply_waits_for_a_silence() -> None:
    pace = applied(10.0)
    pace.offered(10.01)

    assert pace.due() == 10.01 + 0.05


def test_each_further_change_prolongs_the_wait_up_to_its_bound() -> None:
    pace = applied(10.0)
    for step in range(100):
        pace.offered(10.01 + step * 0.01)

    assert pace.due() == 10.01 + 0.5


def test_what_comes_during_an_apply_is_gathered_behind_it() -> None:
    pace = Pace(PACING)
    pace.offered(10.0)
    pace.taken()
    pace.offered(10.1)
    pace.ended(10.4)

    assert pace.due() == 10.4 + 0.05


def test_a_reload_may_follow_another_after_the_pause() -> None:
    pace = Pace(PACING)
    first = pace.reload_due()
    pace.reloaded(10.0)

    assert first == 0.0
    assert pace.reload_due() == 11.0


def test_the_same_failure_waits_twice_as_long_each_time_up_to_a_bound() -> None:
    backoff = Backoff()
    pauses = []
    for _ in range(9):
        backoff.tried("x", 100.0)
        pauses.append(backoff.until("x") - 100.0)

    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == RETRY_MAX_S


def test_another_attempt_does_not_wait() -> None:
    backoff = Backoff()
    backoff.tried("x", 100.0)

    assert backoff.until("y") == 0.0


def test_a_success_lets_the_same_begin_anew() -> None:
    backoff = Backoff()
    backoff.tried("x", 100.0)
    backoff.tried("x", 101.0)
    backoff.settled()
    at_once = backoff.until("x")
    backoff.tried("x", 200.0)

    assert at_once == 0.0
    assert backoff.until("x") == 201.0
