"""
Counters that go on where those of an earlier life of the same process stopped.

Pure. A sum over processes has no counter reset that Prometheus could see: where one of two
processes is reloaded, it falls by half, and what the other one has counted since its start would
be taken for new. So that each process's counters are carried over its reloads; and those of one
that does not answer stand still, and are not missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from lbctl.haproxy.columns import rule_of
from lbctl.haproxy.promex import COUNTERS, FACT_COUNTERS, KEY
from lbctl.haproxy.promex_read import Sight
from lbctl.haproxy.rules import COMBINE, Rule
from lbctl.haproxy.table import Table

_ADD: Final = COMBINE[Rule.ADD]
_NOTHING: Final = frozenset(("", "0"))


def continued(sight: Sight, before: Sight) -> Sight:
    """*sight* with what the earlier life *before* had counted; what it alone had is gone."""
    return _on_top(sight, before, is_other=False)


def with_silent(merged: Sight, silent: Sight) -> Sight:
    """All that answered, with the counters of a process that did not."""
    return _on_top(merged, silent, is_other=True)


def counters_of(sight: Sight) -> Sight:
    """What of it is carried."""
    facts = {key: value for key, value in sight.facts.items() if key in FACT_COUNTERS}
    return Sight(facts, {kind: _counters(table) for kind, table in sight.tables.items()})


def _counters(table: Table) -> Table:
    names = tuple(one for one in table.columns if one in KEY or one in COUNTERS)
    return table.arranged(names)


def _on_top(sight: Sight, more: Sight, *, is_other: bool) -> Sight:
    facts = {
        key: _ADD((value, more.facts[key])) if key in FACT_COUNTERS and key in more.facts else value
        for key, value in sight.facts.items()
    }
    tables = {
        kind: _table(table, more.tables[kind], is_other=is_other) if kind in more.tables else table
        for kind, table in sight.tables.items()
    }
    return Sight(facts, tables)


def _table(table: Table, more: Table, *, is_other: bool) -> Table:
    if not more.rows or not table.rows:
        return table
    beside = _beside(table, more)
    columns = dict(zip(table.columns, zip(*table.rows, strict=True), strict=True))
    for name in table.columns:
        if name in COUNTERS and name in beside:
            rule = rule_of(name) if is_other else Rule.ADD
            columns[name] = _column(columns[name], beside[name], rule)
    return Table(table.columns, tuple(zip(*columns.values(), strict=True)))


def _beside(table: Table, more: Table) -> Mapping[str, Sequence[str]]:
    """The columns of *more*, row by row as in *table*; empty where it has no such row."""
    keys, theirs = list(table.cells(*KEY)), list(more.cells(*KEY))
    rows: Sequence[tuple[str, ...]] = more.rows
    if keys != theirs:
        by_key = dict(zip(theirs, more.rows, strict=True))
        nothing = ("",) * len(more.columns)
        rows = [by_key.get(key, nothing) for key in keys]
    return dict(zip(more.columns, zip(*rows, strict=True), strict=True))


def _column(values: Sequence[str], others: Sequence[str], rule: Rule) -> tuple[str, ...]:
    if _NOTHING.issuperset(others):
        return tuple(values)
    combine = COMBINE[rule]
    return tuple(
        value if other in _NOTHING else combine((value, other))
        for value, other in zip(values, others, strict=True)
    )
