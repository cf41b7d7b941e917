"""
Who else was heard, and proves nothing: greetings of others, strangers' CARP, and floods. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from lbctl.ha.findings import Foreign
from lbctl.ha.greeting import Claim

K = TypeVar("K")
V = TypeVar("V")

#: Three greetings in a row are missing.
_CLAIM_S = 3.5
_FOREIGN_S = 4.0
#: A speaker with a longer interval comes and goes.
_LONGEST_GAP_S = 20.0
_KEPT = 16
#: So many datagrams in a second that were refused: with one source address, and in all. A host
#: with another password sends six at most.
_LOUD, _LOUD_IN_ALL = 10, 50
_COUNTED = 64
#: The source of a flood that has many.
MANY = "many addresses"


class Hearsay:
    """The last of each, for as long as it counts; a few at most, since anybody can make them up."""

    def __init__(self) -> None:
        self._claims: dict[str, tuple[Claim, float]] = {}
        self._foreign: dict[tuple[str, int], Foreign] = {}
        self._second = -1
        self._refused: Counter[str] = Counter()
        self._refused_before: Counter[str] = Counter()

    def claims(self, claim: Claim, source: str, now: float) -> None:
        """A greeting from *source* that is not of our group."""
        self._claims[source] = replace(claim, source=source), now
        _bound(self._claims, lambda one: one[1])

    def speaks(self, source: str, what: str, vhid: int, now: float) -> None:
        """*source* speaks *what* on protocol 112 with a vhid of ours."""
        before = self._foreign.get((source, vhid))
        keep_s = _FOREIGN_S if before is None else max(before.keep_s, 3 * (now - before.seen))
        self._foreign[source, vhid] = Foreign(source, what, vhid, now, keep_s)
        _bound(self._foreign, lambda one: one.seen)

    def is_known(self, source: str) -> None:
        """It has proven itself: what was claimed from there before is over."""
        self._claims.pop(source, None)

    def refused(self, source: str, now: float) -> None:
        """A datagram that says it is from *source* was not believed."""
        self._begin_second(now)
        is_counted = source in self._refused or len(self._refused) < _COUNTED
        self._refused[source if is_counted else MANY] += 1

    def flooded_by(self, now: float) -> str:
        """The source of most of what was refused in the last whole second; empty: no flood."""
        self._begin_second(now)
        if not self._refused_before:
            return ""
        source, most = self._refused_before.most_common(1)[0]
        total = self._refused_before.total()
        if most < _LOUD and total < _LOUD_IN_ALL:
            return ""
        return source if 2 * most >= total else MANY

    def kin(self, now: float) -> tuple[str, ...]:
        """Who greets with our password, and is of another group."""
        return tuple(one.name for one in self.current(now)[0] if one.is_kin)

    def _begin_second(self, now: float) -> None:
        second = int(now)
        if second != self._second:
            is_next = second == self._second + 1
            self._refused_before = self._refused if is_next else Counter()
            self._second, self._refused = second, Counter()

    def current(self, now: float) -> tuple[tuple[Claim, ...], tuple[Foreign, ...]]:
        """What still counts."""
        self._claims = {k: one for k, one in self._claims.items() if now - one[1] <= _CLAIM_S}
        self._foreign = {
            k: one
            for k, one in self._foreign.items()
            if now - one.seen <= max(one.keep_s, _LONGEST_GAP_S)
        }
        return (
            tuple(claim for claim, _ in self._claims.values()),
            tuple(one for one in self._foreign.values() if now - one.seen <= one.keep_s),
        )


def _bound(among: dict[K, V], seen: Callable[[V], float]) -> None:
    while len(among) > _KEPT:
        del among[min(among, key=lambda one: seen(among[one]))]
