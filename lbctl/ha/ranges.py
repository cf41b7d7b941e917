"""Which counters were seen, exactly, as ranges that grow together; and which share is missing."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from lbctl.ha.counter import TICK_S

RANGES_MAX = 4096
_WINDOW = 64


class Ranges:
    """
    A set of numbers, cheap where they come in rows. Full, it forgets the range that grew least
    lately.
    """

    def __init__(self, limit: int = RANGES_MAX) -> None:
        self._limit = limit
        self._lows: list[int] = []
        self._highs: list[int] = []
        self._grown: list[int] = []
        self._turn = 0

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._lows, number) - 1
        return at >= 0 and number <= self._highs[at]

    def __len__(self) -> int:
        """How many ranges there are."""
        return len(self._lows)

    def follows(self, number: int, within: int) -> bool:
        """Whether a range ends at most *within* below *number*."""
        at = bisect_right(self._lows, number) - 1
        return at >= 0 and 0 < number - self._highs[at] <= within

    def add(self, number: int, *, through: int | None = None) -> None:
        """Put in *number*, or all from it *through* another; what is there already may overlap."""
        low, high = number, max(number, number if through is None else through)
        first = bisect_right(self._lows, low) - 1
        if first < 0 or self._highs[first] < low - 1:
            first += 1
        last = first
        while last < len(self._lows) and self._lows[last] <= high + 1:
            low, high = min(low, self._lows[last]), max(high, self._highs[last])
            last += 1
        self._turn += 1
        self._lows[first:last] = [low]
        self._highs[first:last] = [high]
        self._grown[first:last] = [self._turn]
        if len(self._lows) > self._limit:
            self._forget()

    def newest(self, count: int) -> list[list[int]]:
        """Lowest and highest of the ranges that grew last, as JSON takes them."""
        order = sorted(range(len(self._lows)), key=self._grown.__getitem__)
        return [[self._lows[at], self._highs[at]] for at in order[-count:]]

    def fill(self, saved: Iterable[list[int]]) -> None:
        """Put in what :meth:`newest` gave."""
        for low, high in saved:
            self.add(low, through=high)

    def _forget(self) -> None:
        at = self._grown.index(min(self._grown))
        for values in (self._lows, self._highs, self._grown):
            del values[at]


class Losses:
    """
    How many of a native speaker's packets are lost, by the time that each one carries.

    A pause of more than 64 packets is none of the link: it was no MASTER meanwhile.
    """

    __slots__ = ("_last", "_missed", "_missed_sum")

    def __init__(self) -> None:
        self._last = -1
        self._missed: deque[int] = deque(maxlen=_WINDOW)
        self._missed_sum = 0

    @property
    def share(self) -> float:
        """0..1, of about the last 64 packets; with one that was lost it errs on the high side."""
        if not self._missed_sum:
            return 0.0
        return (self._missed_sum + 1) / (len(self._missed) + self._missed_sum + 1)

    def heard(self, ticks: int, interval_s: float) -> None:
        """A packet of *ticks* came from a speaker that sends twice per *interval_s*."""
        if self._last >= 0:
            missed = round((ticks - self._last) * TICK_S / (interval_s / 2)) - 1
            if missed > _WINDOW:
                self._forget()
            else:
                self._count(max(0, missed))
        self._last = ticks

    def ended(self) -> None:
        """It stopped speaking: what comes next is no gap."""
        self._last = -1

    def _count(self, missed: int) -> None:
        if len(self._missed) == _WINDOW:
            self._missed_sum -= self._missed[0]
        self._missed.append(missed)
        self._missed_sum += missed

    def _forget(self) -> None:
        self._missed.clear()
        self._missed_sum = 0
