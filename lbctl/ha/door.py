"""
vipd's Unix socket: one JSON object a line, one answer a line; a stream is the last of its answers.

Anybody whom the socket's mode lets in may ask; only the user who runs vipd may give it a role, or
say what this node's files are.
Nobody who asks may keep others from asking: who says nothing is hung up on, and of all users but
the one who runs vipd so many are served at once, and no more.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbctl.errors import EXIT_UNEXPECTED, EXIT_USAGE, LbctlError

log = logging.getLogger(__name__)

LINE_MAX_BYTES = 64 * 1024
#: Served at once, of all other users, and of the user who runs vipd.
ASKERS_MAX = 64
WATCHERS_MAX = 32
#: For a line to come, and for an answer to be fetched.
PATIENCE_S = 2.0
_ERROR_MAX = 1000
#: Let in (or refused) in one turn of the loop, which has more urgent things to do.
_LET_IN = 8
#: Waiting for it.
_BACKLOG = 1024
#: Whoever wants to fill the log shall not.
_TELL_EVERY_S = 60.0

Answer = dict[str, Any]
Ask = Callable[[Mapping[str, Any]], Awaitable[Answer]]
Stream = Callable[[Mapping[str, Any]], AsyncIterator[Answer]]

#: For the hooks, and for who may read the operator's files.
_PRIVILEGED = frozenset({"role", "digests"})
#: What comes of values that nobody thought of.
_ODD = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


@dataclass(slots=True)
class _Room:
    """For one kind of guest, so many."""

    places: int
    taken: int = 0

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Whether there was one; it is free again afterwards."""
        if self.taken >= self.places:
            yield False
            return
        self.taken += 1
        try:
            yield True
        finally:
            self.taken -= 1


@dataclass(frozen=True, slots=True)
class _Rooms:
    askers: _Room = field(default_factory=lambda: _Room(ASKERS_MAX))
    watchers: _Room = field(default_factory=lambda: _Room(WATCHERS_MAX))


@dataclass(frozen=True, slots=True)
class _Guest:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    uid: int

    async def say(self, answer: Answer) -> None:
        self.writer.write(json.dumps(answer).encode() + b"\n")
        await self.writer.drain()

    async def say_in_time(self, answer: Answer) -> None:
        """
        Raises:
            TimeoutError: it was not fetched.
        """
        async with asyncio.timeout(PATIENCE_S):
            await self.say(answer)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A stream that a guest wants."""

    stream: Stream
    word: Mapping[str, Any]


class Door:
    """Listens, reads, asks, answers."""

    def __init__(self, path: Path, ask: Mapping[str, Ask], streams: Mapping[str, Stream]) -> None:
        self._path = path
        self._ask = ask
        self._streams = streams
        self._own = _Rooms()
        self._others = _Rooms()
        self._told_at = float("-inf")

    async def open(self, *, mode: int, gid: int) -> asyncio.Server:
        """Listen; *gid* -1 keeps the group."""
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(os.fspath(self._path))
        server = await asyncio.start_unix_server(
            self._serve, sock=listening, limit=LINE_MAX_BYTES, backlog=_LET_IN
        )
        listening.listen(_BACKLOG)
        if gid >= 0:
            os.chown(self._path, -1, gid)
        self._path.chmod(mode)
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guest = _Guest(reader, writer, _peer_uid(writer.get_extra_info("socket")))
        # Waiting for a guest to fetch its answer means all of it.
        writer.transport.set_write_buffer_limits(0)
        # One that goes away, or does not fetch its answer, is not worth a word.
        with suppress(ConnectionError, TimeoutError):
            await self._receive(guest, self._own if guest.uid == os.geteuid() else self._others)
        if writer.transport.get_write_buffer_size():
            # Nobody shall keep a descriptor by not fetching what is left.
            writer.transport.abort()
        writer.close()

    async def _receive(self, guest: _Guest, rooms: _Rooms) -> None:
        with rooms.askers.place() as is_free:
            if not is_free:
                await guest.say_in_time(self._full("asked", rooms.askers))
                return
            wish = await self._converse(guest)
        if wish is not None:
            await self._show(guest, wish, rooms.watchers)

    def _full(self, done: str, room: _Room) -> Answer:
        text = f"vipd is {done} by {room.places} at once already: hung up on the next ones"
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            log.warning("%s: %s; said at most once a minute", self._path, text)
        return _refusal(text, EXIT_UNEXPECTED)

    async def _converse(self, guest: _Guest) -> _Wish | None:
        """Answer line by line, until the guest goes or wants a stream."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    line = await guest.reader.readline()
            except TimeoutError:
                await guest.say_in_time(
                    _refusal(f"nothing was asked within {PATIENCE_S:g} s", EXIT_USAGE)
                )
                return None
            except ValueError:
                text = f"not understood: a line has at most {LINE_MAX_BYTES} bytes"
                await guest.say_in_time(_refusal(text, EXIT_USAGE))
                return None
            if not line:
                return None
            answer = await self._answer(line, guest.uid)
            if isinstance(answer, _Wish):
                return answer
            await guest.say_in_time(answer)

    async def _answer(self, line: bytes, uid: int) -> Answer | _Wish:
        try:
            word = json.loads(line)
        except (ValueError, RecursionError):
            word = None
        op = word.get("op") if isinstance(word, dict) else None
        if not isinstance(op, str):
            return _refusal('not understood: a JSON object with "op" is wanted', EXIT_USAGE)
        if op in _PRIVILEGED and uid != os.geteuid():
            return _refusal(f"{op}: only for uid {os.geteuid()}, this is uid {uid}", EXIT_USAGE)
        if op in self._streams:
            return _Wish(self._streams[op], word)
        if op in self._ask:
            return await self._ask_safely(op, word)
        return _refusal(f"{op!r}: no such operation", EXIT_USAGE)

    async def _ask_safely(self, op: str, word: Mapping[str, Any]) -> Answer:
        try:
            return await self._ask[op](word)
        except LbctlError as error:
            return _refusal(str(error), error.exit_code)
        except OSError as error:
            log.warning("%s: %s", op, error)
            return _refusal(f"{op}: {error}", EXIT_UNEXPECTED)
        except _ODD as error:
            return _refusal(f"{op}: bad request: {error!r:.200}", EXIT_USAGE)

    async def _show(self, guest: _Guest, wish: _Wish, room: _Room) -> None:
        """The stream, until it ends or the guest goes."""
        with room.place() as is_free:
            if not is_free:
                await guest.say_in_time(self._full("watched", room))
                return
            showing = asyncio.ensure_future(_told(guest, wish))
            # A watcher has nothing more to say: whatever comes, and be it the end, ends it.
            going = asyncio.ensure_future(guest.reader.read(1))
            try:
                await asyncio.wait({showing, going}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (showing, going):
                    task.cancel()
                await asyncio.gather(showing, going, return_exceptions=True)


async def _told(guest: _Guest, wish: _Wish) -> None:
    try:
        async for answer in wish.stream(wish.word):
            await guest.say(answer)
    except _ODD as error:
        await guest.say(_refusal(f"{wish.word['op']}: bad request: {error!r:.200}", EXIT_USAGE))


def _refusal(error: str, code: int) -> Answer:
    return {"ok": False, "error": error[:_ERROR_MAX], "code": code}


def _peer_uid(connection: socket.socket) -> int:
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    uid: int = struct.unpack("3i", credentials)[1]
    return uid
