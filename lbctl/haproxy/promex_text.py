"""
HAProxy's figures as Prometheus reads them: text, family by family.

Pure. A value that is no number is left out, whatever HAProxy said: one bad line would cost the
whole scrape. So is one that HAProxy does not have, for which its own exporter says ``NaN``.

Of a server's five states two series at most are told: ``UP``, always, and the one that it is in.
Dashboards that draw the present state, and rules as ``{state="UP"} == 0`` and
``{state="DOWN"} == 1``, read them as those of HAProxy's exporter, at a quarter of the lines.

Source: prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from lbctl.haproxy.promex import (
    AGGREGATE_WORDS,
    BUILD_WORDS,
    CODES,
    CODES_WORDS,
    METRICS,
    PROCESS_METRICS,
    RARE_CODES,
    STATES,
    STATUS_WORDS,
    Kind,
    Type,
    state_of,
)
from lbctl.haproxy.promex_read import Tables
from lbctl.haproxy.table import Table

_NUMBER: Final = re.compile(r"-?[0-9]+")
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def escaped(value: str) -> str:
    """A label's value, without its quotes."""
    return value.translate(_ESCAPES)


def family(name: str, kind: Type, words: str, lines: Sequence[str]) -> str:
    """One family with its head; empty: there is nothing to say."""
    if not lines:
        return ""
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n" + "\n".join(lines) + "\n"


def texts(facts: Mapping[str, str], tables: Tables) -> Iterator[str]:
    """All families, of processes, frontends, backends and servers."""
    yield from _processes(facts)
    for kind, table in tables.items():
        if table.rows:
            yield from _Rows(kind, table).texts()
    if "backend" in tables and "server" in tables:
        yield _aggregates(tables["backend"], tables["server"])


def _processes(facts: Mapping[str, str]) -> Iterator[str]:
    for metric in PROCESS_METRICS:
        value = facts.get(metric.column, "")
        if _NUMBER.fullmatch(value):
            name = f"haproxy_process_{metric.name}"
            yield family(name, metric.type, metric.words, [f"{name} {value}"])
    if version := facts.get("Version"):
        line = f'haproxy_process_build_info{{version="{escaped(version)}"}} 1'
        yield family("haproxy_process_build_info", "gauge", BUILD_WORDS, [line])


class _Rows:
    """The rows of one kind: their labels are worked out once."""

    def __init__(self, kind: Kind, table: Table) -> None:
        self._kind = kind
        self._prefix = f"haproxy_{kind}_"
        # Turned once: a column is then found, not gathered.
        turned = zip(*table.rows, strict=True)
        self._columns = dict(zip(table.columns, turned, strict=True))
        self._heads = list(_heads(kind, table))
        self._ends = [f"{head}}} " for head in self._heads]

    def texts(self) -> Iterator[str]:
        """Family by family."""
        yield self._status()
        for metric in METRICS[self._kind]:
            name = self._prefix + metric.name
            values = self._values(metric.column, _in_seconds if metric.is_time else None)
            lines = _lines(name, self._ends, values)
            yield family(name, metric.type, metric.words, lines)
        yield self._responses()

    def _responses(self) -> str:
        name = f"{self._prefix}http_responses_total"
        lines: list[str] = []
        for code, column in CODES.items():
            values = self._values(column)
            if self._kind == "server" and code in RARE_CODES:
                values = ["" if value == "0" else value for value in values]
            ends = [f'{head},code="{code}"}} ' for head in self._heads]
            lines += _lines(name, ends, values)
        return family(name, "counter", CODES_WORDS, lines)

    def _status(self) -> str:
        name = f"{self._prefix}status"
        statuses = self._columns.get("status", ())
        lines: list[str] = []
        of_status = partial(_state_lines, self._kind)
        known = {status: of_status(status) for status in {*statuses}}
        for head, status in zip(self._heads, statuses, strict=False):
            lines += [f"{name}{head}{end}" for end in known[status]]
        return family(name, "gauge", STATUS_WORDS, lines)

    def _values(self, column: str, change: Callable[[str], str] | None = None) -> Sequence[str]:
        """Numbers and empty cells."""
        cells = self._columns.get(column, ())
        digits = "".join(cells)
        if not (digits.isascii() and digits.isdigit()):
            # One that is negative, or somebody's nonsense.
            good = {cell for cell in {*cells} if _NUMBER.fullmatch(cell)}
            cells = tuple(cell if cell in good else "" for cell in cells)
        if change is None:
            return cells
        known = {cell: change(cell) if cell else "" for cell in {*cells}}
        return [known[cell] for cell in cells]


def _heads(kind: Kind, table: Table) -> Iterator[str]:
    """Labels, but for the brace that closes them."""
    if kind != "server":
        return (f'{{proxy="{escaped(name)}"' for name in table.column("pxname"))
    return (
        f'{{proxy="{escaped(proxy)}",server="{escaped(server)}"'
        for proxy, server in table.cells("pxname", "svname")
    )


def _lines(name: str, ends: Sequence[str], values: Sequence[str]) -> list[str]:
    return [f"{name}{end}{value}" for end, value in zip(ends, values, strict=False) if value]


def _state_lines(kind: Kind, status: str) -> tuple[str, ...]:
    """What stands behind the labels, for each state that is told."""
    if kind != "server":
        # Of a frontend OPEN and FULL, of a backend UP.
        is_up = not status.startswith(("STOP", "DOWN"))
        return (f',state="DOWN"}} {1 - is_up}', f',state="UP"}} {is_up:d}')
    state = state_of(status)
    up = f',state="UP"}} {state == "UP":d}'
    return (up,) if state == "UP" else (f',state="{state}"}} 1', up)


def _aggregates(backends: Table, servers: Table) -> str:
    """How many servers of a backend are in each state."""
    name = "haproxy_backend_agg_server_status"
    cells = Counter(servers.cells("pxname", "status"))
    counted: Counter[tuple[str, str]] = Counter()
    for (proxy, status), count in cells.items():
        counted[proxy, state_of(status)] += count
    filled = {proxy for proxy, _ in cells}
    lines = [
        f'{name}{{proxy="{escaped(proxy)}",state="{state}"}} {counted[proxy, state]}'
        for proxy in backends.column("pxname")
        if proxy in filled
        for state in STATES
    ]
    return family(name, "gauge", AGGREGATE_WORDS, lines)


def _in_seconds(milliseconds: str) -> str:
    return str(int(milliseconds) / 1000)
