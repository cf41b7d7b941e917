"""What the servers of one backend do, asked of all processes when somebody looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.runtime import UnixRuntime
from lbctl.haproxy.seen import Seen, read_seen
from lbctl.haproxy.stats import merge, numbered
from lbctl.haproxy.table import Table
from lbctl.spec import HaproxyProcess

ANSWER_S = 1.5
#: Shown -> HAProxy's column. Rates are of the last second, the rest since the process began.
_NUMBERS: Final = {
    "sessions": "scur",
    "limit": "slim",
    "queue": "qcur",
    "rate": "rate",
    "total": "stot",
    "bytes_in": "bin",
    "bytes_out": "bout",
    "errors_5xx": "hrsp_5xx",
    "connect_errors": "econ",
    "response_errors": "eresp",
    "since_s": "lastchg",
}
_TEXTS: Final = {"status": "status", "check": "check_status", "check_said": "last_chk"}


#: By server: sessions, rates, totals, what its check said; None where HAProxy says nothing.
Doing = dict[str, dict[str, Any]]


async def look_at(
    processes: Sequence[HaproxyProcess], backend: str
) -> tuple[tuple[Seen, ...], Doing]:
    """
    What each process says of the servers of *backend*, and what all of them together do.

    A process that does not answer is left out.
    """
    answers = await asyncio.gather(*(_ask(process, backend) for process in processes))
    found = [answer for answer in answers if answer is not None]
    rows = merge([table for _, table in found]).records() if found else ()
    return tuple(seen for seen, _ in found), {row["svname"]: _plain(row) for row in rows}


async def _ask(process: HaproxyProcess, backend: str) -> tuple[Seen, Table] | None:
    runtime = UnixRuntime(process.socket, ANSWER_S)
    try:
        seen = await read_seen(runtime, [backend])
        if backend not in seen:
            return None
        text = await runtime.ask(f"show stat {backend} 4 -1")
        return seen, numbered(Table.parse(text), process.number)
    except RuntimeApiError:
        return None


def _plain(row: Mapping[str, str]) -> dict[str, Any]:
    numbers = {name: row.get(column, "") for name, column in _NUMBERS.items()}
    return {
        **{name: row.get(column) for name, column in _TEXTS.items()},
        **{name: int(cell) if cell.isdecimal() else None for name, cell in numbers.items()},
    }
