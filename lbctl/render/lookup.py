"""
The lines by which a frontend finds the backend of a request in the map of :mod:`routes`.

Pure. How many there are depends on what kinds of routes there are, not on how many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lbctl.render.routes import HOST_FETCH, Listener, Scope
from lbctl.render.words import quote

HOST_LINE: Final = f"http-request set-var(txn.lbctl_host) {HOST_FETCH}"
#: Behind the look-up, and behind every other rule of the frontend.
USE_LINE: Final = (
    "use_backend %[var(txn.lbctl_route),field(1,/)] if { var(txn.lbctl_route) -m found }"
)
#: What a look-up gives where nothing is found: shorter than the shortest path.
_NONE: Final = "/0"
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._+@=:~-]+")
_FOUND: Final = "{ var(txn.lbctl_route) -m found }"


def lookup_lines(port: int, listener: Listener, routes: str, below: tuple[str, ...]) -> str:
    """
    From the request to the name of its backend; the host is known already (:data:`HOST_LINE`).

    Args:
        port: see :class:`lbctl.render.routes.Entry`.
        listener: what is looked up there.
        routes: path of the map.
        below: paths of the maps from a host to its wildcard, one for each depth.
    """
    return "".join(f"    {line}\n" for line in _lines(port, listener, routes, below))


def _lines(port: int, listener: Listener, routes: str, below: tuple[str, ...]) -> Iterator[str]:
    yield "http-request set-var(txn.lbctl_path) path"
    if port:
        yield f"http-request set-var(txn.lbctl_port) int({port})"
    for number, name in enumerate(listener.names):
        yield f"http-request set-var(txn.lbctl_header{number}) req.fhdr({name}),sha1,hex"
    steps = (
        ("this host", listener.exact, ",concat(/,txn.lbctl_host)", "", ""),
        *(
            (
                "a wildcard",
                scope,
                f",concat(/,txn.lbctl_below{number})",
                _below(number, path),
                f"{{ var(txn.lbctl_below{number}) -m found }}",
            )
            for number, (scope, path) in enumerate(zip(listener.below, below, strict=True))
        ),
        ("any host", listener.anywhere, ",concat(/*)", "", ""),
    )
    is_first = True
    for what, scope, host, before, condition in steps:
        if not scope.sets:
            continue
        yield f"# {what}"
        if before:
            yield before
        conditions = " ".join(filter(None, ("" if is_first else f"!{_FOUND}", condition)))
        yield from _scope(port, listener, scope, host, argument(routes), conditions)
        is_first = False


def _below(number: int, path: str) -> str:
    """From the host to the wildcard of one depth that it is below."""
    host = "var(txn.lbctl_host)"
    return f"http-request set-var(txn.lbctl_below{number}) {host},map_end({argument(path)})"


def _scope(
    port: int, listener: Listener, scope: Scope, host: str, routes: str, conditions: str
) -> Iterator[str]:
    """The longest path, then most headers: a later set wins with an equally long path."""
    keys = [
        f"{_opening(port, names, listener)}{host},concat(,txn.lbctl_path,/)" for names in scope.sets
    ]
    suffix = f" if {conditions}" if conditions else ""
    if len(keys) == 1:
        yield f"http-request set-var(txn.lbctl_route) {keys[0]},map_beg({routes}){suffix}"
        return
    yield f"http-request set-var(txn.lbctl_best) {keys[0]},map_beg({routes},{_NONE})"
    for key in keys[1:]:
        yield "http-request set-var(txn.lbctl_rank) var(txn.lbctl_best),field(2,/),add(0)"
        yield f"http-request set-var(txn.lbctl_try) {key},map_beg({routes},{_NONE})"
        yield (
            "http-request set-var(txn.lbctl_best) var(txn.lbctl_try) "
            "if { var(txn.lbctl_try),field(2,/),sub(txn.lbctl_rank) ge 0 }"
        )
    conditions = f"!{{ var(txn.lbctl_best) -m str {_NONE} }} {conditions}".rstrip()
    yield f"http-request set-var(txn.lbctl_route) var(txn.lbctl_best) if {conditions}"


def _opening(port: int, names: tuple[str, ...], listener: Listener) -> str:
    """What a key begins with: a port, and headers with their values' hashes."""
    before = f":{port}" if port else ""
    parts = []
    for name in names:
        parts.append(f"concat({before}{name}=,txn.lbctl_header{listener.names.index(name)})")
        before = "&"
    return ",".join(["str()", *parts]) if parts else f"str({before})"


def argument(path: str) -> str:
    """
    A path as an argument of a converter: quoted for the line, and inside again for the converter.

    Raises:
        ValueError: no quoting carries it.
    """
    if _PLAIN.fullmatch(path):
        return path
    if "'" in path:
        message = "a path with an apostrophe cannot be named in a HAProxy configuration"
        raise ValueError(message)
    return f"'{quote(path)}'"
