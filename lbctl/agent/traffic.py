"""
The last hour's traffic, a point every ten seconds: what is remembered when nobody looks.

A few numbers of the frontends alone, which are few; a process that does not answer is left out of
a point, and without any the point says that nothing is known.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lbctl.agent.sampler import Sample, Sampler
from lbctl.haproxy.proxies import FRONTENDS_COMMAND
from lbctl.spec import HaproxyProcess

EVERY_S = 10.0
#: An hour.
POINTS = 360


@dataclass(frozen=True, slots=True)
class Point:
    """
    The traffic of ten seconds; None: not known.

    Attributes:
        at: wall clock, seconds, of their end.
        sessions: then.
        session_rate: a second.
        requests_per_s: a second.
    """

    at: float
    sessions: int | None = None
    session_rate: float | None = None
    requests_per_s: float | None = None


class Traffic:
    """Remembers; :meth:`run` is its life."""

    def __init__(self, processes: Sequence[HaproxyProcess]) -> None:
        self._sampler = Sampler(processes, dict, command=FRONTENDS_COMMAND)
        self._points: deque[Point] = deque(maxlen=POINTS)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(EVERY_S)

    async def turn(self) -> None:
        """One point. The first says what HAProxy counted in the second before."""
        self._points.append(point(await self._sampler.sample()))

    def points(self, since: float = 0.0) -> tuple[Point, ...]:
        """Those after *since* (wall clock, seconds), oldest first."""
        return tuple(point for point in self._points if point.at > since)


def point(sample: Sample) -> Point:
    if not sample.proxies:
        return Point(sample.at)
    said = sample.traffic
    return Point(sample.at, said["sessions"], said["session_rate"], said["requests_per_s"])


def as_plain(points: Iterable[Point]) -> Mapping[str, list[Any]]:
    """One list for each of a point's fields, as JSON has it."""
    rows = tuple(points)
    return {
        "at": [round(one.at, 1) for one in rows],
        "sessions": [one.sessions for one in rows],
        "session_rate": [one.session_rate for one in rows],
        "requests_per_s": [one.requests_per_s for one in rows],
    }
