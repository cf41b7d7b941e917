"""
The clients that run in the client's namespace, each a program of its own; see :mod:`.probe`.

They write one line for each request: ``START_NS END_NS OUTCOME NODE WEB``, in the clock that all
namespaces share (CLOCK_MONOTONIC). OUTCOME is the status, or what went wrong; NODE and WEB are the
answer's headers ``X-Node`` and ``X-Web``. Standard library alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import socket
import sys
import time

from lbctl.model.address import bracketed

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}


def reason_of(error: BaseException) -> str:
    """One word for what kept the answer away."""
    match error:
        case TimeoutError():
            return "timeout"
        case ConnectionRefusedError():
            return "refused"
        case ConnectionError():
            return "reset"
        case OSError() if error.errno in _UNREACHABLE:
            return "unreachable"
        case EOFError():
            return "closed"
        case _:
            return type(error).__name__


class Connection:
    """One TCP connection that asks for one path after another."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._where = (host, port)
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_open = False

    async def get(self, path: str) -> tuple[str, str, str]:
        """
        Status, X-Node and X-Web of the answer.

        Raises:
            OSError, EOFError: there was none.
        """
        loop = asyncio.get_running_loop()
        if not self._is_open:
            await loop.sock_connect(self._socket, self._where)
            self._is_open = True
        request = f"GET {path} HTTP/1.1\r\nHost: {bracketed(self._where[0])}\r\n\r\n"
        await loop.sock_sendall(self._socket, request.encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            key.lower(): value.strip() for key, _, value in (one.partition(":") for one in lines)
        }
        missing = int(headers.get("content-length", "0")) - len(body)
        while missing > 0:
            missing -= len(await self._more())
        status = first.split(" ")[1] if " " in first else "garbage"
        return status, headers.get("x-node", "-"), headers.get("x-web", "-")

    async def _more(self) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        if not data:
            raise EOFError
        return data

    def close(self) -> None:
        self._socket.close()


async def _ask(connection: Connection, path: str, limit_s: float) -> bool:
    started = time.monotonic_ns()
    node = web = "-"
    is_answered = False
    try:
        async with asyncio.timeout(limit_s):
            outcome, node, web = await connection.get(path)
        is_answered = True
    except (OSError, EOFError) as error:
        outcome = reason_of(error)
    sys.stdout.write(f"{started} {time.monotonic_ns()} {outcome} {node} {web}\n")
    sys.stdout.flush()
    return is_answered


async def _ask_anew(arguments: argparse.Namespace) -> None:
    connection = Connection(arguments.host, arguments.port)
    try:
        await _ask(connection, arguments.path, arguments.limit_ms / 1000)
    finally:
        connection.close()


async def _new(arguments: argparse.Namespace) -> None:
    """A new connection at each tick, whatever became of the ones before."""
    interval_s = arguments.interval_ms / 1000
    due = time.monotonic()
    running: set[asyncio.Task[None]] = set()
    while True:
        task = asyncio.create_task(_ask_anew(arguments))
        running.add(task)
        task.add_done_callback(running.discard)
        # A probe that was held up goes on from now: a burst would say nothing.
        due = max(due + interval_s, time.monotonic())
        await asyncio.sleep(due - time.monotonic())


async def _kept(arguments: argparse.Namespace) -> None:
    """One connection for as long as it lives, then the next."""
    while True:
        connection = Connection(arguments.host, arguments.port)
        is_alive = True
        while is_alive:
            is_alive = await _ask(connection, arguments.path, arguments.limit_ms / 1000)
            await asyncio.sleep(arguments.interval_ms / 1000)
        connection.close()


async def _once(arguments: argparse.Namespace) -> None:
    await _ask_anew(arguments)


MODES = {"new": _new, "kept": _kept, "once": _once}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/")
    parser.add_argument("--interval-ms", type=float, default=10.0)
    parser.add_argument("--limit-ms", type=float, default=300.0)
    arguments = parser.parse_args()
    # What this measures must not be its own waiting for a CPU.
    with contextlib.suppress(OSError):
        os.nice(-10)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(MODES[arguments.mode](arguments))


if __name__ == "__main__":
    main()
