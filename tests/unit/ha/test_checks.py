"""Rise and fall: when looks become a verdict, and how long one stands."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.ha.checks import STANDS_INTERVALS, STANDS_S, Board, Look, Verdict, Watched
from lbctl.spec import CheckSpec

NOW = 100.0
WEB = CheckSpec("web", "http", "http://127.0.0.1/", interval_s=2.0, rise=2, fall=3, severity=5)
LINK = CheckSpec("uplink", "link", "eth1", interval_s=2.0, rise=3, fall=2)
CRON = CheckSpec("cron", "program", "cron", rise=1, fall=1)

WELL = Look(True, "HTTP 200")
BAD = Look(False, "HTTP 503")
UNSURE = Look(None, "too many open files")


def verdicts(*looks: Look, rise: int = 2, fall: int = 3) -> list[bool | None]:
    """What stands after each look."""
    steps = accumulate(
        looks, lambda v, look: v.after(look, rise=rise, fall=fall), initial=Verdict()
    )
    return [verdict.is_well for verdict in steps][1:]


def board(*checks: CheckSpec) -> Board:
    return Board(checks or (WEB, LINK, CRON))


def states(of: Board, now: float) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in of.as_list(now)}


def test_the_first_success_is_well_at_once() -> None:
    assert verdicts(WELL, rise=9) == [True]


def test_a_start_with_failures_is_unknown_until_enough_of_them() -> None:
    assert verdicts(BAD, BAD, BAD) == [None, None, False]


def test_fall_failures_in_a_row_are_a_fault_and_rise_successes_end_it() -> None:
    looks = (WELL, BAD, BAD, BAD, WELL, WELL)

    assert verdicts(*looks) == [True, True, True, False, False, True]


def test_a_success_between_failures_starts_the_count_anew() -> None:
    assert verdicts(WELL, BAD, BAD, WELL, BAD, BAD)[-1] is True


def test_a_failure_between_successes_starts_the_count_anew() -> None:
    assert verdicts(BAD, BAD, BAD, WELL, BAD, WELL)[-1] is False


def test_a_look_without_an_opinion_counts_for_nothing() -> None:
    assert verdicts(WELL, BAD, BAD, UNSURE, UNSURE, UNSURE)[-1] is True
    assert verdicts(WELL, BAD, BAD, UNSURE, BAD)[-1] is False


def test_the_reason_is_that_of_the_look_that_decided() -> None:
    failed = Verdict(False, "HTTP 503")

    assert failed.after(Look(False, "HTTP 502"), rise=2, fall=3).what == "HTTP 503"


@given(
    st.lists(st.sampled_from([WELL, BAD, UNSURE]), max_size=40),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_a_verdict_turns_only_after_its_number_of_looks_in_a_row(
    looks: list[Look], rise: int, fall: int
) -> None:
    verdict, in_a_row = Verdict(), 0
    for look in looks:
        before = verdict
        verdict = verdict.after(look, rise=rise, fall=fall)
        if look.is_well is None:
            assert verdict == before
            continue
        in_a_row = 0 if look.is_well is before.is_well else in_a_row + 1
        wanted = fall if not look.is_well else 1 if before.is_well is None else rise
        assert (verdict.is_well is not before.is_well) == (in_a_row >= wanted)
        in_a_row = 0 if verdict.is_well is not before.is_well else in_a_row


def test_a_link_is_down_once_that_has_lasted_as_long_as_its_looks() -> None:
    down = Watched().told(LINK, False, NOW)

    assert down.settled(LINK, NOW + 1.9).is_well
    assert not down.settled(LINK, NOW + 2.0).is_well


def test_a_link_that_is_looked_at_again_and_again_is_down_as_soon() -> None:
    link = Watched()
    for n in range(5):
        link = link.told(LINK, False, NOW + 0.5 * n)

    assert not link.settled(LINK, NOW + 2.0).is_well


def test_a_flapping_link_stays_what_it_was() -> None:
    link = Watched()
    for n in range(20):
        link = link.told(LINK, n % 2 == 1, NOW + n)
        assert link.settled(LINK, NOW + n).is_well


def test_a_link_that_fell_is_well_again_after_its_rise() -> None:
    link = Watched().told(LINK, False, NOW).settled(LINK, NOW + 2).told(LINK, True, NOW + 3)

    assert not link.settled(LINK, NOW + 6.9).is_well
    assert link.settled(LINK, NOW + 7.0).is_well


def test_with_fall_1_a_link_is_down_at_once() -> None:
    assert not Watched().told(CRON, False, NOW).settled(CRON, NOW).is_well


def test_what_nobody_has_told_of_is_unknown_and_no_fault() -> None:
    b = board()

    assert set(states(b, NOW).values()) == {"unknown"}
    assert not list(b.failing(NOW))


def test_a_failed_check_is_told_with_its_words_and_severity() -> None:
    b = board()
    b.verdict("web", False, "HTTP 503", NOW)

    (failing,) = b.failing(NOW)
    assert (failing.name, failing.what, failing.severity) == ("web", "HTTP 503", 5)
    assert b.as_list(NOW)[0] == {
        "name": "web",
        "kind": "http",
        "state": "fault",
        "what": "HTTP 503",
        "severity": 5,
    }


@pytest.mark.parametrize("interval_s", [0.1, 2.0, 60.0])
def test_a_verdict_that_nobody_repeats_is_unknown_after_three_intervals(interval_s: float) -> None:
    b = board(replace(WEB, interval_s=interval_s))
    stands_s = max(STANDS_S, STANDS_INTERVALS * interval_s)
    b.verdict("web", False, "HTTP 503", NOW)

    assert states(b, NOW + stands_s - 0.01) == {"web": "fault"}
    assert states(b, NOW + stands_s) == {"web": "unknown"}


def test_a_verdict_that_is_repeated_stands_and_keeps_its_words() -> None:
    b = board(WEB)
    for n in range(30):
        b.verdict("web", False, f"HTTP 503 for the {n}. time", NOW + n)

    assert [f.what for f in b.failing(NOW + 30)] == ["HTTP 503 for the 0. time"]


def test_only_the_link_that_a_check_is_about_counts() -> None:
    b = board(LINK)
    b.link("eth9", False, NOW)
    b.link("eth1", True, NOW)
    assert states(b, NOW + 60) == {"uplink": "well"}
    b.link("eth1", False, NOW + 60)

    assert [f.what for f in b.failing(NOW + 62)] == ["eth1 has no link"]


def test_a_link_that_is_up_for_too_short_a_time_still_says_what_was_wrong() -> None:
    b = board(LINK)
    b.link("eth1", False, NOW)
    assert states(b, NOW + 2) == {"uplink": "fault"}
    b.link("eth1", True, NOW + 3)

    assert [f.what for f in b.failing(NOW + 4)] == ["eth1 has no link"]


def test_the_agents_own_check_is_shown_when_it_was_told_of_and_costs_little() -> None:
    b = board()
    before = states(b, NOW)
    b.verdict("discovery", False, "consul: not heard yet", NOW)

    (failing,) = b.failing(NOW)
    assert (failing.what, failing.severity) == ("consul: not heard yet", 2)
    assert "discovery" not in before
    assert states(b, NOW)["discovery"] == "fault"


def test_a_check_of_the_operators_with_its_name_is_his() -> None:
    b = board(replace(WEB, name="discovery"))

    assert [one["kind"] for one in b.as_list(NOW)] == ["http"]


def test_a_verdict_about_what_is_watched_here_or_unknown_is_ignored() -> None:
    b = board()
    for name in ("uplink", "cron", "nobody asked"):
        b.verdict(name, False, "forged", NOW)

    assert not list(b.failing(NOW))
