"""Cells in memory: the least that a database of the registry does."""

from __future__ import annotations

from collections.abc import Callable

from lbctl.registry.store import Cell, Kind


class MemoryCells:
    """
    Args:
        most_bytes: of a value.

    Attributes:
        before_put: called before a value is set: somebody else is faster.
        failure: raised by every question, while it is set.
        cells: what there is.
        asked: how many questions there were.
    """

    target = "memory"

    def __init__(self, most_bytes: int = 1 << 20, *, is_shared: bool = True) -> None:
        self.most_bytes = most_bytes
        self.is_shared = is_shared
        self.before_put: Callable[[], None] | None = None
        self.failure: Exception | None = None
        self.cells: dict[tuple[Kind, str], Cell] = {}
        self.asked = 0
        self._changes = 0

    async def names(self, kind: Kind) -> tuple[str, ...]:
        self._ask()
        return tuple(name for one, name in self.cells if one == kind)

    async def get(self, kind: Kind, name: str) -> Cell | None:
        self._ask()
        return self.cells.get((kind, name))

    async def put(self, kind: Kind, name: str, value: bytes, version: int) -> bool:
        self._ask()
        assert len(value) <= self.most_bytes
        if self.before_put is not None and kind == "tables":
            self.before_put()
        before = self.cells.get((kind, name))
        if (before.version if before else 0) != version:
            return False
        self.set(kind, name, value)
        return True

    def set(self, kind: Kind, name: str, value: bytes) -> None:
        """As somebody else does it."""
        self._changes += 1
        self.cells[kind, name] = Cell(value, self._changes)

    async def delete(self, kind: Kind, name: str) -> None:
        self._ask()
        self.cells.pop((kind, name), None)

    async def close(self) -> None:
        """Nothing is open."""

    def _ask(self) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
