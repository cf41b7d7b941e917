"""Who else was heard, and proves nothing: greetings signed otherwise, and strangers' CARP. Pure."""

from __future__ import annotations

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


class Hearsay:
    """The last of each, for as long as it counts; a few at most, since anybody can make them up."""

    def __init__(self) -> None:
        self._claims: dict[str, tuple[Claim, float]] = {}
        self._foreign: dict[tuple[str, int], Foreign] = {}

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
