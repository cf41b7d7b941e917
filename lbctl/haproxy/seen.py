"""
What a running HAProxy process says of its servers: ``show servers state``, read.

Owns that format. A server's cookie, rank and maxconn are not in it: who must know them has them
looked up in ``show stat``, which costs four times as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, Literal

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.runtime import Answer, Runtime
from lbctl.haproxy.table import Table
from lbctl.model.target import Admin

Check = Literal["none", "off", "on"]

_COLUMNS: Final = (
    *("be_name", "srv_name", "srv_id", "srv_addr", "srv_port", "srv_op_state"),
    *("srv_admin_state", "srv_uweight", "srv_iweight", "srv_check_state", "srv_fqdn"),
)
_STATISTICS: Final = ("pxname", "svname", "slim", "cookie", "bck")
_FORCED_MAINT: Final = 0x01
_FORCED_DRAIN: Final = 0x08
_CHECK_CONFIGURED: Final = 0x02
_CHECK_ENABLED: Final = 0x04
_FORMAT: Final = "1"
#: More than so much is read in a thread: 10,000 servers take 25 ms, and others want answers.
_LONG_CHARS: Final = 100_000
#: A backend that the process does not have.
_NO_BACKEND: Final = ("Can't find backend.", "No such proxy.")


@dataclass(frozen=True, slots=True)
class SeenServer:
    """
    One server of one process.

    Attributes:
        id: in its backend.
        address: an IP address without brackets; empty: none, its name is not resolved.
        port: of it.
        admin: what people said; maintenance for want of an address does not count.
        weight: in use when it is neither drained nor slowly starting.
        initial_weight: of the file, or of ``add server``.
        check: whether health checks are configured and switched on; in maintenance they rest.
        state: ``srv_op_state``: 0 down, 1 starting, 2 up, 3 stopping.
        fqdn: the name of its address; empty: none.
        limit: its maxconn, 0: none; -1: not looked at.
        cookie: empty: none; None: not looked at.
        is_backup: None: not looked at.
    """

    id: int
    address: str
    port: int
    admin: Admin = "ready"
    weight: int = 100
    initial_weight: int = 100
    check: Check = "none"
    state: int = 2
    fqdn: str = ""
    limit: int = -1
    cookie: str | None = None
    is_backup: bool | None = None


#: By backend, then by server. A backend that is not in it was not looked at, or has no server.
Seen = Mapping[str, Mapping[str, SeenServer]]


async def read_seen(
    runtime: Runtime, backends: Iterable[str] | None = None, *, in_full: bool = False
) -> Seen:
    """
    Look at *backends*, or at everything.

    Args:
        runtime: of one process.
        backends: their names; None: all, and then one without servers is not in the result.
        in_full: also at what only a reload or a record tells: after a start.

    Returns:
        Those of *backends* that the process has.

    Raises:
        RuntimeApiError: no whole answer, or not of the format that is known.
    """
    if backends is None:
        text = await runtime.ask("show servers state")
        is_long = len(text) > _LONG_CHARS
        seen = await asyncio.to_thread(parse_seen, text) if is_long else parse_seen(text)
        said = [await runtime.ask("show stat -1 4 -1")] if in_full else []
    else:
        names = tuple(backends)
        seen = seen_in(names, await runtime.ask_all(state_commands(names)))
        more = [f"show stat {name} 4 -1" for name in names] if in_full else []
        said = [text for _, text in _texts(names, await runtime.ask_all(more))] if more else []
    for text in said:
        seen = with_statistics(seen, Table.parse(text))
    return seen


def state_commands(names: Sequence[str]) -> list[str]:
    """What tells of the servers of each backend."""
    return [f"show servers state {name}" for name in names]


def seen_in(names: Sequence[str], answers: Sequence[Answer]) -> Seen:
    """
    What the answers to :func:`state_commands` say, of the backends that the process has.

    Raises:
        RuntimeApiError: as :func:`read_seen`.
    """
    return {name: parse_seen(text).get(name, {}) for name, text in _texts(names, answers)}


def _texts(names: Sequence[str], answers: Sequence[Answer]) -> Iterator[tuple[str, str]]:
    """The answers by name; a backend that the process does not have is not among them."""
    for name, answer in zip(names, answers, strict=True):
        if answer.is_done:
            yield name, answer.text
        elif answer.refusal not in _NO_BACKEND:
            raise RuntimeApiError(answer.failure or f"{answer.command!r}: {answer.refusal}")


def with_statistics(seen: Seen, table: Table) -> Seen:
    """*seen*, and what ``show stat`` knows beyond it."""
    full = {backend: dict(servers) for backend, servers in seen.items()}
    for backend, name, limit, cookie, backup in table.cells(*_STATISTICS):
        now = full.get(backend, {}).get(name)
        if now is not None:
            full[backend][name] = replace(
                now,
                limit=int(limit or 0),
                cookie=cookie,
                is_backup=backup == "1",
            )
    return full


def parse_seen(text: str) -> Seen:
    """
    Read the whole reply: the format's version, a header, then one server a line.

    Raises:
        RuntimeApiError: another version, or a line without all that is needed.

    Source: HAProxy doc/management.txt, "show servers state".
    """
    version, _, rest = text.partition("\n")
    header, _, body = rest.partition("\n")
    columns = header.removeprefix("#").split()
    if version != _FORMAT or not set(_COLUMNS) <= set(columns):
        message = f"show servers state: {text[:60]!r} is not of the format {_FORMAT}"
        raise RuntimeApiError(message)
    pick = itemgetter(*(columns.index(name) for name in _COLUMNS))
    seen: dict[str, dict[str, SeenServer]] = {}
    try:
        for line in body.splitlines():
            if line and line[0] != "#":
                _enter(seen, pick(line.split(" ")))
    except (IndexError, ValueError) as error:
        message = f"show servers state: {line[:120]!r}: {error}"
        raise RuntimeApiError(message) from error
    return seen


def _enter(seen: dict[str, dict[str, SeenServer]], words: tuple[str, ...]) -> None:
    backend, name, number, address, port, state, admin, weight, initial, check, fqdn = words
    servers = seen.get(backend)
    if servers is None:
        servers = seen[backend] = {}
    servers[name] = SeenServer(
        int(number),
        "" if address == "-" else address,
        int(port),
        _admin(int(admin)),
        int(weight),
        int(initial),
        _check(int(check)),
        int(state),
        "" if fqdn == "-" else fqdn,
    )


def _admin(flags: int) -> Admin:
    if not flags:
        return "ready"
    if flags & _FORCED_MAINT:
        return "maint"
    return "drain" if flags & _FORCED_DRAIN else "ready"


def _check(flags: int) -> Check:
    if not flags & _CHECK_CONFIGURED:
        return "none"
    return "on" if flags & _CHECK_ENABLED else "off"
