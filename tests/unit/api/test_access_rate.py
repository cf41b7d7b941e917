"""How often one address may ask, and how many addresses are remembered."""

from __future__ import annotations

import pytest

from lbctl.api.access_rate import ADDRESSES_MOST, Pace, Tries, network_of


def test_a_burst_then_as_many_as_come_back() -> None:
    pace = Pace()

    taken = [pace.take("a", 0.0, 2.0, 4.0) for _ in range(6)]

    assert taken == [0.0] * 4 + [0.5, 0.5]
    assert pace.take("b", 0.0, 2.0, 4.0) == 0.0
    assert [pace.take("a", 0.5, 2.0, 4.0) for _ in range(2)] == [0.0, 0.5]
    assert [pace.take("a", 100.0, 2.0, 4.0) for _ in range(5)] == [0.0] * 4 + [0.5]


def test_whoever_is_refused_does_not_put_off_the_next_time() -> None:
    pace = Pace()
    taken = [pace.take("a", at / 100, 1.0, 1.0) for at in range(201)]

    assert [at for at, wait_s in enumerate(taken) if not wait_s] == [0, 100, 200]


def test_a_clock_that_is_set_back_gives_nothing() -> None:
    pace = Pace()
    assert pace.take("a", 10.0, 1.0, 1.0) == 0.0

    assert pace.take("a", 0.0, 1.0, 1.0) == 1.0


def test_so_many_are_remembered_and_those_that_asked_last() -> None:
    pace = Pace()
    for number in range(ADDRESSES_MOST):
        pace.take(number, 0.0, 1.0, 1.0)
    pace.take(0, 0.0, 1.0, 1.0)
    pace.take("new", 0.0, 1.0, 1.0)

    assert len(pace) == ADDRESSES_MOST
    assert pace.wait_s(0, 0.0, 1.0, 1.0) == 1.0
    assert pace.wait_s(1, 0.0, 1.0, 1.0) == 0.0


def test_a_guess_counts_no_more_often_than_one_in_ten_seconds() -> None:
    tries = Tries()
    counted = [at for at in range(101) if not tries.judge("a", False, float(at))]

    assert counted == [*range(5), 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]


def test_while_guesses_do_not_count_the_right_one_does_not_either() -> None:
    tries = Tries()
    for _ in range(5):
        tries.judge("a", False, 0.0)

    assert tries.judge("a", True, 0.0) == 10.0
    assert tries.judge("b", True, 0.0) == 0.0
    assert tries.judge("a", True, 10.0) == 0.0


def test_who_was_right_within_the_hour_is_believed() -> None:
    tries = Tries()
    tries.judge("a", True, 0.0)
    for _ in range(9):
        tries.judge("a", False, 3599.0)

    assert tries.judge("a", True, 3599.0) == 0.0

    other = Tries()
    other.judge("a", True, 0.0)
    for _ in range(9):
        other.judge("a", False, 3600.0)

    assert other.judge("a", True, 3600.0) > 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("nonsense", "nonsense"),
    ],
)
def test_a_host_is_its_address_or_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
