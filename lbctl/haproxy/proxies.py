"""
Frontends and backends of all processes, to look at: how each is, and what it does a second.

Pure, and made to be done every two seconds with thousands of them: it reads the columns that are
shown, and what did not change since the last time is the same object as then. A counter that is
lower than before belongs to a process that started anew. lbctl's own listeners are left out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.stats import badness

#: All frontends and backends; servers are many, and asked for by the name of their backend.
COMMAND: Final = "show stat -1 3 -1"
FRONTENDS_COMMAND: Final = "show stat -1 1 -1"
#: The statistics listeners that lbctl gives to each process.
OWN_PREFIX: Final = "lbctl-stats-"

_FRONTEND: Final = "FRONTEND"
_COLUMNS: Final = (
    *("# pxname", "svname", "status", "act", "bck", "scur", "slim", "rate", "qcur"),
    *("stot", "req_tot", "bin", "bout", "hrsp_5xx"),
)
_HEADER: Final = "# pxname,svname,"

#: Sessions, requests, bytes in, bytes out, answers 5xx.
Counters = tuple[int, int, int, int, int]
Key = tuple[str, str]
#: What is shown of one proxy, as JSON has it.
Proxy = dict[str, Any]


class Row(NamedTuple):
    """
    One frontend or backend of one process.

    Attributes:
        cells: as they were read.
        up: servers that take requests, backup servers included.
        limit: sessions; 0: none.
        rate: HAProxy's own, of the last second.
    """

    cells: tuple[str, ...]
    status: str
    up: int
    sessions: int
    limit: int
    rate: int
    queue: int
    counters: Counters

    @property
    def is_frontend(self) -> bool:
        return self.cells[1] == _FRONTEND


#: A row, and what it was the last time.
Pair = tuple[Row, Row | None]


def read_rows(text: str, known: Mapping[Key, Row]) -> dict[Key, Row]:
    """
    What one process says.

    Args:
        text: the answer to :data:`COMMAND`.
        known: its rows of the last time: one that says the same is the same object.

    Raises:
        RuntimeApiError: it is none.
    """
    header, _, body = text.partition("\n")
    places = {name: place for place, name in enumerate(header.split(","))}
    if not header.startswith(_HEADER) or not places.keys() >= {*_COLUMNS}:
        message = f"show stat: {header[:40]!r} is not its header; no statistics from this process"
        raise RuntimeApiError(message)
    pick = itemgetter(*(places[name] for name in _COLUMNS))
    # What is behind the last one that is wanted stays in one piece.
    most = max(places[name] for name in _COLUMNS) + 1
    rows: dict[Key, Row] = {}
    try:
        for line in body.split("\n"):
            if not line or line.startswith(OWN_PREFIX):
                continue
            cells = pick(next(csv.reader([line])) if '"' in line else line.split(",", most))
            key = cells[:2]
            old = known.get(key)
            rows[key] = old if old is not None and old.cells == cells else _row(cells)
    except (ValueError, IndexError, csv.Error) as error:
        message = f"show stat: {line[:60]!r}: {error}; no statistics from this process"
        raise RuntimeApiError(message) from error
    return rows


def _row(cells: tuple[str, ...]) -> Row:
    act, bck, scur, slim, rate, qcur, stot = (int(cell or 0) for cell in cells[3:10])
    # Of TCP, each session is one request.
    requests = int(cells[10] or stot)
    counters = (stot, requests, int(cells[11] or 0), int(cells[12] or 0), int(cells[13] or 0))
    return Row(cells, cells[2], act + bck, scur, slim, rate, qcur, counters)


class Proxies:
    """
    All of them over time.

    Attributes:
        shown: by name; one that is as it was is the same object.
    """

    def __init__(self) -> None:
        self.shown: dict[str, Proxy] = {}
        self._rows: dict[int, dict[Key, Row]] = {}
        self._at = 0.0
        self._is_known = False

    def forget(self) -> None:
        """What was is too long ago to be compared with."""
        self.shown, self._rows, self._is_known = {}, {}, False

    def take(
        self, texts: Mapping[int, str], servers: Mapping[str, int], at: float
    ) -> dict[int, str]:
        """
        What the processes say now.

        Args:
            texts: answers to :data:`COMMAND`, by process.
            servers: how many each backend has.
            at: the monotonic clock, seconds.

        Returns:
            Why the answer of a process is not in it, by process.
        """
        elapsed_s = at - self._at if self._is_known else 0.0
        failures: dict[int, str] = {}
        rows: dict[int, dict[Key, Row]] = {}
        pairs_by_name: dict[str, list[Pair]] = {}
        for number, text in texts.items():
            known = self._rows.get(number, {})
            try:
                rows[number] = read_rows(text, known)
            except RuntimeApiError as error:
                failures[number] = str(error)
                continue
            for key, row in rows[number].items():
                pairs_by_name.setdefault(key[0], []).append((row, known.get(key)))
        self._rows, self._at, self._is_known = rows, at, True
        self.shown = {
            name: self._one(name, pairs, elapsed_s, servers.get(name, 0))
            for name, pairs in pairs_by_name.items()
        }
        return failures

    def _one(self, name: str, pairs: Sequence[Pair], elapsed_s: float, servers: int) -> Proxy:
        was = self.shown.get(name)
        if was is not None and all(row is old for row, old in pairs) and _rests(was, servers):
            return was
        proxy = _proxy(pairs, elapsed_s, servers)
        return was if was == proxy and was is not None else proxy


def traffic(proxies: Iterable[Proxy]) -> dict[str, Any]:
    """What comes in altogether: the sum of all frontends."""
    fronts = [one for one in proxies if one["kind"] != "backend"]
    names = {
        "sessions": "sessions",
        "session_rate": "rate",
        "requests_per_s": "requests_per_s",
        "bytes_in_per_s": "bytes_in_per_s",
        "bytes_out_per_s": "bytes_out_per_s",
        "errors_5xx_per_s": "5xx_per_s",
    }
    found: dict[str, Any] = {}
    for name, column in names.items():
        said = [one[column] for one in fronts]
        found[name] = None if None in said else round(sum(said), 1)
    return found


def _rests(was: Proxy, servers: int) -> bool:
    """Nothing went through it, so that the same counters mean the same rates."""
    is_still = not (was["rate"] or was["requests_per_s"] or was["bytes_in_per_s"] is None)
    has_said_so = not (was["bytes_in_per_s"] or was["bytes_out_per_s"] or was["5xx_per_s"])
    is_as_many = was["servers"] is None or was["servers"] == max(servers, was["servers_up"])
    return is_still and has_said_so and is_as_many


def _proxy(pairs: Sequence[Pair], elapsed_s: float, servers: int) -> Proxy:
    fronts = [pair for pair in pairs if pair[0].is_frontend]
    backs = [row for row, _ in pairs if not row.is_frontend]
    counted = fronts or pairs
    rows = [row for row, _ in counted]
    sessions_s, requests_s, in_s, out_s, errors_s = _per_s(counted, elapsed_s)
    limits = [row.limit for row in rows] if fronts else [0]
    up = min((row.up for row in backs), default=None)
    return {
        "kind": "backend" if not fronts else "listen" if backs else "frontend",
        "status": _status(rows, backs, up),
        "sessions": sum(row.sessions for row in rows),
        "limit": sum(limits) if all(limits) else None,
        "rate": sessions_s,
        "requests_per_s": requests_s,
        "bytes_in_per_s": in_s,
        "bytes_out_per_s": out_s,
        "5xx_per_s": errors_s,
        "queue": sum(row.queue for row in backs),
        "servers_up": up,
        # Between a change and the next look at all servers there may be more than are known.
        "servers": None if up is None else max(servers, up),
    }


def _status(rows: Sequence[Row], backs: Sequence[Row], up: int | None) -> str:
    """The worst of all processes; of what has both, its frontend's while its servers are well."""
    worst = min((row.status for row in rows), key=badness)
    if not backs or backs[0] is rows[0] or up is None:
        return worst
    behind = min((row.status for row in backs), key=badness)
    return worst if behind == "UP" else behind


def _per_s(pairs: Sequence[Pair], elapsed_s: float) -> tuple[Any, ...]:
    """
    Each counter's growth a second; bytes are whole numbers.

    A process that was not there the last time is left out. While none was, sessions and requests
    are HAProxy's own rate, and the rest is None: not known yet.
    """
    grown = [
        [
            new - old if new >= old else new
            for new, old in zip(row.counters, was.counters, strict=True)
        ]
        for row, was in pairs
        if was is not None
    ]
    if not grown or elapsed_s <= 0:
        rate = float(sum(row.rate for row, _ in pairs))
        return rate, rate, None, None, None
    sessions, requests, bytes_in, bytes_out, errors = (
        sum(column) / elapsed_s for column in zip(*grown, strict=True)
    )
    return (
        round(sessions, 1),
        round(requests, 1),
        round(bytes_in),
        round(bytes_out),
        round(errors, 1),
    )
