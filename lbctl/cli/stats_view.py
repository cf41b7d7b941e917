"""The table that ``lbctl stats`` shows to people. Knows columns and colours, asks nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from lbctl.cli.console import console as standard_output
from lbctl.haproxy.stats import badness
from lbctl.haproxy.table import Table

#: Below this what a check answered would take the room of the names.
_WIDTH_FOR_DETAILS: Final = 100
_STYLES: Final = {"UP": "green", "OPEN": "green", "no": "default", "DRAIN": "cyan", "MAINT": "cyan"}
_ERRORS: Final = ("ereq", "econ", "eresp")
_UNITS: Final = ("", "k", "M", "G", "T", "P")

Record = Mapping[str, str]


def print_table(
    table: Table,
    title: str,
    differing: Mapping[tuple[str, ...], Sequence[str]],
    console: Console | None = None,
) -> None:
    """
    Print one line a row.

    Args:
        table: what to show.
        title: what it is of.
        differing: statuses by process, of the rows in which they differ.
        console: where to; None: standard output.
    """
    console = console or standard_output()
    console.print(escape(title))
    shown = RichTable(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    shown.add_column("proxy", overflow="fold", min_width=8)
    shown.add_column("server", overflow="fold", min_width=8)
    shown.add_column("status", overflow="fold", min_width=8)
    for heading in ("cur/max", "total", "rate", "in/out", "err", "queue"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("check", overflow="ellipsis", no_wrap=True)
    for record in table.records():
        key = (record["pxname"], record["svname"], record.get("type", ""))
        is_wide = console.width >= _WIDTH_FOR_DETAILS
        shown.add_row(*_line(record, differing.get(key, ()), is_wide=is_wide))
    console.print(shown)


def _line(record: Record, statuses: Sequence[str], *, is_wide: bool) -> tuple[str, ...]:
    errors = [int(record[name]) for name in _ERRORS if record.get(name, "").isdecimal()]
    return (
        escape(record["pxname"]),
        escape(record["svname"]),
        _status(record.get("status", ""), statuses),
        _pair(record, "scur", "smax"),
        _short(record.get("stot", "")),
        _short(record.get("rate", "")),
        _pair(record, "bin", "bout"),
        _short(str(sum(errors))) if errors else "",
        _pair(record, "qcur", "qmax"),
        escape(_check(record, is_wide=is_wide)),
    )


def _status(status: str, statuses: Sequence[str]) -> str:
    """``DOWN (1 of 2)``: one process of the two that know the row says DOWN."""
    style = _STYLES.get(status.split(" ", 1)[0], "red") if status else "default"
    said = [one for one in statuses if one]
    same = sum(badness(one) == badness(status) for one in said)
    suffix = f" ({same} of {len(said)})" if said else ""
    return f"[{style}]{escape(status)}[/]{suffix}"


def _check(record: Record, *, is_wide: bool) -> str:
    status = record.get("check_status", "")
    if not status:
        return ""
    code = record.get("check_code", "")
    said = record.get("last_chk", "") if is_wide else ""
    took = f" {record['check_duration']} ms" if record.get("check_duration") else ""
    return f"{status}{'/' + code if code else ''}{took}{' ' + said if said else ''}"


def _pair(record: Record, left: str, right: str) -> str:
    if left not in record and right not in record:
        return ""
    return f"{_short(record.get(left, ''))}/{_short(record.get(right, ''))}"


def _short(number: str) -> str:
    """Four or five characters: ``987``, ``12.3k``, ``4M``; units of 1000."""
    if not number.isdecimal():
        return number
    value = float(number)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    precise = unit and value < 99.95
    return f"{value:.1f}".removesuffix(".0") + unit if precise else f"{value:.0f}{unit}"
