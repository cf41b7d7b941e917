"""How often something may happen: so many times a second, and so many at once. Pure."""

from __future__ import annotations


class Bucket:
    """
    Tokens that come back with time.

    Args:
        per_s: tokens a second.
        burst: how many it holds; it is full at first.
    """

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = float(burst)
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """One token, if there is one; *now* is monotonic seconds."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def put_back(self) -> None:
        """The last one was not needed."""
        self._left = min(self._burst, self._left + 1)
