"""
A process that did not run for a while must know it before it says or renews anything: meanwhile
another node may have taken over.

CLOCK_BOOTTIME, which goes on while the host is suspended, is compared with the last turn of the
event loop. Whoever is about to act looks first; and somebody looks at least every
:attr:`StallGuard.beat_s`, so that a gap means something.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Turns within the shortest time that counts as a stall: each costs, and each may be a bit late.
_BEATS = 1.5
_NEVER = float("inf")

OnStall = Callable[[float], None]


def boot_clock() -> float:
    """Seconds since the host was started, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class StallGuard:
    """One for the process."""

    def __init__(self, clock: Callable[[], float] = boot_clock) -> None:
        self._clock = clock
        self._turned_at = clock()
        self._watchers: list[tuple[float, OnStall]] = []
        self._shortest_s = _NEVER

    def add(self, longest_s: float, on_stall: OnStall) -> None:
        """Call *on_stall*, with the seconds, when nothing ran for *longest_s* or longer."""
        self._watchers.append((longest_s, on_stall))
        self._shortest_s = min(self._shortest_s, longest_s)

    @property
    def beat_s(self) -> float:
        """Somebody must look as often as this, seconds."""
        return self._shortest_s / _BEATS

    def look(self) -> None:
        """Called first by everything that acts."""
        now = self._clock()
        gap_s = now - self._turned_at
        self._turned_at = now
        if gap_s < self._shortest_s:
            return
        for longest_s, on_stall in self._watchers:
            if gap_s >= longest_s:
                on_stall(gap_s)
