"""A clock that moves when told to."""

from __future__ import annotations


class FakeClock:
    """Monotonic seconds under the test's hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds
