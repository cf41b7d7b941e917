"""
Which service gets a request: routes of services as a map that HAProxy looks a request up in.

Pure. A request finds its backend in a few look-ups, however many services there are. The order is
the same on every host, whatever order services come in: a route with this very host goes before one
with the longest ``*.`` that fits, and that before one for any host; among them the longest path by
whole segments, then more headers, then the names of the headers.

A line of the map is ``PORT HEADERS / HOST PATH /`` without the blanks, and the backend: HAProxy's
``map_beg`` finds the longest line that a request begins with.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lbctl.model.service import Route, Service
from lbctl.render.words import HEADER, HOST, UnfitError, fit, path_word, quote, shown

#: The Host header as routes have it: without port and closing dot, in lower case.
HOST_FETCH: Final = '\'req.hdr(host),field(1,/),lower,regsub("[.]?(:[0-9]*)?$","")\''

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One route as it is looked up.

    Attributes:
        port: where alone it counts; 0: on the ports of ``http``.
        host: in lower case; ``*.example.com``; empty: any.
        path: without its last slash; empty: any.
        headers: names in lower case, by name, and values.
        strip: segments of *path* that are taken off.
    """

    port: int
    host: str
    path: str
    headers: Headers
    strip: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.headers)

    @property
    def is_wildcard(self) -> bool:
        return self.host.startswith("*.")

    @property
    def precedence(self) -> tuple[object, ...]:
        """The lowest one wins."""
        rank = 2 if not self.host else 1 if self.is_wildcard else 0
        return (self.port, rank, -len(self.host), -len(self.path), -len(self.headers), self.headers)

    @property
    def key(self) -> str:
        """Its line in the map, but for the backend."""
        port = f":{self.port}" if self.port else ""
        headers = "&".join(f"{name}={_digest(value)}" for name, value in self.headers)
        return f"{port}{headers}/{self.host or '*'}{self.path}/"


def entries_of(service: Service) -> tuple[Entry, ...]:
    """
    The routes of an HTTP service, the first that fits a request first.

    Raises:
        UnfitError: one cannot be told to HAProxy.
    """
    entries = {_entry(route) for route in service.all_routes}
    return tuple(sorted(entries, key=lambda entry: (entry.precedence, entry.strip)))


def _entry(route: Route) -> Entry:
    path = path_word(route.path).rstrip("/") if route.path else ""
    host = route.host.lower().removesuffix(".")
    if host:
        fit(HOST, host.removeprefix("*."), "host")
    headers: dict[str, str] = {}
    for name, value in route.header.items():
        lowered = fit(HEADER, name, "header").lower()
        if headers.setdefault(lowered, value) != value:
            message = f"header {shown(name)}: two values for one header"
            raise UnfitError(message)
        if value != value.strip() or not value:
            message = f"header {shown(name)}: {shown(value)} is no value that a request has"
            raise UnfitError(message)
        quote(value)
    strip = path.count("/") if route.strip else 0
    return Entry(route.port or 0, host, path, tuple(sorted(headers.items())), strip)


@dataclass(frozen=True, slots=True)
class Scope:
    """
    Routes that differ in path and headers alone: for any host, for given hosts, or ``*.`` of one
    depth.

    Attributes:
        suffixes: the hosts behind ``*``, of which no two fit one request; empty: no such scope.
        sets: names of the headers that its routes look at, each once, the strongest set last.
    """

    suffixes: tuple[str, ...] = ()
    sets: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """What is looked up on one port: hosts, then wildcards of which the longer ones come first."""

    exact: Scope = field(default_factory=Scope)
    below: tuple[Scope, ...] = ()
    anywhere: Scope = field(default_factory=Scope)

    @property
    def names(self) -> tuple[str, ...]:
        """Every header that is looked at."""
        scopes = (self.exact, *self.below, self.anywhere)
        return tuple(sorted({name for scope in scopes for names in scope.sets for name in names}))


@dataclass(frozen=True, slots=True)
class Routes:
    """
    Attributes:
        text: the map.
        listeners: by port; 0: ``http``.
        hosts: every host that a route names, wildcards included.
        lost: service and route that another service has already, in words.
    """

    text: str
    listeners: dict[int, Listener]
    hosts: tuple[str, ...]
    lost: tuple[str, ...]


def build_routes(claims: Iterable[tuple[str, str, Sequence[Entry]]]) -> Routes:
    """
    The map and what must be looked up in it.

    Args:
        claims: service, its backend and its entries, by the name of the service: where two have the
            same route the first one gets it.
    """
    taken: dict[str, tuple[str, str, Entry]] = {}
    lost = []
    for service, backend, entries in claims:
        for entry in entries:
            owner = taken.setdefault(entry.key, (service, backend, entry))
            if owner[0] != service:
                lost.append(
                    f"{shown(service)}: route {shown(entry.key)} is {shown(owner[0])}'s already; "
                    "it gets no request by it"
                )
    by_port = defaultdict[int, list[Entry]](list)
    for _, _, entry in taken.values():
        by_port[entry.port].append(entry)
    listeners = {port: _listener(entries) for port, entries in sorted(by_port.items())}
    has_headers = any(entry.headers for _, _, entry in taken.values())
    lines = [
        f"{key} {backend}{f'/{len(entry.path) + 1}' if has_headers else ''}\n"
        for key, (_, backend, entry) in sorted(taken.items())
    ]
    opening = "# Host and path of a request, and the backend that gets it. Written by lbctl.\n"
    if has_headers:
        opening += (
            "# Headers before them: the SHA-1 of their values. Behind /: the path's length.\n"
        )
    hosts = tuple(sorted({entry.host for _, _, entry in taken.values() if entry.host}))
    return Routes(opening + "".join(lines), listeners, hosts, tuple(lost))


def levels(suffixes: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Endings of hosts, such that no two of one level fit one host; the longest ones first."""
    known = set(suffixes)
    depths = defaultdict[int, list[str]](list)
    for suffix in sorted(known):
        parts = suffix.split(".")
        depths[sum("." + ".".join(parts[at:]) in known for at in range(2, len(parts)))].append(
            suffix
        )
    return tuple(tuple(depths[depth]) for depth in sorted(depths, reverse=True))


def _listener(entries: Sequence[Entry]) -> Listener:
    def scope(members: Iterable[Entry], suffixes: tuple[str, ...] = ()) -> Scope:
        names = sorted({entry.names for entry in members}, reverse=True)
        return Scope(suffixes, tuple(sorted(names, key=len)))

    wild = [entry for entry in entries if entry.is_wildcard]
    return Listener(
        scope(entry for entry in entries if entry.host and not entry.is_wildcard),
        tuple(
            scope((entry for entry in wild if entry.host[1:] in level), level)
            for level in levels(entry.host[1:] for entry in wild)
        ),
        scope(entry for entry in entries if not entry.host),
    )


def _digest(value: str) -> str:
    """As HAProxy's ``sha1,hex`` has it: no text of a value reaches the map."""
    return hashlib.sha1(value.encode(), usedforsecurity=False).hexdigest().upper()
