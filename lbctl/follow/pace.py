"""
When to act: the first change at once, a burst gathered, reloads with a pause between them, and a
failure that stays the same tried ever less often.

Pure: the clock's reading is an argument, seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The first retry of what failed comes after so long; each further one after twice the pause.
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Pacing:
    """
    Attributes:
        gather_s: a change that comes within so long of an apply waits for a silence of so long ...
        gather_max_s: ... and no longer than this.
        reload_every_s: from the end of one reload to the begin of the next, at least.
    """

    gather_s: float = 0.05
    gather_max_s: float = 0.5
    reload_every_s: float = 1.0


class Pace:
    """Told what happens; says from when on the next apply, and the next reload, may begin."""

    def __init__(self, pacing: Pacing) -> None:
        self.pacing = pacing
        self._first: float | None = None
        self._last = 0.0
        self._ended: float | None = None
        self._reloaded: float | None = None

    def offered(self, now: float) -> None:
        """Something has changed."""
        self._first = now if self._first is None else self._first
        self._last = now

    def taken(self) -> None:
        """An apply begins, with everything that was offered."""
        self._first = None

    def ended(self, now: float) -> None:
        """The apply is over, well or not."""
        self._ended = now

    def reloaded(self, now: float) -> None:
        """A reload was tried."""
        self._reloaded = now

    def due(self) -> float | None:
        """From when on what was offered may be applied; None: nothing was."""
        if self._first is None:
            return None
        gather_s, most_s = self.pacing.gather_s, self.pacing.gather_max_s
        if self._ended is None or self._first - self._ended >= gather_s:
            return self._first
        silence = max(self._last, self._ended) + gather_s
        return min(silence, max(self._first, self._ended) + most_s)

    def reload_due(self) -> float:
        """From when on a reload may begin."""
        return 0.0 if self._reloaded is None else self._reloaded + self.pacing.reload_every_s


class Backoff:
    """How long the same attempt waits for its next try; another one does not wait."""

    def __init__(self) -> None:
        self._mark = ""
        self._pause_s = 0.0
        self._until = 0.0

    def tried(self, mark: str, now: float) -> None:
        """*mark* is what was tried: the same one again, twice the pause."""
        again = mark == self._mark
        self._pause_s = min(2 * self._pause_s, RETRY_MAX_S) if again else RETRY_FIRST_S
        self._mark, self._until = mark, now + self._pause_s

    def settled(self) -> None:
        """All is as wanted: the next attempt is a first one."""
        self._mark, self._pause_s, self._until = "", 0.0, 0.0

    def until(self, mark: str) -> float:
        """*mark* may be tried from then on."""
        return self._until if mark == self._mark else 0.0
