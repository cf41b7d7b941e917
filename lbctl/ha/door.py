"""
vipd's Unix socket: one JSON object a line, one answer a line.

Anybody whom the socket's mode lets in may ask; only the user who runs vipd may give it a role.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lbctl.errors import EXIT_UNEXPECTED, LbctlError

log = logging.getLogger(__name__)

LINE_MAX_BYTES = 64 * 1024

Answer = dict[str, Any]
Ask = Callable[[Mapping[str, Any]], Awaitable[Answer]]
Stream = Callable[[Mapping[str, Any]], AsyncIterator[Answer]]

#: Operations that change the role: for the hooks alone.
_PRIVILEGED = frozenset({"role"})


class Door:
    """Listens, reads, asks, answers."""

    def __init__(self, path: Path, ask: Mapping[str, Ask], streams: Mapping[str, Stream]) -> None:
        self._path = path
        self._ask = ask
        self._streams = streams

    async def open(self, *, mode: int, gid: int) -> asyncio.Server:
        """Listen; *gid* -1 keeps the group."""
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, self._path, limit=LINE_MAX_BYTES)
        if gid >= 0:
            os.chown(self._path, -1, gid)
        self._path.chmod(mode)
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _peer_uid(writer.get_extra_info("socket"))
        # A client that goes away, or sends a line without end, is not worth a word.
        with suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                async for answer in self._answers(line, uid):
                    writer.write(json.dumps(answer).encode() + b"\n")
                    await writer.drain()
        writer.close()

    async def _answers(self, line: bytes, uid: int) -> AsyncIterator[Answer]:
        try:
            word = json.loads(line)
            op = word["op"]
        except (ValueError, TypeError, KeyError):
            yield _refusal('not understood: a JSON object with "op" is wanted', 11)
            return
        if op in _PRIVILEGED and uid != os.geteuid():
            yield _refusal(f"{op}: only for uid {os.geteuid()}, this is uid {uid}", 11)
        elif op in self._streams:
            async for answer in self._streams[op](word):
                yield answer
        elif op in self._ask:
            yield await self._ask_safely(op, word)
        else:
            yield _refusal(f"{op!r}: no such operation", 11)

    async def _ask_safely(self, op: str, word: Mapping[str, Any]) -> Answer:
        try:
            return await self._ask[op](word)
        except LbctlError as error:
            return _refusal(str(error), error.exit_code)
        except OSError as error:
            log.warning("%s: %s", op, error)
            return _refusal(f"{op}: {error}", EXIT_UNEXPECTED)
        except (ValueError, TypeError, KeyError) as error:
            log.warning("%s: bad request: %r", op, error)
            return _refusal(f"{op}: bad request: {error!r}", 11)


def _refusal(error: str, code: int) -> Answer:
    return {"ok": False, "error": error, "code": code}


def _peer_uid(connection: socket.socket) -> int:
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    uid: int = struct.unpack("3i", credentials)[1]
    return uid
