"""
What one process answers to ``show info;show stat``, as far as it is told to Prometheus.

Pure. Of 20,000 rows with 100 cells each it reads the cells that are wanted, in one pass; what
looks odd, as a quoted cell, is left to the ``csv`` module.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.process_facts import parse_facts
from lbctl.haproxy.promex import COLUMNS, KINDS, Kind
from lbctl.haproxy.table import Table

QUESTION: Final = b"show info;show stat\n"
_END: Final = b"\n\n"
_HEAD: Final = "# pxname,svname,"

#: The rows of each kind under the columns that are wanted, as far as this HAProxy has them.
Tables = Mapping[Kind, Table]


@dataclass(frozen=True, slots=True)
class Sight:
    """
    One process.

    Attributes:
        facts: ``show info`` by key.
        tables: ``show stat``.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)

    @property
    def life(self) -> str:
        """Of which life of the process it is: a reload begins another one."""
        return f"{self.facts.get('Pid', '')} {self.facts.get('Start_time_sec', '')}"


def read_sight(raw: bytes) -> Sight:
    """
    Read the whole answer.

    Raises:
        RuntimeApiError: it is none, or not all of it.
    """
    info, gap, stat = raw.partition(_END)
    if not gap or not stat.endswith(_END) or not info.startswith(b"Name: "):
        message = f"show info;show stat: {raw[:40]!r}, {len(raw)} bytes: not the whole answer"
        raise RuntimeApiError(message)
    # Checks put a server's own bytes into the statistics, whatever they are.
    facts = parse_facts(info.decode("utf-8", "replace"))
    return Sight(facts, read_tables(stat.decode("utf-8", "replace")))


def read_tables(text: str) -> dict[Kind, Table]:
    """
    Read the CSV.

    Raises:
        RuntimeApiError: no header, or a row that is too short.
    """
    lines = text.split("\n")
    head = lines[0]
    if not head.startswith(_HEAD) or ",type," not in head:
        message = f"show stat: {head[:40]!r} is not its header; no statistics from this process"
        raise RuntimeApiError(message)
    there = head.removeprefix("# ").split(",")
    columns = {
        kind: tuple(one for one in wanted if one in there) for kind, wanted in COLUMNS.items()
    }
    places = {kind: [there.index(one) for one in names] for kind, names in columns.items()}
    pick = {cell: itemgetter(*places[kind]) for cell, kind in KINDS.items()}
    most = 1 + max(max(some) for some in places.values())
    rows: dict[str, list[tuple[str, ...]]] = {cell: [] for cell in KINDS}
    try:
        _sort_rows(_cells(lines[1:], most), there.index("type"), pick, rows)
    except (IndexError, csv.Error) as error:
        message = f"show stat: a row that does not fit its header: {error}"
        raise RuntimeApiError(message) from error
    return {kind: Table(columns[kind], tuple(rows[cell])) for cell, kind in KINDS.items()}


def _sort_rows(
    every: Iterator[list[str]],
    place: int,
    pick: Mapping[str, Callable[[Sequence[str]], tuple[str, ...]]],
    rows: Mapping[str, list[tuple[str, ...]]],
) -> None:
    for cells in every:
        kind = cells[place]
        if kind in rows:
            rows[kind].append(pick[kind](cells))


def _cells(lines: Sequence[str], most: int) -> Iterator[list[str]]:
    """The first *most* cells of each row, and what is behind them as one."""
    odd = ""
    for line in lines:
        if odd:
            odd += f"\n{line}"
        elif '"' in line:
            odd = line
        elif line:
            yield line.split(",", most)
        # Within quotes a quote is doubled: an odd number of them leaves one open.
        if odd and odd.count('"') % 2 == 0:
            yield from csv.reader(io.StringIO(odd, newline=""))
            odd = ""
    if odd:
        message = f"{odd[:40]!r}: a quote that is not closed"
        raise csv.Error(message)
