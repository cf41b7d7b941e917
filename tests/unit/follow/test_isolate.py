"""Whoever is refused is found, whether HAProxy names a line or not, and nobody else is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from lbctl.follow.isolate import Isolated, Refusal, isolate
from lbctl.model.service import Service

SERVICES = tuple(Service(name=f"s{number:02d}") for number in range(32))


class Judge:
    """Refuses some, and counts how often it was asked."""

    def __init__(self, bad: set[str], *, names: bool, frame: str = "") -> None:
        self.bad = bad
        self.names = names
        self.frame = frame
        self.asked = 0

    async def __call__(self, services: Sequence[Service]) -> tuple[Refusal, ...]:
        self.asked += 1
        if self.frame:
            return (Refusal(self.frame),)
        bad = [one.name for one in services if one.name in self.bad]
        return tuple(Refusal(f"{name} is bad", name if self.names else "") for name in bad)


def found(judge: Judge, good: frozenset[str] = frozenset()) -> Isolated:
    return asyncio.run(isolate(SERVICES, good, judge))


@given(st.sets(st.sampled_from([one.name for one in SERVICES]), max_size=5), st.booleans())
def test_exactly_the_bad_ones_are_found(bad: set[str], names: bool) -> None:
    assert set(found(Judge(bad, names=names)).refused) == bad


def test_named_lines_take_two_questions() -> None:
    judge = Judge({"s03", "s17"}, names=True)

    assert found(judge).refused == {"s03": "s03 is bad", "s17": "s17 is bad"}
    assert judge.asked == 2


def test_one_new_service_among_good_ones_is_found_at_once() -> None:
    judge = Judge({"s17"}, names=False)
    good = frozenset(one.name for one in SERVICES) - {"s17"}

    assert set(found(judge, good).refused) == {"s17"}
    assert judge.asked <= 5


def test_what_is_refused_without_any_service_is_nobodys_fault() -> None:
    isolated = found(Judge(set(), names=False, frame="no such word"))

    assert isolated == Isolated({}, (Refusal("no such word"),))


def test_too_many_nameless_ones_are_left_out_with_all_that_is_new() -> None:
    judge = Judge({one.name for one in SERVICES[10:]}, names=False)
    good = frozenset(one.name for one in SERVICES[:10])

    assert set(found(judge, good).refused) == judge.bad
    assert judge.asked < 60
