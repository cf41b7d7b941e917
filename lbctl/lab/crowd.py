"""
A crowd of clients that counts what it loses while HAProxy is reloaded.

A process of its own (``python -m lbctl.lab.crowd PORT --new 8 --kept 200``), so that whoever
reloads has its own CPU time: it runs until its stdin ends, then prints what it counted as JSON.

Some open a connection for each request, as fast as they can. The others keep theirs and ask again
after a pause, as browsers and pools do: what they lose is a request sent on a connection whose end
nobody had announced. An end announced (``Connection: close``), or seen before the next request is
sent, costs them a new connection and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

#: Close with an RST, so that the ports of this machine last.
_RESET = struct.pack("ii", 1, 0)
_ANSWER_S = 5.0
_PAUSE_S = 0.05
_CHUNK_BYTES = 65536
_ASK = "GET {path} HTTP/1.1\r\nHost: crowd\r\n"
_GOOD = b"HTTP/1.1 200 "


@dataclass(frozen=True, slots=True)
class Counted:
    """
    Attributes:
        new: connections opened for one request that was answered with 200.
        failed: the same that were refused, cut, or answered otherwise, by reason.
        kept: requests answered with 200 on connections that are kept.
        lost: requests sent on those, and never answered, by reason.
        announced: kept connections whose last answer said that they end.
        ended: kept connections that ended between two requests, unannounced and harmless.
        longest_s: from opening a new connection to the end of its answer, the longest.
        took_s: how long all of it went on.
    """

    new: int
    failed: dict[str, int]
    kept: int
    lost: dict[str, int]
    announced: int
    ended: int
    longest_s: float
    took_s: float

    @property
    def failures(self) -> int:
        return sum(self.failed.values())

    @property
    def losses(self) -> int:
        return sum(self.lost.values())


@dataclass(slots=True)
class Crowd:
    """What is being counted by a process that runs."""

    _process: subprocess.Popen[str]
    _counted: list[Counted] = field(default_factory=list)

    def counted(self) -> Counted:
        """End it, and hear what it counted."""
        if not self._counted:
            said, _ = self._process.communicate(timeout=30)
            self._counted.append(Counted(**json.loads(said)))
        return self._counted[0]


@contextmanager
def crowd(port: int, *, new: int = 0, kept: int = 0) -> Iterator[Crowd]:
    """
    Let a crowd loose on 127.0.0.1, and wait until it has begun.

    Args:
        port: HTTP.
        new: clients that open a connection for each request.
        kept: clients that keep theirs.
    """
    with started(crowd_argv(port, f"--new={new}", f"--kept={kept}")) as one:
        yield one


def crowd_argv(port: int, *options: str) -> list[str]:
    """The crowd's own process, for another host's namespace too."""
    return [sys.executable, "-m", "lbctl.lab.crowd", str(port), *options]


@contextmanager
def started(argv: Sequence[str]) -> Iterator[Crowd]:
    """Let the crowd of :func:`crowd_argv` loose, and wait until it has begun."""
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield Crowd(process)
    finally:
        process.kill()
        process.communicate()


class _Clients:
    """The process itself."""

    def __init__(self, port: int, path: str) -> None:
        self._address = ("127.0.0.1", port)
        ask = _ASK.format(path=path).encode()
        self._ask_on = ask + b"\r\n"
        self._ask_last = ask + b"Connection: close\r\n\r\n"
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._count: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._longest_s = 0.0

    def run(self, new: int, kept: int) -> dict[str, Any]:
        began = time.monotonic()
        threads = [threading.Thread(target=self._ask_anew) for _ in range(new)]
        for thread in threads:
            thread.start()
        asyncio.run(self._keep_until_over(kept))
        for thread in threads:
            thread.join()
        return {
            "new": self._count["new"],
            "failed": dict(self._failed),
            "kept": self._count["kept"],
            "lost": dict(self._lost),
            "announced": self._count["announced"],
            "ended": self._count["ended"],
            "longest_s": self._longest_s,
            "took_s": time.monotonic() - began,
        }

    def _ask_anew(self) -> None:
        good, longest_s = 0, 0.0
        while not self._is_over.is_set():
            began = time.monotonic()
            failure = self._ask_once()
            if failure:
                with self._lock:
                    self._failed[failure] += 1
            else:
                good += 1
                longest_s = max(longest_s, time.monotonic() - began)
        with self._lock:
            self._count["new"] += good
            self._longest_s = max(self._longest_s, longest_s)

    def _ask_once(self) -> str:
        """What went wrong; empty: nothing."""
        step = "connect"
        try:
            with socket.create_connection(self._address, timeout=_ANSWER_S) as link:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                step = "ask"
                link.sendall(self._ask_last)
                answer = b"".join(iter(lambda: link.recv(_CHUNK_BYTES), b""))
        except OSError as error:
            return f"{step}: {error.strerror or error}"
        return "" if answer.startswith(_GOOD) else f"answer: {answer[:20]!r}"

    async def _keep_until_over(self, kept: int) -> None:
        clients = [asyncio.create_task(self._keep(number / kept)) for number in range(kept)]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        self._is_over.set()
        await asyncio.gather(*clients)

    async def _keep(self, phase: float) -> None:
        await asyncio.sleep(phase * _PAUSE_S)
        while not self._is_over.is_set():
            try:
                reader, writer = await asyncio.open_connection(*self._address)
            except OSError as error:
                self._failed[f"connect: {error.strerror or error}"] += 1
                continue
            try:
                await self._ask_until_it_ends(reader, writer)
            finally:
                writer.transport.abort()

    async def _ask_until_it_ends(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while not self._is_over.is_set():
            if reader.at_eof() or reader.exception() is not None:
                self._count["ended"] += 1
                return
            writer.write(self._ask_on)
            try:
                async with asyncio.timeout(_ANSWER_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(_length_of(head))
            except (OSError, EOFError) as error:
                self._lost[type(error).__name__] += 1
                return
            if not head.startswith(_GOOD):
                self._lost[f"answer: {head[:20]!r}"] += 1
                return
            self._count["kept"] += 1
            if b"connection: close" in head.lower():
                self._count["announced"] += 1
                return
            await asyncio.sleep(_PAUSE_S)


def _length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--new", type=int, default=0)
    parser.add_argument("--kept", type=int, default=0)
    parser.add_argument("--path", default="/")
    arguments = parser.parse_args()
    counted = _Clients(arguments.port, arguments.path).run(arguments.new, arguments.kept)
    sys.stdout.write(json.dumps(counted) + "\n")


if __name__ == "__main__":
    _main()
