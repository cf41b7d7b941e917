"""
A small web server for the lab: says its name, answers late or at length where asked.

Run as a program of its own; imports the standard library alone, so that it starts at once.

``/``            200, one line; header ``X-Web: NAME``
``/slow?ms=N``   the same, N milliseconds late
``/big?kb=N``    N KiB
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from urllib.parse import parse_qs, urlsplit

_IDLE_S = 75.0


class Web:
    """Answers every request with *name*."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive until the client or a minute's silence ends it."""
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(_IDLE_S):
            head = await reader.readuntil(b"\r\n\r\n")
        line, *headers = head.decode("latin-1").split("\r\n")
        _method, _, rest = line.partition(" ")
        url = urlsplit(rest.partition(" ")[0])
        number = {key: int(values[0]) for key, values in parse_qs(url.query).items()}
        if url.path == "/slow":
            await asyncio.sleep(number.get("ms", 500) / 1000)
        body = f"{self.name} answers {url.path}\n".encode()
        if url.path == "/big":
            body = b"x" * (number.get("kb", 1) * 1024)
        is_last = "connection: close" in (header.lower() for header in headers)
        writer.write(
            f"HTTP/1.1 200 OK\r\nX-Web: {self.name}\r\nContent-Length: {len(body)}\r\n"
            f"Connection: {'close' if is_last else 'keep-alive'}\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        return not is_last


async def _main(name: str, bind: str | None, port: int) -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    server = await asyncio.start_server(Web(name).serve, bind, port, backlog=1024)
    sys.stdout.write(f"{name}: serving on {bind or 'all addresses'}, port {port}\n")
    sys.stdout.flush()
    await ending.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--bind", help="default: all addresses of both families")
    parser.add_argument("--port", type=int, default=80)
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.name, arguments.bind, arguments.port))


if __name__ == "__main__":
    main()
