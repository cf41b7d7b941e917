"""What turns have done, counted."""

from __future__ import annotations

import pytest

from lbctl.follow.apply import Applied, Did
from lbctl.follow.tally import BOUNDS_S, DIDS, Tally


@pytest.mark.parametrize("did", DIDS)
def test_a_turn_counts_where_it_belongs_and_by_how_long_it_took(did: Did) -> None:
    tally = Tally()
    tally.count(Applied(did, commands=3, took_s=0.03), 7.0)
    found = tally.durations[did]

    assert sum(found.counts) == 1
    assert found.counts[BOUNDS_S.index(0.05)] == 1
    assert found.sum_s == 0.03
    assert tally.commands == 3
    assert tally.last_at == (None if did == "failed" else 7.0)
    assert all(not sum(tally.durations[other].counts) for other in DIDS if other != did)


def test_a_bound_belongs_to_its_class_and_what_is_longer_than_all_to_the_last() -> None:
    tally = Tally()
    for took_s in (0.005, 11.0):
        tally.count(Applied("reload", took_s=took_s), 1.0)

    assert tally.durations["reload"].counts[0] == 1
    assert tally.durations["reload"].counts[-1] == 1


def test_a_turn_that_found_nothing_to_do_does_not_count() -> None:
    tally = Tally()
    tally.count(Applied("nothing"), 7.0)

    assert tally == Tally()
