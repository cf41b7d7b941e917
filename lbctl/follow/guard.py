"""
The blast radius: what takes most of a service's servers away, or the service itself, waits.

A registry that lost its data looks like one whose services have all gone. Such a loss is held back,
and goes through when it lasts, or when the operator confirms it. Numbers count, not names: servers
that are replaced by as many others are no loss.

Pure: the clock's reading is an argument, seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """
    A loss that waits.

    Attributes:
        name: of the service.
        had: how many servers it has.
        wants: how many it would have; None: it would be gone.
        since: the clock, when the loss was first asked for.
        until: the clock, when it goes through.
    """

    name: str
    had: int
    wants: int | None
    since: float
    until: float

    def describe(self) -> str:
        """``hello: 3 of 10 servers``, ``hello: gone, with 10 servers``."""
        servers = f"{self.had} server{'' if self.had == 1 else 's'}"
        if self.wants is None:
            return f"{self.name}: gone, with {servers}"
        return f"{self.name}: {self.wants} of {servers}"


class Guard:
    """Remembers since when each loss is asked for, and which ones were confirmed."""

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self._since: dict[str, float] = {}
        self._left: dict[str, int] = {}
        self._confirmed: dict[str, int] = {}
        self._confirms_next = False
        self.held: tuple[Held, ...] = ()

    def judge(
        self, now: float, had: Mapping[str, int], wanted: Mapping[str, int]
    ) -> tuple[Held, ...]:
        """
        Which losses wait.

        Args:
            now: the clock.
            had: servers of each service, as it is applied.
            wanted: the same, as it is asked for.
        """
        lost = {
            name: count
            for name, count in had.items()
            if wanted.get(name) != count and is_loss(count, wanted.get(name))
        }
        left = {name: _left(wanted.get(name)) for name in lost}
        # A loss that grows is another one, and has lasted for no time.
        grown = {name for name in lost if left[name] < self._left.get(name, left[name])}
        self._since = {n: now if n in grown else self._since.get(n, now) for n in lost}
        self._left = left
        self._confirmed = {name: n for name, n in self._confirmed.items() if name in lost}
        if self._confirms_next:
            self._confirmed = dict(left)
            self._confirms_next = False
        self.held = tuple(
            Held(name, count, wanted.get(name), self._since[name], self._since[name] + self.hold_s)
            for name, count in sorted(lost.items())
            if not self._may_go(name, wanted.get(name), now)
        )
        return self.held

    def confirm(self) -> tuple[Held, ...]:
        """Let through what waits now; more of the same service's servers may not follow."""
        self._confirmed |= {one.name: _left(one.wants) for one in self.held}
        return self.held

    def confirm_next(self) -> None:
        """Let through whatever the next judgement would hold back."""
        self._confirms_next = True

    @property
    def due(self) -> float | None:
        """The clock, when the next loss goes through; None: none waits."""
        return min((one.until for one in self.held), default=None)

    def _may_go(self, name: str, wants: int | None, now: float) -> bool:
        if name in self._confirmed and _left(wants) >= self._confirmed[name]:
            return True
        return now - self._since[name] >= self.hold_s


def is_loss(had: int, wants: int | None) -> bool:
    """More than half of the servers, or the service itself; who has none loses none."""
    return had > 0 and 2 * (had - (wants or 0)) > had


def _left(wants: int | None) -> int:
    return -1 if wants is None else wants
