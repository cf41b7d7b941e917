"""
HAProxy's Runtime API over its Unix socket: one command per connection, one deadline for all of it.

Owns the wire: framing, severity, timeouts and the translation of what the socket raises. It must
not know what the commands mean; those who ask do.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from lbctl.errors import RuntimeApiError

#: Makes HAProxy begin each message with ``[N]: ``, N as in syslog; data has no such beginning.
#: Source: HAProxy doc/management.txt, "set severity-output".
_PREFIX: Final = "set severity-output number;"
_SEVERITY = re.compile(r"\[([0-7])\]: ?")
_REFUSED_UP_TO: Final = 3
#: Answered with severity 6, and yet it says that nothing was done.
_UNKNOWN_COMMAND: Final = "Unknown command"
_BACKLOG_RETRY_S: Final = 0.005


class Runtime(Protocol):
    """One HAProxy process, ready to be asked."""

    async def ask(self, command: str) -> str:
        """
        Send one command.

        Args:
            command: one line without ``;``.

        Returns:
            The answer without the blank line that ends it and without severity; empty where
            HAProxy does and says nothing, as for ``set weight``.

        Raises:
            RuntimeApiError: no whole answer in time, or HAProxy refused. After anything but a
                refusal nothing is known about the effect.
        """


class UnixRuntime:
    """
    The Runtime API of the process that listens on *path*.

    Opens a connection per command and holds nothing in between, so that it survives reloads and
    may be asked by many tasks at once.
    """

    __slots__ = ("path", "timeout_s")

    def __init__(self, path: str, timeout_s: float = 2.0) -> None:
        self.path = path
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"UnixRuntime({self.path!r})"

    async def ask(self, command: str) -> str:
        """See :class:`Runtime`; the deadline covers connecting, sending and the whole answer."""
        if not command.strip() or re.search(r"[;\n\r\0]", command):
            message = f"{self.path}: {command!r} was not sent: it must be one command on one line"
            raise RuntimeApiError(message)
        with _translated(self, command):
            async with asyncio.timeout(self.timeout_s):
                raw = await _exchange(self.path, f"{_PREFIX}{command}\n".encode())
        return _read_answer(f"{self.path}: {command!r}", raw)


@contextmanager
def _translated(runtime: UnixRuntime, command: str) -> Iterator[None]:
    """What a socket raises, in lbctl's words."""
    tried = f"{runtime.path}: {command!r}"
    try:
        yield
    except TimeoutError as error:
        message = f"{tried}: no whole answer in {runtime.timeout_s:g} s; its effect is unknown"
        raise RuntimeApiError(message) from error
    except PermissionError as error:
        message = f"{tried}: permission denied; root and the user of HAProxy may ask"
        raise RuntimeApiError(message) from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        message = f"{tried}: {error.strerror}; the process does not run"
        raise RuntimeApiError(message) from error
    except OSError as error:
        message = f"{tried}: {error.strerror or error}; its effect is unknown"
        raise RuntimeApiError(message) from error
    except ValueError as error:
        message = f"{tried}: {error}; nothing was sent"
        raise RuntimeApiError(message) from error


async def _exchange(path: str, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(sock=await _connect(path))
    try:
        writer.write(request)
        # no half-close: HAProxy may take it for a client that gave up
        return await reader.read()
    finally:
        # abort: close() would wait for a peer that does not read
        writer.transport.abort()


async def _connect(path: str) -> socket.socket:
    """
    Connect, and wait for a place in the listener's backlog.

    A Unix socket says EAGAIN where that is full, which asyncio takes for a connection under way:
    it then goes on with a socket that is none.
    """
    link = socket.socket(socket.AF_UNIX)
    try:
        link.setblocking(False)
        while True:
            try:
                link.connect(path)
            except BlockingIOError:
                await asyncio.sleep(_BACKLOG_RETRY_S)
            else:
                return link
    except BaseException:
        link.close()
        raise


def _read_answer(tried: str, raw: bytes) -> str:
    """Take off the framing: a line feed for the prefix, then the answer and a blank line."""
    if not raw.startswith(b"\n") or not raw.endswith(b"\n\n"):
        message = f"{tried}: cut off after {len(raw)} bytes; its effect is unknown"
        raise RuntimeApiError(message)
    # checks put a server's own bytes into the statistics, whatever they are
    text = raw[1:-1].decode("utf-8", "backslashreplace")
    severity = _SEVERITY.match(text)
    if severity is None:
        return text.removesuffix("\n") + "\n" if text.strip() else ""
    said = text[severity.end() :].strip()
    if int(severity[1]) <= _REFUSED_UP_TO or said.startswith(_UNKNOWN_COMMAND):
        message = f"{tried}: refused: {said.splitlines()[0] if said else 'without a reason'}"
        raise RuntimeApiError(message)
    return said + "\n"
