"""The table of ``lbctl doctor``. Knows columns and colours, looks at nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lbctl.doctor.row import Row, Verdict

_STYLES = {
    Verdict.OK: "green",
    Verdict.WARN: "bold yellow",
    Verdict.BAD: "bold red",
    Verdict.UNKNOWN: "dim",
}


#: Where nobody says how wide the reader's page is, as in a pipe.
_WIDTH_WITHOUT_TERMINAL = 120


def draw(rows: Sequence[Row], console: Console | None = None) -> None:
    """
    One line a check, in the order of the looks; then how many of each.

    Args:
        rows: what was found.
        console: where to; None: standard output.
    """
    console = console or _console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold", ratio=3)
    table.add_column("what to do", overflow="fold", ratio=2)
    for row in rows:
        verdict = f"[{_STYLES[row.verdict]}]{row.verdict}[/]"
        table.add_row(row.check, verdict, escape(row.found), escape(row.advice))
    console.print(table)
    counts = Counter(row.verdict for row in rows)
    console.print(", ".join(f"{counts[one]} {one}" for one in Verdict if counts[one]))


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console
