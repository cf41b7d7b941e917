"""
Which services HAProxy refuses, so that the others can go through.

HAProxy names lines, and a line is mostly somebody's. Where it is nobody's, halves are tried: first
what is known to be good, then more and more of what is new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from lbctl.model.service import Service

#: So many are searched by halves, ten questions each; more than that are left out together.
SEARCHED_MOST = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    What HAProxy said against a configuration.

    Attributes:
        what: its words, or ours.
        service: whose line it named; empty: nobody's.
    """

    what: str
    service: str = ""


#: Has a configuration with these services judged; empty: accepted.
Judge = Callable[[Sequence[Service]], Awaitable[tuple[Refusal, ...]]]


@dataclass(frozen=True, slots=True)
class Isolated:
    """
    Attributes:
        refused: service -> why it is left out.
        rest: what is refused without any service; then nothing can be loaded.
    """

    refused: Mapping[str, str]
    rest: tuple[Refusal, ...] = ()


async def isolate(
    services: Sequence[Service], known_good: frozenset[str], judge: Judge
) -> Isolated:
    """
    Find out who must be left out, by asking *judge*.

    Args:
        services: all that are wanted; refused together.
        known_good: names of those that were accepted before, as they are: suspected last.
        judge: see there.
    """
    ordered = sorted(services, key=lambda one: one.name not in known_good)
    refused: dict[str, str] = {}
    searched = 0
    while said := await judge(_without(ordered, refused)):
        blamed = _blamed(said, _without(ordered, refused))
        if not blamed:
            left = _without(ordered, refused)
            if not left or (searched == 0 and (said := await judge(()))):
                return Isolated({}, said)
            blamed = await _search(left, judge, searched, known_good)
            searched += 1
        refused |= blamed
    return Isolated(refused)


def _without(services: Sequence[Service], refused: Mapping[str, str]) -> list[Service]:
    return [one for one in services if one.name not in refused]


def _blamed(said: Sequence[Refusal], services: Sequence[Service]) -> dict[str, str]:
    """Those whose lines were named, each with the first word against it."""
    names = {one.name for one in services}
    found: dict[str, str] = {}
    for refusal in said:
        if refusal.service in names:
            found.setdefault(refusal.service, refusal.what)
    return found


async def _search(
    services: Sequence[Service], judge: Judge, searched: int, known_good: frozenset[str]
) -> dict[str, str]:
    """The service with which the refusal begins: those before it are accepted together."""
    words = ""
    if searched >= SEARCHED_MOST:
        suspects = [one for one in services if one.name not in known_good] or services
        return {one.name: f"one of {len(suspects)} that are refused together" for one in suspects}
    good, bad = 0, len(services)
    first_new = sum(1 for one in services if one.name in known_good)
    middle = first_new if 0 < first_new < bad else bad // 2
    while bad - good > 1:
        middle = min(max(middle, good + 1), bad - 1)
        if found := await judge(services[:middle]):
            bad, words = middle, "; ".join(one.what for one in found)
        else:
            good = middle
        middle = (good + bad) // 2
    if not words:
        words = "; ".join(one.what for one in await judge(services[:bad]))
    return {services[bad - 1].name: words}
