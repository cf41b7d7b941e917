"""What ``/v1/live`` told so far, as one picture; and its proxies, those in trouble first. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from lbctl.glance.cell import Cell, Tone

EVENTS_KEPT: Final = 50

Sort = Literal["trouble", "rate", "errors", "sessions", "bytes", "name"]
SORTS: Final[tuple[Sort, ...]] = ("trouble", "rate", "errors", "sessions", "bytes", "name")

Proxy = Mapping[str, Any]
_Value = Callable[[str, Proxy], float]


@dataclass(slots=True)
class Picture:
    """
    The node as it was told last.

    Attributes:
        at: wall clock of the node, seconds; 0: nothing was told yet.
        every_s: from one turn to the next.
        events: the last ones, oldest first.
    """

    at: float = 0.0
    every_s: float = 2.0
    status: dict[str, Any] = field(default_factory=dict)
    traffic: dict[str, Any] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    events: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))

    def take(self, kind: str, said: Mapping[str, Any]) -> None:
        """One event of the stream; a kind that is not known is left out."""
        if kind == "event":
            if not self.events or said["id"] > self.events[-1]["id"]:
                self.events.append(said)
            return
        if kind == "snapshot":
            self.status, self.traffic, self.proxies, self.silent = {}, {}, {}, {}
            self.events.clear()
            self.events.extend(said.get("events", ()))
        if kind not in ("snapshot", "change"):
            return
        self.at, self.every_s = float(said["at"]), float(said["every_s"])
        self.status.update(said.get("status", {}))
        self.traffic.update(said.get("traffic", {}))
        self.silent = said.get("silent", self.silent)
        for name, proxy in said.get("proxies", {}).items():
            if proxy is None:
                self.proxies.pop(name, None)
            else:
                self.proxies[name] = proxy


@dataclass(frozen=True, slots=True)
class ProxyRow:
    """
    One frontend or backend.

    Attributes:
        state: HAProxy's word for it, and how one should feel about it.
        servers: ``3/4``: so many of so many take requests; empty: it has none of its own.
    """

    name: str
    state: Cell
    servers: Cell
    proxy: Proxy


def rows(proxies: Mapping[str, Proxy], sort: Sort = "trouble", wanted: str = "") -> list[ProxyRow]:
    """
    Those whose name contains *wanted*, in whatever case, in this order.

    ``trouble``: the worst first, then by rate; the others: the largest first.
    """
    word = wanted.casefold()
    names = [name for name in proxies if word in name.casefold()]
    names.sort(key=lambda name: _order(sort, name, proxies[name]))
    return [_row(name, proxies[name]) for name in names]


def tone_of(proxy: Proxy) -> Tone:
    """``bad``: it does not serve; ``warn``: not as it should; ``good``: it does."""
    up, servers = proxy.get("servers_up"), proxy.get("servers")
    status = str(proxy.get("status"))
    if not status.startswith(("UP", "OPEN", "no check")) or (servers and not up):
        return "bad"
    is_short = bool(servers) and up is not None and up < servers
    return "warn" if is_short or proxy.get("queue") or proxy.get("5xx_per_s") else "good"


def _row(name: str, proxy: Proxy) -> ProxyRow:
    tone = tone_of(proxy)
    up, servers = proxy.get("servers_up"), proxy.get("servers")
    count = "" if up is None else f"{up}/{servers}"
    is_short = up is not None and bool(servers) and up < servers
    server_tone: Tone = "bad" if is_short and not up else "warn" if is_short else "plain"
    state = Cell(str(proxy.get("status")), "bad" if tone == "bad" else "good")
    return ProxyRow(name, state, Cell(count, server_tone), proxy)


_VALUES: Final[Mapping[Sort, Sequence[str]]] = {
    "rate": ("requests_per_s",),
    "errors": ("5xx_per_s",),
    "sessions": ("sessions",),
    "bytes": ("bytes_in_per_s", "bytes_out_per_s"),
    "name": (),
}
_RANK: Final = {"bad": 0, "warn": 1}


def _order(sort: Sort, name: str, proxy: Proxy) -> tuple[float, float, str]:
    columns = _VALUES.get(sort, ("requests_per_s",))
    value = sum(float(proxy.get(column) or 0.0) for column in columns)
    rank = _RANK.get(tone_of(proxy), 2) if sort == "trouble" else 0
    return rank, -value, name
