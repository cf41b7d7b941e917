"""What is said of sources of services: events on a change, warnings while something lasts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lbctl.discovery.state import SourceState

#: A source's problems beyond so many are counted.
_PROBLEMS_MOST = 5
_TROUBLE = ("failing", "doubted")


class Troubles:
    """Remembers which sources are out of touch, so that each change is told once."""

    def __init__(self) -> None:
        self._by_source: dict[str, SourceState] = {}

    def news(self, states: Iterable[SourceState], now: float) -> Iterator[tuple[SourceState, str]]:
        """What to tell of *states*, by the wall clock *now*."""
        for one in states:
            known = self._by_source.get(one.source)
            if one.state == "live" and known is not None:
                del self._by_source[one.source]
                yield one, one.back(known, now)
            elif one.state in _TROUBLE and (known is None or known.state != one.state):
                self._by_source[one.source] = one
                yield one, one.sentence(now)

    def forget(self, source: str) -> None:
        """It is no source any more."""
        self._by_source.pop(source, None)


def warnings(states: Iterable[SourceState], now: float) -> list[str]:
    """What the operator should know, in sentences."""
    found: list[str] = []
    for one in states:
        if one.state in _TROUBLE:
            found.append(one.sentence(now))
        found += one.problems[:_PROBLEMS_MOST]
        if (more := len(one.problems) - _PROBLEMS_MOST) > 0:
            found.append(f"{one.source}: {more} more like these")
    return found
