"""
HAProxy's Runtime API over its Unix socket: one command per connection, or many on one.

Owns the wire: framing, severity, timeouts and the translation of what the socket raises. It must
not know what the commands mean; those who ask do.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from lbctl.errors import RuntimeApiError

#: Makes HAProxy begin each message with ``[N]: ``, N as in syslog; data has no such beginning.
#: Source: HAProxy doc/management.txt, "set severity-output".
_PREFIX: Final = "set severity-output number;"
_SEVERITY = re.compile(r"\[([0-7])\]: ?")
_REFUSED_UP_TO: Final = 3
#: Answered with severity 6, and yet it says that nothing was done.
_UNKNOWN_COMMAND: Final = "Unknown command"
_NOT_ONE_COMMAND = re.compile(r"[;\n\r\0]")
_BACKLOG_RETRY_S: Final = 0.005
#: Ends an answer of the interactive mode, in which a connection takes one command after the other.
_PROMPT: Final = b"\n> "
#: What one of many commands may take on top of ``timeout_s``, seconds.
_EACH_S: Final = 0.01
_LONGEST_ANSWER_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What became of one command among many.

    Attributes:
        command: as it was sent.
        text: as :meth:`Runtime.ask` returns it.
        refusal: HAProxy's reason for doing nothing; empty: it did not refuse.
        failure: why there is no answer, so that nothing is known about the effect.
    """

    command: str
    text: str = ""
    refusal: str = ""
    failure: str = ""

    @property
    def is_done(self) -> bool:
        return not self.refusal and not self.failure


class Runtime(Protocol):
    """One HAProxy process, ready to be asked."""

    async def ask(self, command: str, *, payload: str | None = None) -> str:
        """
        Send one command.

        Args:
            command: one line without ``;``.
            payload: lines that belong to it, none of them empty; may be secret, and is in no
                error.

        Returns:
            The answer without the blank line that ends it and without severity; empty where
            HAProxy does and says nothing, as for ``set weight``.

        Raises:
            RuntimeApiError: no whole answer in time, or HAProxy refused. After anything but a
                refusal nothing is known about the effect.
        """

    async def ask_all(self, commands: Sequence[str]) -> tuple[Answer, ...]:
        """
        Send many commands, without waiting for one's answer before the next is sent.

        HAProxy takes them in order; one that it refuses does not keep it from the next.

        Returns:
            One answer a command, in order. When the connection ends early, the rest are failures.

        Raises:
            RuntimeApiError: not one answer came; whether anything was done is unknown.
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

    async def ask(self, command: str, *, payload: str | None = None) -> str:
        """See :class:`Runtime`; the deadline covers connecting, sending and the whole answer."""
        _must_be_one_line(self.path, command)
        if payload is not None and not all(payload.removesuffix("\n").split("\n")):
            message = f"{self.path}: {command!r} was not sent: an empty line would end its payload"
            raise RuntimeApiError(message)
        rest = "" if payload is None else " <<\n" + payload.removesuffix("\n") + "\n"
        with _translated(self, command):
            async with asyncio.timeout(self.timeout_s):
                raw = await _exchange(self.path, f"{_PREFIX}{command}{rest}\n".encode())
        return _read_answer(f"{self.path}: {command!r}", raw)

    async def ask_all(self, commands: Sequence[str]) -> tuple[Answer, ...]:
        """See :class:`Runtime`; *timeout_s* is how long the next answer may take."""
        for command in commands:
            _must_be_one_line(self.path, command)
        if not commands:
            return ()
        answers: list[Answer] = []
        tried = f"{len(commands)} commands, the first of them {commands[0]!r}"
        try:
            with _translated(self, tried):
                await _converse(self, commands, answers)
        except RuntimeApiError as error:
            if not answers:
                raise
            answers += [Answer(command, failure=str(error)) for command in commands[len(answers) :]]
        return tuple(answers)


def _must_be_one_line(path: str, command: str) -> None:
    if not command.strip() or _NOT_ONE_COMMAND.search(command):
        message = f"{path}: {command!r} was not sent: it must be one command on one line"
        raise RuntimeApiError(message)


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
    except (EOFError, asyncio.LimitOverrunError) as error:
        message = f"{tried}: the connection ended within an answer; the effect is unknown"
        raise RuntimeApiError(message) from error
    except OSError as error:
        message = f"{tried}: {error.strerror or error}; its effect is unknown"
        raise RuntimeApiError(message) from error
    except ValueError as error:
        message = f"{tried}: {error}; nothing was sent"
        raise RuntimeApiError(message) from error


async def _exchange(path: str, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(sock=await connect(path))
    try:
        writer.write(request)
        # no half-close: HAProxy may take it for a client that gave up
        return await reader.read()
    finally:
        # abort: close() would wait for a peer that does not read
        writer.transport.abort()


async def _converse(runtime: UnixRuntime, commands: Sequence[str], answers: list[Answer]) -> None:
    """Ask in the interactive mode; *answers* grows as they come."""
    lines = "".join(f"{command}\n" for command in commands)
    loop = asyncio.get_running_loop()
    end = loop.time() + runtime.timeout_s + _EACH_S * len(commands)
    async with asyncio.timeout(runtime.timeout_s) as deadline:
        reader, writer = await asyncio.open_unix_connection(
            sock=await connect(runtime.path), limit=_LONGEST_ANSWER_BYTES
        )
        try:
            writer.write(f"{_PREFIX}prompt\n{lines}".encode())
            await reader.readuntil(_PROMPT)
            for command in commands:
                raw = await reader.readuntil(_PROMPT)
                answers.append(_verdict(command, raw.removesuffix(_PROMPT)))
                deadline.reschedule(min(loop.time() + runtime.timeout_s, end))
        finally:
            writer.transport.abort()


async def connect(path: str) -> socket.socket:
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
    """
    Take off the framing: a line feed for the prefix, then the answer and a blank line.

    2.6 leaves the blank line out behind some of its messages (``del server``), which begin with
    their severity and end with their line.
    """
    is_message = _SEVERITY.match(raw[1:5].decode("ascii", "replace")) is not None
    if not raw.startswith(b"\n") or not raw.endswith(b"\n" if is_message else b"\n\n"):
        message = f"{tried}: cut off after {len(raw)} bytes; its effect is unknown"
        raise RuntimeApiError(message)
    text, refusal = _understood(raw[1:-1])
    if refusal:
        message = f"{tried}: refused: {refusal}"
        raise RuntimeApiError(message)
    return text


def _verdict(command: str, raw: bytes) -> Answer:
    text, refusal = _understood(raw)
    return Answer(command, text, refusal)


def _understood(raw: bytes) -> tuple[str, str]:
    """Text and reason of a refusal, at least one of them empty."""
    if not raw:
        return "", ""
    # checks put a server's own bytes into the statistics, whatever they are
    text = raw.decode("utf-8", "backslashreplace")
    severity = _SEVERITY.match(text)
    if severity is None:
        return (text.removesuffix("\n") + "\n" if text.strip() else ""), ""
    said = text[severity.end() :].strip()
    if int(severity[1]) <= _REFUSED_UP_TO or said.startswith(_UNKNOWN_COMMAND):
        return "", said.splitlines()[0] if said else "without a reason"
    return said + "\n", ""
