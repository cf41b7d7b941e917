"""
How what several processes say of one thing becomes one value.

Pure. Values are HAProxy's own text; an empty one says nothing. A value that should be a number and
is none is not worth failing for: the first one stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

Cell = tuple[str, ...]  # what each process says, in the order of the processes


class Rule(Enum):
    """
    What becomes of several values.

    ADD: counters, rates and what there is now: together they are what one process would show.
    LIMIT: limits of each process; they add, unless one of them has none.
    PEAK: highest value seen; the peaks of two processes need not have met, so neither their sum
        nor anything above the greatest was ever seen.
    GREATEST: of one event that every process counts for itself.
    LEAST: what every process must have for it to count.
    RECENT: seconds since something happened; -1 is never.
    AVERAGE: weighted by the sessions of each process.
    STATE: from the process with the worst status, so that the columns of a row fit together.
    FIRST: configuration: the same everywhere, and where not, the first process's.
    """

    ADD = "add"
    LIMIT = "limit"
    PEAK = "peak"
    GREATEST = "greatest"
    LEAST = "least"
    RECENT = "recent"
    AVERAGE = "average"
    STATE = "state"
    FIRST = "first"


def first(cell: Cell) -> str:
    return next(filter(None, cell), "")


def add(cell: Cell) -> str:
    numbers = [int(value) for value in cell if value]
    return str(sum(numbers)) if numbers else ""


def limit(cell: Cell) -> str:
    """``""`` and ``0`` are HAProxy's two ways to say that there is none."""
    without = next((value for value in cell if value in {"", "0"}), None)
    return add(cell) if without is None else without


def greatest(cell: Cell) -> str:
    return max(filter(None, cell), key=int, default="")


def least(cell: Cell) -> str:
    return min(filter(None, cell), key=int, default="")


def recent(cell: Cell) -> str:
    return least(tuple(value for value in cell if value != "-1")) or first(cell)


def average(cell: Cell, weights: Cell) -> str:
    """Rounded to the nearest; where nothing weighs anything, all weigh the same."""
    said = [
        (int(value), int(weight or 0)) for value, weight in zip(cell, weights, strict=True) if value
    ]
    if not said:
        return ""
    total = sum(weight for _, weight in said)
    if not total:
        return str(round(sum(value for value, _ in said) / len(said)))
    return str((2 * sum(value * weight for value, weight in said) + total) // (2 * total))


def lenient(combine: Callable[[Cell], str]) -> Callable[[Cell], str]:
    """The same rule, with the first value where one is no number."""

    def combined(cell: Cell) -> str:
        try:
            return combine(cell)
        except ValueError:
            return first(cell)

    return combined


#: The rules that look at one column alone.
COMBINE: Final[Mapping[Rule, Callable[[Cell], str]]] = MappingProxyType(
    {
        Rule.ADD: lenient(add),
        Rule.LIMIT: lenient(limit),
        Rule.PEAK: lenient(greatest),
        Rule.GREATEST: lenient(greatest),
        Rule.LEAST: lenient(least),
        Rule.RECENT: lenient(recent),
        Rule.FIRST: first,
    }
)
