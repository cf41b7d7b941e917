"""
A filtering proxy in front of a Docker socket, as people put there: GET, and of that only some.

It lets through what it is told to, refuses all else with 403, and has the faults of
:mod:`tests.fakes.fault_server`. A thread of its own runs it.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.fault_server import FAULTS, FaultServer, say

#: All that a reader needs.
READING = (
    r"(/v[\d.]+)?/version",
    r"(/v[\d.]+)?/containers/json",
    r"(/v[\d.]+)?/containers/\w+/json",
    r"(/v[\d.]+)?/events",
)


@dataclass(slots=True)
class DockerProxy:
    """
    Attributes:
        upstream: the engine's socket.
        path: its own.
        allowed: expressions for paths; a test may change them.
        fault: a key of ``FAULTS``, for every request from now on.
        asked: what was let through, and what was refused: ``GET /version``.
    """

    upstream: Path
    path: Path
    allowed: tuple[str, ...] = READING
    fault: str = "none"
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def cut(self, loop: asyncio.AbstractEventLoop) -> None:
        """End every connection."""
        for writer in [*self._open]:
            loop.call_soon_threadsafe(writer.transport.abort)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A new connection."""
        task = asyncio.ensure_future(self.serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Nobody is left when it returns."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self._open.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            self._open.discard(writer)
            await _closed(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        path = target.partition("?")[0]
        if self.fault != "none":
            server = FaultServer(self.url, None, self.fault)
            server.readers[writer] = reader
            await FAULTS[self.fault](server, writer)
        elif method == "GET" and any(re.fullmatch(one, path) for one in self.allowed):
            self.asked.append(f"{method} {path}")
            await self._pass(head, reader, writer)
        else:
            self.refused.append(f"{method} {path}")
            await say(writer, b"Forbidden by the proxy\n", "403 Forbidden", "Connection: close")

    async def _pass(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        source, sink = await asyncio.open_unix_connection(self.upstream)
        sink.write(head[:-2] + b"Connection: close\r\n\r\n")
        # Whoever asked may hang up in the middle of an answer that has no end.
        ways = [asyncio.create_task(_copied(source, writer)), asyncio.create_task(reader.read())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await _closed(sink)


async def _copied(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while part := await source.read(1 << 16):
        sink.write(part)
        await sink.drain()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@contextmanager
def docker_proxy(
    upstream: Path, path: Path
) -> Iterator[tuple[DockerProxy, asyncio.AbstractEventLoop]]:
    """One that runs, and the loop that it runs on."""
    proxy = DockerProxy(upstream, path)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    started = asyncio.run_coroutine_threadsafe(_listening(proxy), loop)
    listener = started.result(5)
    try:
        yield proxy, loop
    finally:
        asyncio.run_coroutine_threadsafe(_ended(proxy, listener), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def _listening(proxy: DockerProxy) -> asyncio.Server:
    return await asyncio.start_unix_server(proxy.accept, proxy.path)


async def _ended(proxy: DockerProxy, listener: asyncio.Server) -> None:
    listener.close()
    await proxy.end()
