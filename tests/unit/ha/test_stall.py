"""A gap in the life of the process is noticed by whoever acts next."""

from __future__ import annotations

import pytest

from lbctl.ha.stall import StallGuard
from tests.fakes.clock import FakeClock


@pytest.mark.parametrize(("gap_s", "told"), [(0.149, []), (0.15, [0.15]), (5.0, [5.0])])
def test_a_gap_as_long_as_a_peer_waits_is_told_of_once(gap_s: float, told: list[float]) -> None:
    clock = FakeClock(0.0)
    guard = StallGuard(clock)
    gaps: list[float] = []
    guard.add(0.15, gaps.append)
    clock.tick(gap_s)
    guard.look()
    guard.look()

    assert gaps == told


def test_each_group_is_told_by_its_own_measure() -> None:
    clock = FakeClock(0.0)
    guard = StallGuard(clock)
    short: list[float] = []
    long: list[float] = []
    guard.add(0.1, short.append)
    guard.add(3.0, long.append)
    clock.tick(1.0)
    guard.look()

    assert (short, long) == ([1.0], [])
