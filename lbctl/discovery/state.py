"""How a source stands, and the sentences that say so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import NoneType
from typing import Any, Final, Literal

Standing = Literal["starting", "live", "failing", "doubted"]

_NUMBER: Final = (int, float)
#: Of what came as JSON.
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    **dict.fromkeys(("source", "target", "state", "error"), str),
    "since": _NUMBER,
    "heard_at": (*_NUMBER, NoneType),
    **dict.fromkeys(("failures", "services", "servers", "names"), int),
    "problems": (list, tuple),
    "is_saved": bool,
    "more": Mapping,
}
_LONG: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """
    Attributes:
        source: ``consul``.
        target: whom it asks: ``http://127.0.0.1:8500``.
        state: ``starting``: not heard in this life; ``live``; ``failing``: out of touch, what is
            served is as old as *heard_at*; ``doubted``: it says that there is nothing any more, and
            is not believed yet.
        since: wall clock, seconds: when that began.
        heard_at: the same: when it was last heard, if only in an earlier life; None: never.
        error: why it is out of touch, or doubted; empty: it is not.
        failures: how often it was out of touch in this life.
        services: how many it has.
        servers: the same of all of them.
        names: the same of hosts in its file.
        problems: what of it was left out.
        is_saved: what it has is from the disk: it was not heard in this life.
        more: what only this source knows of itself: ``{"connections": 3}``.
    """

    source: str
    target: str
    state: Standing = "starting"
    since: float
    heard_at: float | None = None
    error: str = ""
    failures: int = 0
    services: int = 0
    servers: int = 0
    names: int = 0
    problems: tuple[str, ...] = ()
    is_saved: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_in_touch(self) -> bool:
        return self.state in ("live", "doubted")

    def kept(self, now: float) -> str:
        """``keeping 4 services with 12 servers, last heard 12 s ago``."""
        if self.heard_at is None:
            return "nothing of it is known"
        return f"keeping {self._what()}, last heard {shown_s(now - self.heard_at)} ago"

    def sentence(self, now: float) -> str:
        """How it stands: for a log, an event, a warning."""
        name = f"{self.source} {self.target}"
        if self.state == "failing":
            return f"{self.error}; {self.kept(now)}"
        if self.state == "doubted":
            return f"{name}: {self.error}; {self.kept(now)}"
        if self.state == "starting":
            return f"{name}: not heard yet; {self.kept(now)}"
        return f"{name}: {self._what()}"

    def _what(self) -> str:
        if self.names and not self.services:
            return _many(self.names, "name")
        services, servers = _many(self.services, "service"), _many(self.servers, "server")
        return f"{services} with {servers}" if self.services else "no service"

    def back(self, before: SourceState, now: float) -> str:
        """What to say when it is live and was *before* not: ``answers again after 34 s``."""
        name = f"{self.source} {self.target}"
        if before.state == "starting" or before.heard_at is None:
            return self.sentence(now)
        if before.state == "doubted":
            return f"{self.sentence(now)}, after {shown_s(now - before.since)} of doubt"
        return f"{name}: answers again after {shown_s(now - before.since)}"


def state_to_plain(state: SourceState) -> dict[str, Any]:
    """For JSON."""
    return asdict(state)


def state_from_plain(plain: Mapping[str, Any]) -> SourceState:
    """
    The inverse; what another version has added is left out.

    Raises:
        AttributeError, TypeError: it is none.
    """
    found = {name: value for name, value in plain.items() if name in _TYPES}
    for name, value in found.items():
        if not isinstance(value, _TYPES[name]):
            what = f"{name} is a {type(value).__name__}"
            raise TypeError(what)
    problems = tuple(map(str, found.get("problems", ())))
    return SourceState(**{**found, "problems": problems})


def shown_s(seconds: float) -> str:
    """``0.4 s``, ``34 s``, ``10 min``; a clock that was set back shows as no time."""
    for unit_s, unit in _LONG:
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s" if seconds >= 10 else f"{max(seconds, 0):.1f} s"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
