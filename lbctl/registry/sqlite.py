"""
Cells in a file of this host: in SQLite a value that was written survives kill -9 and power cuts.

A file that is damaged is told and left as it is: the services that were known go on being served,
and an empty registry in its place would take them away. One that was moved away or put back is
opened anew at the next question.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from lbctl.errors import ProviderError, ProviderReplyError, ProviderTimeout
from lbctl.registry.apart import Apart
from lbctl.registry.store import Cell, Kind

#: How long another program may hold the file, seconds.
LOCK_S: Final = 5.0
#: Far below what SQLite takes.
VALUE_MAX_BYTES: Final = 64 << 20

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS cells (kind TEXT NOT NULL, name TEXT NOT NULL,"
    " version INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID"
)
_INSERT: Final = (
    "INSERT INTO cells (kind, name, version, value) VALUES (?, ?, 1, ?) ON CONFLICT DO NOTHING"
)
_UPDATE: Final = (
    "UPDATE cells SET value = ?, version = version + 1 WHERE kind = ? AND name = ? AND version = ?"
)
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRIMARY_CODE: Final = 0xFF

T = TypeVar("T")


class SqliteCells:
    """
    Args:
        path: the file; made with mode 0600 where it is not there, by the first one that writes.
    """

    is_shared = False
    most_bytes = VALUE_MAX_BYTES

    def __init__(self, path: Path) -> None:
        self._path = path
        # SQLite waits for the disk, and its connection stays with one thread.
        self._thread = Apart("sqlite")
        self._open: tuple[sqlite3.Connection, tuple[int, int]] | None = None

    @property
    def target(self) -> str:
        return str(self._path)

    async def names(self, kind: Kind) -> tuple[str, ...]:
        def found(database: sqlite3.Connection) -> tuple[str, ...]:
            rows = database.execute("SELECT name FROM cells WHERE kind = ? ORDER BY name", (kind,))
            return tuple(row[0] for row in rows)

        return await self._run(found) if self._path.exists() else ()

    async def get(self, kind: Kind, name: str) -> Cell | None:
        def found(database: sqlite3.Connection) -> Cell | None:
            query = "SELECT value, version FROM cells WHERE kind = ? AND name = ?"
            row = database.execute(query, (kind, name)).fetchone()
            return None if row is None else Cell(bytes(row[0]), row[1])

        return await self._run(found) if self._path.exists() else None

    async def put(self, kind: Kind, name: str, value: bytes, version: int) -> bool:
        def did_put(database: sqlite3.Connection) -> bool:
            if version:
                done = database.execute(_UPDATE, (value, kind, name, version))
            else:
                done = database.execute(_INSERT, (kind, name, value))
            return done.rowcount == 1

        return await self._run(did_put)

    async def delete(self, kind: Kind, name: str) -> None:
        await self._run(
            lambda database: database.execute(
                "DELETE FROM cells WHERE kind = ? AND name = ?", (kind, name)
            )
        )

    async def close(self) -> None:
        await self._thread.run(self._let_go)
        self._thread.close()

    async def _run(self, action: Callable[[sqlite3.Connection], T]) -> T:
        return await self._thread.run(lambda: self._guarded(action))

    def _guarded(self, action: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return action(self._database())
        except sqlite3.Error as error:
            code = (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY_CODE
            if code not in _BUSY:
                self._let_go()
            raise _translated(self._path, error, code) from error
        except OSError as error:
            self._let_go()
            message = f"{self._path}: {error.strerror}; nothing was changed"
            raise ProviderError(message) from error

    def _database(self) -> sqlite3.Connection:
        """The one that is open, as long as its file is the one with that name."""
        if self._open is not None:
            with suppress(FileNotFoundError):
                if self._open[1] == _identity(self._path):
                    return self._open[0]
            self._let_go()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        database = sqlite3.connect(self._path, timeout=LOCK_S, isolation_level=None)
        try:
            for line in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", _SCHEMA):
                database.execute(line).fetchall()
            told = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if told != "ok":
                raise _damaged(self._path, str(told))
        except BaseException:
            database.close()
            raise
        self._open = (database, _identity(self._path))
        return database

    def _let_go(self) -> None:
        if self._open is not None:
            with suppress(sqlite3.Error):
                self._open[0].close()
            self._open = None


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _translated(path: Path, error: sqlite3.Error, code: int) -> ProviderError:
    if code in _BUSY:
        what = f"another program holds it for more than {LOCK_S:.0f} s; nothing was changed"
        return ProviderTimeout(f"{path}: {what}")
    if code in _DAMAGED:
        return _damaged(path, str(error))
    return ProviderError(f"{path}: {error}; nothing was changed")


def _damaged(path: Path, why: str) -> ProviderReplyError:
    what = f"it is damaged ({' '.join(why.split())}); what it said last is served"
    way_out = "put a copy back, or move it away with its -wal and tell of all containers anew"
    return ProviderReplyError(f"{path}: {what}; {way_out}, as candidates")
