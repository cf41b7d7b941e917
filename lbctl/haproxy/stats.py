"""
The statistics of several HAProxy processes as if one process had served everything.

Pure. The result has HAProxy's own columns and words, so that tools made for one process read it;
what each column means is said in :mod:`lbctl.haproxy.columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from lbctl.haproxy.columns import CURRENT_OF_PEAK, rule_of
from lbctl.haproxy.rules import COMBINE, Cell, Rule, average, lenient
from lbctl.haproxy.table import Table

Key = tuple[str, ...]  # pxname, svname, type: a listener may have a server's name
Row = tuple[str, ...]
Column = Sequence[str]
T = TypeVar("T")

_KEY: Final = ("pxname", "svname", "type")

#: Worst first. What is said behind the word, as in ``UP 1/3`` (going down) or ``DOWN 1/2`` (going
#: up), makes a good word worse and a bad one better. A word that is not here is worse than all.
SEVERITY: Final = (
    "DOWN",
    "STOP",
    "NOLB",
    "MAINT",
    "DRAIN",
    "PAUSED",
    "FULL",
    "WAITING",
    "UP",
    "OPEN",
    "no check",
)
_GOOD: Final = frozenset(("UP", "OPEN", "no check"))


def badness(status: str) -> tuple[int, int]:
    """Sorts statuses, the worst first."""
    word = status if status in SEVERITY else status.split(" ", 1)[0]
    if word not in SEVERITY:
        return (-1, 0)
    is_on_its_way = status != word
    return (SEVERITY.index(word), -is_on_its_way if word in _GOOD else is_on_its_way)


def merge(tables: Sequence[Table]) -> Table:
    """
    One table for all processes.

    Args:
        tables: one a process, in the order of the processes.

    Returns:
        The union of the rows, in the order in which they first appear. A row that one process
        alone has, as the listener of its own statistics, stays as it is, but for ``iid`` and
        ``sid``: they are changed where two processes gave one number to two things.
    """
    columns = _columns(tables)
    arranged = [table.arranged(columns) for table in tables]
    by_key = [dict(zip(table.cells(*_KEY), table.rows, strict=True)) for table in arranged]
    holders: dict[Key, list[int]] = {}
    for number, rows in enumerate(by_key):
        for key in rows:
            holders.setdefault(key, []).append(number)
    keys_by_holders: dict[tuple[int, ...], list[Key]] = {}
    for key, numbers in holders.items():
        keys_by_holders.setdefault(tuple(numbers), []).append(key)
    merged: dict[Key, Row] = {}
    for group, keys in keys_by_holders.items():
        blocks = [[by_key[number][key] for key in keys] for number in group]
        one_by_one = blocks[0] if len(blocks) == 1 else _merge_blocks(columns, blocks)
        merged.update(zip(keys, one_by_one, strict=True))
    return Table(columns, tuple(_with_own_ids(columns, [merged[key] for key in holders])))


def disagreements(tables: Sequence[Table]) -> Mapping[Key, Cell]:
    """
    The statuses of each row whose processes do not agree, by (pxname, svname, type).

    A process that does not have the row says nothing, which is no disagreement.
    """
    by_key = [
        dict(zip(table.cells(*_KEY), table.column("status"), strict=True)) for table in tables
    ]
    found: dict[Key, Cell] = {}
    for key in dict.fromkeys(key for rows in by_key for key in rows):
        statuses = tuple(rows.get(key, "") for rows in by_key)
        if len({*statuses} - {""}) > 1:
            found[key] = statuses
    return found


def numbered(table: Table, number: int) -> Table:
    """The table of one process, with its number as ``pid``: the word's meaning under nbproc."""
    place = table.columns.index("pid") if "pid" in table.columns else None
    if place is None:
        return table
    rows = ((*row[:place], str(number), *row[place + 1 :]) for row in table.rows)
    return replace(table, rows=tuple(rows))


def _columns(tables: Sequence[Table]) -> tuple[str, ...]:
    """The widest header is the newest HAProxy's; what else others have comes behind it."""
    widest = sorted(tables, key=lambda table: len(table.columns), reverse=True)
    return tuple(dict.fromkeys(column for table in widest for column in table.columns))


