"""How often something may happen."""

from __future__ import annotations

from lbctl.ha.bucket import Bucket


def test_a_burst_and_then_so_many_a_second() -> None:
    bucket = Bucket(per_s=5, burst=3)
    taken = sum(bucket.take(1000 + n / 100) for n in range(1000))

    assert taken == 3 + 49


def test_a_long_rest_gives_no_more_than_the_burst() -> None:
    bucket = Bucket(per_s=5, burst=3)
    bucket.take(1000.0)

    assert [bucket.take(5000.0) for _ in range(4)] == [True, True, True, False]


def test_what_is_put_back_can_be_taken_and_is_never_more_than_the_burst() -> None:
    bucket = Bucket(per_s=5, burst=2)
    taken = [bucket.take(1000.0) for _ in range(3)]
    bucket.put_back()

    assert [*taken, bucket.take(1000.0), bucket.take(1000.0)] == [True, True, False, True, False]

    for _ in range(9):
        bucket.put_back()

    assert sum(bucket.take(1000.0) for _ in range(9)) == 2


def test_a_clock_that_stands_still_gives_nothing() -> None:
    bucket = Bucket(per_s=5, burst=1)

    assert [bucket.take(1.0) for _ in range(3)] == [True, False, False]
