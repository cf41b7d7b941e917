"""
Taking a route's path off before the request goes to a server.

Pure. It is the backend that does it, so that it works behind an operator's own frontend too. The
query stays as it is, and X-Forwarded-Prefix says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lbctl.render.routes import HOST_FETCH, Entry
from lbctl.render.words import quote


def strip_lines(entries: Sequence[Entry]) -> Iterator[str]:
    """
    The lines of a backend.

    Args:
        entries: its routes, the first that fits a request first.
    """
    if not any(entry.strip for entry in entries):
        return
    if len(entries) == 1:
        (entry,) = entries
        yield from _path_acl("lbctl-strip", entry)
        yield from _take(entry, "if lbctl-strip")
        return
    by_segments = {entry.strip: entry for entry in entries if entry.strip}
    has_ports = any(entry.port for entry in entries)
    for number, entry in enumerate(entries, start=1):
        name = f"lbctl-route-{number}"
        conditions = list(_conditions(name, entry, has_ports=has_ports))
        yield from (line for line, _ in conditions if line)
        words = " ".join(
            ["!{ var(txn.lbctl_strip) -m found }", *dict.fromkeys(word for _, word in conditions)]
        )
        yield f"http-request set-var(txn.lbctl_strip) int({entry.strip}) if {words}"
    for segments, entry in sorted(by_segments.items()):
        yield from _take(entry, f"if {{ var(txn.lbctl_strip) -m int {segments} }}", is_one=False)


def _take(entry: Entry, condition: str, *, is_one: bool = True) -> Iterator[str]:
    last = entry.strip + 1
    prefix = f"%[path,field(1,/,{last})]"
    if is_one:
        yield (
            f"# {entry.path} is taken off." if len(entry.path) < 80 else "# The path is taken off."
        )
    yield f"http-request set-header X-Forwarded-Prefix {prefix} {condition}"
    yield f"http-request set-path /%[path,field({last + 1},/,0)] {condition}"


def _conditions(name: str, entry: Entry, *, has_ports: bool) -> Iterator[tuple[str, str]]:
    """Lines, and the words that ask for them."""
    if entry.path:
        for line in _path_acl(name, entry):
            yield line, name
    if entry.host:
        host = entry.host.removeprefix("*")
        how = "end" if entry.is_wildcard else "str"
        yield f"acl {name}-host {HOST_FETCH} -m {how} {quote(host)}", f"{name}-host"
    for number, (header, value) in enumerate(entry.headers, start=1):
        acl = f"{name}-header-{number}"
        yield f"acl {acl} req.fhdr({header}) -m str -- {quote(value)}", acl
    if entry.port:
        yield "", f"{{ var(txn.lbctl_port) -m int {entry.port} }}"
    elif has_ports:
        yield "", "!{ var(txn.lbctl_port) -m found }"


def _path_acl(name: str, entry: Entry) -> Iterator[str]:
    yield f"acl {name} path -m str -- {quote(entry.path)}"
    yield f"acl {name} path -m beg -- {quote(entry.path + '/')}"
