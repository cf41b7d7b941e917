"""
When looks become a verdict, and how long a verdict stands: the arithmetic of rise and fall.

Pure: looks, link states and the clock go in, what is wrong comes out. A check is unknown until the
first look that succeeds or enough that fail, and again when nobody has told of it for a while;
unknown is no fault, because in doubt about the addresses they are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lbctl.spec import DISCOVERY_CHECK, CheckSpec

#: A verdict stands for so many intervals after it was told, and for ``STANDS_S`` at least: who
#: tells it tells it anew every second, whatever the interval is.
STANDS_INTERVALS = 3
STANDS_S = 3.0
#: What the agent looks at; the rest is watched here.
_TOLD = ("http", "tcp", "command", "discovery")


@dataclass(frozen=True, slots=True)
class Look:
    """
    What one look at something found.

    Attributes:
        is_well: None: nothing was learnt, because this side was short of time or descriptors.
        what: a phrase: ``HTTP 503 from http://127.0.0.1/``.
    """

    is_well: bool | None
    what: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What all looks so far add up to.

    Attributes:
        is_well: None: not known yet.
        what: of the look that decided it; later ones that agree do not change the words.
        against: looks in a row that say otherwise.
    """

    is_well: bool | None = None
    what: str = ""
    against: int = 0

    def after(self, look: Look, *, rise: int, fall: int) -> Verdict:
        """The next one. The first success counts at once: *rise* is for what has failed."""
        if look.is_well is None:
            return self
        if look.is_well is self.is_well:
            return replace(self, against=0)
        to_be_well = 1 if self.is_well is None else rise
        wanted = to_be_well if look.is_well else fall
        if self.against + 1 >= wanted:
            return Verdict(look.is_well, look.what)
        return replace(self, against=self.against + 1)


@dataclass(frozen=True, slots=True)
class Watched:
    """
    Something that says itself when it changes: a link, a program. Nobody looks in intervals, so
    rise and fall are times: as long as that many looks would have taken.

    Attributes:
        is_up: what it said last.
        since: monotonic seconds, when it said so.
        is_well: what counts; follows *is_up* once that has lasted.
    """

    is_up: bool = True
    since: float = float("-inf")
    is_well: bool = True

    def told(self, check: CheckSpec, is_up: bool, now: float) -> Watched:
        """It says at *now* that it is up, or not; saying it again changes nothing."""
        settled = self.settled(check, now)
        return settled if is_up is self.is_up else Watched(is_up, now, settled.is_well)

    def settled(self, check: CheckSpec, now: float) -> Watched:
        """The same, later."""
        looks = check.rise if self.is_up else check.fall
        is_over = now - self.since >= (looks - 1) * check.interval_s
        return replace(self, is_well=self.is_up) if is_over else self


@dataclass(slots=True)
class _Entry:
    """One check, and what is known of it."""

    check: CheckSpec
    watched: Watched | None = None
    is_well: bool | None = None
    what: str = ""
    told_at: float = float("-inf")

    def state(self, now: float) -> bool | None:
        if self.watched is not None:
            self.watched = self.watched.settled(self.check, now)
            return self.watched.is_well
        stands_s = max(STANDS_S, STANDS_INTERVALS * self.check.interval_s)
        return self.is_well if now - self.told_at < stands_s else None


@dataclass(frozen=True, slots=True)
class Failing:
    """A check that has failed, by name; *what* as in :class:`Look`."""

    name: str
    what: str
    severity: int


class Board:
    """
    What is known of every check. A name or interface that nobody asked for is ignored; the agent's
    own check is there unless a check of the operator's has its name.
    """

    def __init__(self, checks: Iterable[CheckSpec]) -> None:
        known = (DISCOVERY_CHECK, *checks)
        self._entries = {check.name: _Entry(check) for check in known}

    def of_kind(self, kind: str) -> tuple[CheckSpec, ...]:
        """The checks of one kind."""
        return tuple(e.check for e in self._entries.values() if e.check.kind == kind)

    def verdict(self, name: str, is_well: bool, what: str, now: float) -> None:
        """Who looks at *name* says that it is well, or not; again and again."""
        entry = self._entries.get(name)
        if entry is None or entry.check.kind not in _TOLD:
            return
        if entry.is_well is not is_well or not entry.what:
            # The same failure in other words is the same one.
            entry.what = what
        entry.is_well, entry.told_at = is_well, now

    def link(self, interface: str, is_up: bool, now: float) -> None:
        """An interface is up with a carrier, or it is not, or not there."""
        words = "is up" if is_up else "has no link"
        for check in self.of_kind("link"):
            if check.target == interface:
                self._watch(check, is_up, f"{interface} {words}", now)

    def program(self, program: str, is_up: bool, what: str, now: float) -> None:
        """A supervised program, or a group of them, runs or does not."""
        for check in self.of_kind("program"):
            if check.target == program:
                self._watch(check, is_up, what, now)

    def _watch(self, check: CheckSpec, is_up: bool, what: str, now: float) -> None:
        entry = self._entries[check.name]
        entry.watched = (entry.watched or Watched()).told(check, is_up, now)
        if not is_up or entry.watched.is_well:
            # Up, and not for long enough: what was wrong is still the reason.
            entry.what = what

    def failing(self, now: float) -> Iterator[Failing]:
        """Those that count as failed by now."""
        for name, entry in self._entries.items():
            if entry.state(now) is False:
                yield Failing(name, entry.what, entry.check.severity)

    def as_list(self, now: float) -> list[dict[str, Any]]:
        """For status: all of them, in the order of the settings."""
        states = {True: "well", False: "fault", None: "unknown"}
        return [
            {
                "name": name,
                "kind": entry.check.kind,
                "state": states[entry.state(now)],
                "what": entry.what,
                "severity": entry.check.severity,
            }
            for name, entry in self._entries.items()
            if entry.check is not DISCOVERY_CHECK or entry.state(now) is not None
        ]
