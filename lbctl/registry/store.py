"""
Where tables are kept, for several writers at once.

A :class:`Store` reads and replaces whole tables, and a replacement counts only where nobody was
faster. :class:`CellStore` does it over :class:`Cells`, which is all that a database must be able to
do: small values by name, each with a number that changes whenever it does.

A table that is too large for one cell is written in parts under names of their own, and counts with
the one cell that names them: whoever reads has all of one table, or all of the next.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from lbctl.errors import ProviderError, ProviderReplyError
from lbctl.registry.book import NO_TABLE, Table, from_bytes, to_bytes

Kind = Literal["tables", "parts"]

#: A table that is replaced again and again while it is read.
_READS: Final = 5
#: What no table begins with.
_IN_PARTS: Final = b'{"parts":'


@dataclass(frozen=True, slots=True)
class Stored:
    """
    A table as it was read.

    Attributes:
        version: what to write against; 0: there is none yet.
    """

    table: Table
    version: int


class Store(Protocol):
    """Tables, by name. Every method raises ProviderError when it cannot be known or done."""

    @property
    def target(self) -> str:
        """Where they are, for people."""
        ...

    @property
    def is_shared(self) -> bool:
        """Other hosts may write as well."""
        ...

    async def tables(self) -> tuple[str, ...]:
        """The names of all, sorted."""
        ...

    async def read(self, table: str) -> Stored:
        """As it is now; empty where there is none."""
        ...

    async def write(self, table: str, content: Table, version: int) -> bool:
        """
        Replace what was read as *version*; when this returns it is there to stay.

        Returns:
            Whether it was: False: somebody was faster.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and files."""
        ...


@dataclass(frozen=True, slots=True)
class Cell:
    """
    A value.

    Attributes:
        version: another one after each change, larger ones later; 1 and more.
    """

    value: bytes
    version: int


class Cells(Protocol):
    """A database. Every method raises ProviderError when it cannot be known or done."""

    @property
    def target(self) -> str: ...

    @property
    def is_shared(self) -> bool: ...

    @property
    def most_bytes(self) -> int:
        """The longest value."""
        ...

    async def names(self, kind: Kind) -> tuple[str, ...]: ...

    async def get(self, kind: Kind, name: str) -> Cell | None: ...

    async def put(self, kind: Kind, name: str, value: bytes, version: int) -> bool:
        """
        Set it where it still has *version*; 0: where it is not there.

        Returns:
            Whether it had.
        """
        ...

    async def delete(self, kind: Kind, name: str) -> None: ...

    async def close(self) -> None: ...


class CellStore:
    """Tables in cells."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        # What was read last, and what was written last by the value of its cell: a table that has
        # not changed since is not taken apart again.
        self._known: dict[str, Stored] = {}
        self._written: dict[str, tuple[bytes, Table]] = {}

    @property
    def target(self) -> str:
        return self._cells.target

    @property
    def is_shared(self) -> bool:
        return self._cells.is_shared

    async def tables(self) -> tuple[str, ...]:
        return tuple(sorted(await self._cells.names("tables")))

    async def read(self, table: str) -> Stored:
        for _ in range(_READS):
            head = await self._cells.get("tables", table)
            if head is None:
                self._known.pop(table, None)
                return Stored(NO_TABLE, 0)
            known = self._known.get(table)
            if known is not None and known.version == head.version:
                return known
            content = await self._content(table, head)
            if content is not None:
                self._known[table] = Stored(content, head.version)
                return self._known[table]
        message = f"{self.target}: table {table}: parts of it are missing; nothing was changed"
        raise ProviderReplyError(message)

    async def write(self, table: str, content: Table, version: int) -> bool:
        value = to_bytes(content)
        if len(value) <= self._cells.most_bytes:
            did_write = await self._cells.put("tables", table, value, version)
            if did_write:
                self._written[table] = (value, content)
            return did_write
        stamp = f"{table}/{version}-{secrets.token_hex(8)}"
        size = self._cells.most_bytes
        parts = [value[at : at + size] for at in range(0, len(value), size)]
        names = _part_names(stamp, len(parts))
        for name, part in zip(names, parts, strict=True):
            await self._cells.put("parts", name, part, 0)
        head = {"parts": stamp, "count": len(parts)}
        written = json.dumps(head, separators=(",", ":")).encode()
        did_write = await self._cells.put("tables", table, written, version)
        if did_write:
            self._written[table] = (written, content)
        with suppress(ProviderError):
            # What is left behind costs room alone, until the next one comes along.
            for name in await self._left(table, version, stamp) if did_write else names:
                await self._cells.delete("parts", name)
        return did_write

    async def close(self) -> None:
        await self._cells.close()

    async def _content(self, table: str, head: Cell) -> Table | None:
        """None: a part is gone, since a newer table is there."""
        written = self._written.get(table)
        if written is not None and written[0] == head.value:
            return written[1]
        content = await self._whole(table, head)
        return None if content is None else self._parsed(table, content)

    async def _whole(self, table: str, head: Cell) -> bytes | None:
        if not head.value.startswith(_IN_PARTS):
            return head.value
        try:
            said = json.loads(head.value)
            names = _part_names(str(said["parts"]), int(said["count"]))
        except (ValueError, KeyError, TypeError) as error:
            raise self._unread(table, error) from error
        parts = []
        for name in names:
            part = await self._cells.get("parts", name)
            if part is None:
                return None
            parts.append(part.value)
        return b"".join(parts)

    async def _left(self, table: str, version: int, stamp: str) -> list[str]:
        """
        Parts that no head will ever name, once *stamp* has replaced *version*: of the table before,
        and of writers that lost or died. Who began with a version up to that one cannot win.
        """
        found = []
        for name in await self._cells.names("parts"):
            owner, _, rest = name.partition("/")
            began = rest.partition("-")[0]
            is_old = owner == table and began.isdecimal() and int(began) <= version
            if is_old and not name.startswith(f"{stamp}/"):
                found.append(name)
        return found

    def _parsed(self, table: str, content: bytes) -> Table:
        try:
            return from_bytes(content)
        except ValueError as error:
            raise self._unread(table, error) from error

    def _unread(self, table: str, error: Exception) -> ProviderReplyError:
        return ProviderReplyError(f"{self.target}: table {table}: {error}; it stays as it is")


def _part_names(stamp: str, count: int) -> list[str]:
    return [f"{stamp}/{at:05}" for at in range(count)]
