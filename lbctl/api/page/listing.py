"""
The services and HAProxy's proxies as rows, trouble first; found by words, a page at a time. Pure.

A row's word is worked out from what the follower says of the service and what HAProxy says of its
backend; servers one by one are the service's own page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from lbctl.follow.outlines import Outline
from lbctl.glance.cell import Tone

ROWS: Final = 50
#: Where a backend comes from that is no service: of the operator's file, or of ours.
THEIRS: Final = "haproxy.cfg"
OURS: Final = "lbctl"
_RANK: Final[Mapping[Tone, int]] = {"bad": 0, "warn": 1, "mild": 2, "plain": 3, "good": 4}
_PIPS_MOST: Final = 12


@dataclass(frozen=True, slots=True)
class ProxyRow:
    """
    A backend, or a frontend.

    Attributes:
        name: of the service, or HAProxy's.
        proxy: HAProxy's name: the key of the live picture.
        live: what the picture says of it; empty: nothing.
        word: how it does.
        up: servers that take traffic, of *total*; None: not known.
    """

    name: str
    proxy: str
    href: str
    routes: tuple[str, ...]
    sources: tuple[str, ...]
    live: Mapping[str, Any]
    word: str
    tone: Tone
    why: str
    up: int | None
    total: int | None

    @property
    def is_ours(self) -> bool:
        """It is there without anybody having asked for it."""
        return self.sources == (OURS,)

    @property
    def is_down(self) -> bool:
        """It has servers, and none takes traffic."""
        return self.up == 0 and bool(self.total)

    @property
    def pips(self) -> tuple[bool, ...]:
        """One for each server, up or not; none where there are too many to be seen."""
        if self.up is None or self.total is None or self.total > _PIPS_MOST:
            return ()
        return tuple(place < self.up for place in range(self.total))


@dataclass(frozen=True, slots=True)
class Leaf:
    """
    One page of rows.

    Attributes:
        number: of this page, 1 and up; of *pages*.
        found: rows on all pages.
        all: rows without the search.
        query: what is searched for.
    """

    rows: tuple[ProxyRow, ...]
    number: int
    pages: int
    found: int
    all: int
    query: str

    @property
    def first(self) -> int:
        """The number of the first row, 1 and up."""
        return (self.number - 1) * ROWS + 1


def backends(
    outlines: Iterable[Outline], proxies: Mapping[str, Mapping[str, Any]], own: str = THEIRS
) -> tuple[ProxyRow, ...]:
    """
    One row for each service, and for each backend that is none; trouble first.

    Args:
        own: where the latter come from.
    """
    known = tuple(outlines)
    rows = [_service(one, proxies.get(one.backend) or {}) for one in known]
    theirs = {one.backend for one in known}
    rows += [
        _own(name, live, own)
        for name, live in proxies.items()
        if _has_servers(live) and name not in theirs
    ]
    return tuple(sorted(rows, key=lambda one: (_RANK[one.tone], one.name)))


def frontends(proxies: Mapping[str, Mapping[str, Any]]) -> tuple[ProxyRow, ...]:
    """One row for each; HAProxy's words stay as they are."""
    rows = []
    for name, live in proxies.items():
        if live.get("kind") in ("frontend", "listen"):
            word = str(live.get("status") or "?")
            tone: Tone = "good" if word in ("OPEN", "UP") else "bad"
            rows.append(ProxyRow(name, name, "", (), (), live, word.lower(), tone, "", None, None))
    return tuple(sorted(rows, key=lambda one: (_RANK[one.tone], one.name)))


def leaf(rows: Sequence[ProxyRow], query: str, number: int) -> Leaf:
    """Those with every word of *query*; a page that is not there is the nearest one."""
    words = query.lower().split()
    found = [one for one in rows if _has(one, words)] if words else rows
    pages = max(1, -(-len(found) // ROWS))
    number = min(max(number, 1), pages)
    shown = tuple(found[(number - 1) * ROWS : number * ROWS])
    return Leaf(shown, number, pages, len(found), len(rows), query)


def href_of(name: str) -> str:
    """Where a service's own page is."""
    # A browser would take these for the way to another page.
    has_dots = not {".", ".."}.isdisjoint(name.split("/"))
    return f"/service/{quote(name, safe=':' if has_dots else '/:')}"


def judged(up: int | None, total: int | None, by_hand: int = 0) -> tuple[str, Tone]:
    """How a backend does by its servers."""
    if up is None or total is None:
        return "not known", "mild"
    if not total:
        return "no servers", "warn"
    if up >= total:
        return "up", "good"
    if not up:
        return "no server up", "bad"
    if total - up <= by_hand:
        return f"{up} of {total} up, by hand", "mild"
    return f"{up} of {total} up", "warn"


def _service(one: Outline, live: Mapping[str, Any]) -> ProxyRow:
    up, total = _count(live, "servers_up"), _count(live, "servers")
    word, tone = judged(up, total, one.by_hand)
    if one.state == "left out":
        word, tone = "left out", "bad"
    elif one.state == "waiting":
        word, tone = ("waiting", "mild") if tone in ("good", "mild") else (word, tone)
    elif one.state != "applied":
        word, tone = f"{one.state}; {word}", "warn" if tone != "bad" else "bad"
    return ProxyRow(
        one.name,
        one.backend,
        href_of(one.name),
        one.routes,
        one.sources,
        live,
        word,
        tone,
        one.why,
        up,
        total,
    )


def _own(name: str, live: Mapping[str, Any], source: str) -> ProxyRow:
    up, total = _count(live, "servers_up"), _count(live, "servers")
    word, tone = judged(up, total)
    if not total and live.get("status") == "UP":
        # It answers by itself, or hands on to others in its own ways.
        word, tone = "up", "good"
    return ProxyRow(name, name, href_of(name), (), (source,), live, word, tone, "", up, total)


def _has_servers(live: Mapping[str, Any]) -> bool:
    kind = live.get("kind")
    return kind == "backend" or (kind == "listen" and bool(live.get("servers")))


def _count(live: Mapping[str, Any], key: str) -> int | None:
    value = live.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _has(row: ProxyRow, words: Iterable[str]) -> bool:
    text = "\n".join((row.name, row.word, row.why, *row.routes, *row.sources)).lower()
    return all(word in text for word in words)
