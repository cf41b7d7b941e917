"""What turns have done since this process started, as plain numbers: for figures over time."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from lbctl.follow.apply import Applied

#: Turns that count.
DIDS: Final = ("runtime", "reload", "failed")
#: Upper bounds of the classes of durations, seconds; what takes longer is in one more.
BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Durations:
    """Of one kind of turns: how many in each class of :data:`BOUNDS_S`, and their sum, seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0


@dataclass(slots=True)
class Tally:
    """
    Attributes:
        durations: by what was done.
        commands: steps at run time, over all processes.
        last_at: when something was done, wall clock, seconds; None: not yet.
    """

    durations: dict[str, Durations] = field(
        default_factory=lambda: {did: Durations() for did in DIDS}
    )
    commands: int = 0
    last_at: float | None = None

    def count(self, applied: Applied, at: float) -> None:
        """A turn has ended *at*; one that found nothing to do does not count."""
        durations = self.durations.get(applied.did)
        if durations is None:
            return
        durations.counts[bisect_left(BOUNDS_S, applied.took_s)] += 1
        durations.sum_s += applied.took_s
        self.commands += applied.commands
        self.last_at = at if applied.did != "failed" else self.last_at
