"""
The difference between old and new, as lines for people, each change with its reason below it.

Pure: what is coloured how, and where it is printed, is the command's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from lbctl.migrate.document import sections_of
from lbctl.migrate.engine import Migration
from lbctl.migrate.masking import masked, printable
from lbctl.migrate.placed import Placed

Kind = Literal["file", "place", "same", "old", "new", "why"]

_CONTEXT = 1


@dataclass(frozen=True, slots=True)
class Shown:
    """
    One line.

    Attributes:
        kind: what it is.
        text: without secrets and control characters, and without an end.
    """

    kind: Kind
    text: str


def difference(migration: Migration, name: str) -> tuple[Shown, ...]:
    """All changes, with a line of the unchanged text around them; empty without any."""
    placed = migration.placed
    if not any(one.is_changed for one in placed):
        return ()
    shown = [Shown("file", f"--- {name}"), Shown("file", f"+++ {name} (migrated)")]
    sections = _sections(placed)
    for start, end in _hunks(placed):
        number = placed[start].row.number
        inside = sections.get(placed[_first_change(placed, start)].row.number, "")
        shown.append(Shown("place", f"@@ line {number} @@ {inside}".rstrip()))
        shown += _hunk(placed[start:end])
    return tuple(shown)


def _hunks(placed: Sequence[Placed]) -> Iterator[tuple[int, int]]:
    """Begin and end of each run of changes with its surroundings."""
    start = end = -1
    for at, one in enumerate(placed):
        if not one.is_changed:
            continue
        if start >= 0 and at - _CONTEXT > end:
            yield start, end
            start = -1
        start = max(0, at - _CONTEXT) if start < 0 else start
        end = min(len(placed), at + 1 + _CONTEXT)
    if start >= 0:
        yield start, end


def _first_change(placed: Sequence[Placed], start: int) -> int:
    return next(at for at in range(start, len(placed)) if placed[at].is_changed)


def _sections(placed: Sequence[Placed]) -> dict[int, str]:
    """By line number, the section that the line is in."""
    rows = tuple({one.row.number: one.row for one in placed}.values())
    rows = tuple(sorted(rows, key=lambda row: row.number))
    return {
        row.number: printable(f"{section.keyword} {section.name}".rstrip())
        for section in sections_of(rows)
        for row in section.rows
    }


def _hunk(placed: Sequence[Placed]) -> Iterator[Shown]:
    """Neighbours that change for the same reason are told the reason once."""
    for whys, group in groupby(placed, key=lambda one: one.whys):
        members = list(group)
        if not whys:
            yield from (Shown("same", f"  {_clean(one.row.text)}") for one in members)
            continue
        alike = [members] if not any(one.texts for one in members) else [[one] for one in members]
        for run in alike:
            yield from (
                Shown("old", f"- {_clean(one.row.text)}") for one in run if not one.is_addition
            )
            yield from (Shown("new", f"+ {_clean(text)}") for one in run for text in one.texts)
            yield from (Shown("why", f"#   {printable(why)}") for why in dict.fromkeys(whys))


def _clean(text: str) -> str:
    return printable(masked(text))
