"""
Does a HAProxy process answer? Asked as a client would ask, every second, so it must cost little:
bare sockets, one connection a question.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from enum import StrEnum

#: Longest wait for an answer, seconds.
LIMIT_S = 0.9
#: An asker who wakes up this much later than asked was itself held up, and has no opinion.
LATE_S = 0.2

_QUESTION = b"GET /healthz HTTP/1.1\r\nHost: lbctl\r\nConnection: close\r\n\r\n"
#: Shortages of this side: they say nothing about the other one.
OURS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EAGAIN}
)


class Answer(StrEnum):
    """What came back."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


async def ask_http(host: str, port: int, *, limit_s: float = LIMIT_S) -> Answer:
    """Whether the stats listener accepts a connection and answers in HTTP, whatever it says."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return await _ask(family, (host, port), _QUESTION, b"HTTP/", limit_s)


async def ask_runtime(path: str, *, limit_s: float = LIMIT_S) -> Answer:
    """Whether the Runtime API answers; it does even while the process is at its maxconn."""
    return await _ask(socket.AF_UNIX, path, b"show version\n", b"", limit_s)


async def _ask(
    family: int, address: tuple[str, int] | str, question: bytes, prefix: bytes, limit_s: float
) -> Answer:
    began = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            answer = await _exchange(family, address, question)
    except TimeoutError:
        is_late = time.monotonic() - began > limit_s + LATE_S
        return Answer.UNSURE if is_late else Answer.NO
    except OSError as error:
        return Answer.UNSURE if error.errno in OURS else Answer.NO
    return Answer.YES if answer and answer.startswith(prefix) else Answer.NO


async def _exchange(family: int, address: tuple[str, int] | str, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
        await loop.sock_connect(client, address)
        await loop.sock_sendall(client, question)
        return await loop.sock_recv(client, 256)