def _merge_blocks(columns: Sequence[str], blocks: Sequence[Sequence[Row]]) -> list[Row]:
    """Merge the same rows of two or more processes, column by column."""
    turned = [list(zip(*block, strict=True)) for block in blocks]
    said = {column: [cells[place] for cells in turned] for place, column in enumerate(columns)}
    silence = [("",) * len(blocks[0])] * len(blocks)
    picks = _each(zip(*said.get("status", silence), strict=True), _worst)
    weights = said.get("stot", silence)
    merged = {
        column: _merge_column(rule_of(column), values, picks, weights)
        for column, values in said.items()
    }
    for peak, current in CURRENT_OF_PEAK.items():
        if peak in merged and current in merged:
            pairs = zip(merged[peak], merged[current], strict=True)
            merged[peak] = _each(pairs, _at_least)
    return list(zip(*merged.values(), strict=True))


def _merge_column(
    rule: Rule, values: Sequence[Column], picks: Sequence[int], weights: Sequence[Column]
) -> Column:
    """
    One column of the result.

    Args:
        rule: the column's.
        values: the column of each process.
        picks: which process has the worst status, row by row.
        weights: what an average is weighted with, in the shape of *values*.
    """
    adds = rule in {Rule.ADD, Rule.LIMIT}
    one, *others = values
    if all(other == one for other in others) and not (adds and {*one} - {"", "0"}):
        return one
    if rule is Rule.STATE:
        cells = zip(*values, strict=True)
        return [cell[pick] for cell, pick in zip(cells, picks, strict=True)]
    if rule is Rule.AVERAGE:
        count = len(values)
        combine = lenient(lambda cell: average(cell[:count], cell[count:]))
        return _each(zip(*values, *weights, strict=True), combine)
    return _each(zip(*values, strict=True), COMBINE[rule])


def _each(cells: Iterable[Cell], combine: Callable[[Cell], T]) -> list[T]:
    """Few of a column's cells differ, so each distinct one is worked out once."""
    every = list(cells)
    known = {cell: combine(cell) for cell in {*every}}
    return [known[cell] for cell in every]


def _worst(statuses: Cell) -> int:
    return min(range(len(statuses)), key=lambda number: badness(statuses[number]))


def _at_least(peak_and_current: Cell) -> str:
    """What all processes have together right now was certainly reached."""
    peak, _ = peak_and_current
    return COMBINE[Rule.GREATEST](peak_and_current) if peak else ""


def _with_own_ids(columns: Sequence[str], rows: Sequence[Row]) -> Sequence[Row]:
    """Tools tell proxies apart by ``iid``, and the servers of one, or its listeners, by ``sid``."""
    if not {"iid", "sid", *_KEY} <= {*columns}:
        return rows
    px, sv, kind, iid, sid = (
        columns.index(name) for name in ("pxname", "svname", "type", "iid", "sid")
    )
    new_iids = _distinct(("", row[px], row[iid]) for row in rows)
    new_sids = _distinct(
        (f"{row[px]} {row[iid]} {row[kind]}", row[sv], row[sid])
        for row in rows
        if row[kind] in "23"
    )
    if not new_iids and not new_sids:
        return rows
    result = []
    for row in rows:
        cells = list(row)
        cells[iid] = new_iids.get(("", row[px], row[iid]), row[iid])
        claim = (f"{row[px]} {row[iid]} {row[kind]}", row[sv], row[sid])
        cells[sid] = new_sids.get(claim, row[sid])
        result.append(tuple(cells))
    return result


def _distinct(claims: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """
    Numbers for those whose own is taken.

    Args:
        claims: (scope, owner, number), in any number of repetitions.

    Returns:
        A new number, by claim, for every claim but the first of a number in its scope.
    """
    owners: dict[tuple[str, str], str] = {}
    late: list[tuple[str, str, str]] = []
    for scope, owner, number in dict.fromkeys(claims):
        if owners.setdefault((scope, number), owner) != owner:
            late.append((scope, owner, number))
    highest = max((int(number) for _, number in owners if number.isdecimal()), default=0)
    return {claim: str(highest + nth) for nth, claim in enumerate(late, start=1)}
