"""
A source of services that answers over HTTP, and does so in every wrong way.

One server for the contract of all clients: what it does is its ``fault``, which a test changes as
it goes; requests that are open keep the one that they came to.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PART = b" " * (1 << 20)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came; names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class FaultServer:
    """
    Attributes:
        url: of the server.
        answer: what it says when all is well, as JSON.
        fault: a key of :data:`FAULTS`; ``none``.
        asked: every request.
        readers: of the connections that are open, by writer.
    """

    url: str
    answer: Any
    fault: str = "none"
    asked: list[Asked] = field(default_factory=list)
    readers: dict[asyncio.StreamWriter, asyncio.StreamReader] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A new connection."""
        task = asyncio.ensure_future(self.serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Nobody is left when it returns."""
        for writer in [*self.readers]:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as many requests as come over it."""
        self.readers[writer] = reader
        try:
            while request := await _read(reader):
                self.asked.append(request)
                await FAULTS[self.fault](self, writer)
                if self.fault != "none":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self.readers[writer]
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode().splitlines()
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)


async def say(
    writer: asyncio.StreamWriter,
    body: bytes,
    status: str = "200 OK",
    headers: str = "Content-Type: application/json",
    length: int | None = None,
) -> None:
    """One answer; *length*: what it claims to be long, where that is not so."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {size}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


async def _well(server: FaultServer, writer: asyncio.StreamWriter) -> None:
    await say(writer, json.dumps(server.answer).encode())


async def _no_answer(server: FaultServer, writer: asyncio.StreamWriter) -> None:
    """Until whoever asks has had enough."""
    await server.readers[writer].read()


async def _slow_answer(server: FaultServer, writer: asyncio.StreamWriter) -> None:
    """Byte by byte: there is always something new, and never all of it."""
    body = json.dumps(server.answer).encode()
    await say(writer, b"", length=len(body) + 1_000_000)
    while not writer.transport.is_closing():
        writer.write(b" ")
        await asyncio.sleep(0.01)


async def _huge(_: FaultServer, writer: asyncio.StreamWriter) -> None:
    """A hundred megabytes."""
    await say(writer, b"[", length=100 << 20)
    for _part in range(100):
        writer.write(_PART)
        await writer.drain()


async def _cut(server: FaultServer, writer: asyncio.StreamWriter) -> None:
    body = json.dumps(server.answer).encode()
    await say(writer, body[: len(body) // 2], length=len(body))


async def _hangs_up(_: FaultServer, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _no_http(_: FaultServer, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await writer.drain()


def _saying(
    body: bytes, status: str = "200 OK", headers: str = "Content-Type: application/json"
) -> Callable[[FaultServer, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
    async def answer(_: FaultServer, writer: asyncio.StreamWriter) -> None:
        await say(writer, body, status, headers)

    return answer


#: What it does to a request, by name.
FAULTS: dict[str, Callable[[FaultServer, asyncio.StreamWriter], Coroutine[Any, Any, None]]] = {
    "none": _well,
    "no_answer": _no_answer,
    "slow_answer": _slow_answer,
    "huge_answer": _huge,
    "cut": _cut,
    "hangs_up": _hangs_up,
    "no_http": _no_http,
    "garbled_answer": _saying(b'{"a": [1, 2'),
    "binary_answer": _saying(bytes(range(256))),
    "deep_answer": _saying(b"[" * 100_000),
    "empty_answer": _saying(b""),
    "wrong_type": _saying(b"<html>Log in first</html>", headers="Content-Type: text/html"),
    "error_500": _saying(b"No cluster leader", "500 Internal Server Error"),
    "forbidden": _saying(b"Permission denied", "403 Forbidden", "Content-Type: text/plain"),
    "redirect": _saying(b"", "302 Found", "Location: http://127.0.0.1:1/elsewhere"),
}


@asynccontextmanager
async def fault_server(
    answer: Any, path: Path | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FaultServer]:
    """
    One that runs, and is well until its ``fault`` is another.

    Args:
        path: of a Unix socket; None: a port of 127.0.0.1 that the kernel chooses.
        tls: spoken on that port, by the name of localhost.
    """
    found = FaultServer("", answer)
    if path is None:
        listener = await asyncio.start_server(found.accept, "127.0.0.1", 0, ssl=tls)
        scheme, host = ("http", "127.0.0.1") if tls is None else ("https", "localhost")
        found.url = f"{scheme}://{host}:{listener.sockets[0].getsockname()[1]}"
    else:
        listener = await asyncio.start_unix_server(found.accept, path)
        found.url = f"unix://{path}"
    async with listener:
        try:
            yield found
        finally:
            await found.end()
