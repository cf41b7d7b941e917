"""
Lines and bars as SVG paths and rectangles: traffic of the last hour, changes of the last day. Pure.

Owns geometry; what a bar means in words is said here too, for those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from lbctl.api.page.words import clock, weekday

#: Of a line's drawing; ``app.js`` has the same.
WIDTH: Final = 240
HEIGHT: Final = 36
#: Of the traffic's points, in one that is drawn: 120 for the hour.
EACH: Final = 3
STEP: Final = WIDTH / 119

DAY_S: Final = 86400.0
BUCKET_S: Final = 900.0
BUCKETS: Final = 96
LANE_HEIGHT: Final = 30
BUCKET_WIDTH: Final = 10
_WHY_MOST: Final = 6
#: In the order of their lanes: key, title, and how one of it and several are called.
LANES: Final = (
    ("runtime", "at run time", "change at run time", "changes at run time"),
    ("reloads", "reloads", "reload", "reloads"),
    ("failed", "failed", "failure", "failures"),
)
_KEYS: Final = tuple(key for key, *_ in LANES)


@dataclass(frozen=True, slots=True)
class Line:
    """
    Attributes:
        values: what is drawn, oldest first; ``app.js`` goes on from there.
        path: of the line.
        area: of what is under it.
        peak: the highest of *values*.
    """

    values: tuple[float, ...]
    path: str
    area: str
    peak: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """
    What was changed within a quarter of an hour.

    Attributes:
        at: when it begins: wall clock, seconds.
        counts: by lane.
        bars: x, y, height by lane, of those that are not empty.
        text: all of it in words, with the last reasons.
        why: the last reasons alone.
    """

    at: float
    counts: Mapping[str, int]
    bars: Mapping[str, tuple[int, float, float]]
    text: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """
    Attributes:
        buckets: those in which something happened, oldest first.
        totals: by lane.
        labels: of the time axis, evenly spaced.
    """

    buckets: tuple[Bucket, ...]
    totals: Mapping[str, int]
    labels: tuple[str, ...]


def line(values: Sequence[float]) -> Line:
    """
    Of the last hour; the scale begins at 0, and what is not known is left free on the left.

    Args:
        values: one for each ten seconds, oldest first; no more than :data:`EACH` for each point.
    """
    shown = _averaged(values)
    peak = max(shown, default=0.0)
    if len(shown) < 2:
        return Line(shown, "", "", peak)
    left = WIDTH - STEP * (len(shown) - 1)
    scale = (HEIGHT - 2) / (peak or 1.0)
    places = [(left + STEP * i, HEIGHT - 1 - value * scale) for i, value in enumerate(shown)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return Line(shown, path, f"{path}V{HEIGHT}H{left:.1f}Z", peak)


def changes(ledger: Iterable[Mapping[str, Any]], now: float) -> Changes:
    """The day before *now*; *ledger*: the live picture's, one entry for each span with a change."""
    end = (now // BUCKET_S + 1) * BUCKET_S
    start = end - DAY_S
    found: dict[int, tuple[dict[str, int], list[str]]] = {}
    for entry in ledger:
        place = int((float(entry.get("at") or 0.0) - start) // BUCKET_S)
        if 0 <= place < BUCKETS:
            counts, why = found.setdefault(place, (dict.fromkeys(_KEYS, 0), []))
            for key in counts:
                counts[key] += int(entry.get(key) or 0)
            why += map(str, entry.get("reasons") or ())
    found = {place: one for place, one in found.items() if any(one[0].values())}
    most = {key: max((one[0][key] for one in found.values()), default=0) for key in _KEYS}
    buckets = [_bucket(start, place, *found[place], most) for place in sorted(found)]
    totals = {key: sum(one.counts[key] for one in buckets) for key in _KEYS}
    labels = tuple(weekday(start + part * DAY_S / 4) for part in range(5))
    return Changes(tuple(buckets), totals, labels)


def _bucket(
    start: float, place: int, counts: Mapping[str, int], why: Sequence[str], most: Mapping[str, int]
) -> Bucket:
    bars = {}
    for lane, key in enumerate(_KEYS):
        if counts[key]:
            # By the root, so that one beside a hundred is still seen.
            height = 4 + (LANE_HEIGHT - 8) * (counts[key] / most[key]) ** 0.5
            bottom = (lane + 1) * LANE_HEIGHT - 1
            bars[key] = (place * BUCKET_WIDTH + 1, round(bottom - height, 1), round(height, 1))
    at = start + place * BUCKET_S
    said = ((counts[key], one, more) for key, _, one, more in LANES)
    what = ", ".join(f"{count} {one if count == 1 else more}" for count, one, more in said if count)
    reasons = tuple(dict.fromkeys(reversed(why)))[:_WHY_MOST]
    told = f": {'; '.join(reasons)}" if reasons else ""
    text = f"{clock(at)} to {clock(at + BUCKET_S)}: {what}{told}"
    return Bucket(at, counts, bars, text, reasons)


def _averaged(values: Sequence[float]) -> tuple[float, ...]:
    """By three; the newest parts are whole ones."""
    first = len(values) % EACH
    edges = [*([0] if first else []), *range(first, len(values) + 1, EACH)]
    return tuple(round(sum(values[a:b]) / (b - a), 2) for a, b in pairwise(edges))
