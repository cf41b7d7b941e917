"""
Getting parts from wherever they are: each within its time and size, and none can spoil another.

What cannot be had is a gap with a reason, never an error.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lbctl.agent.command import Ended, run
from lbctl.errors import LbctlError

#: For each source, seconds.
LIMIT_S: Final = 5.0
PART_MAX_BYTES: Final = 1 << 20
_AT_ONCE: Final = 8
_AFTER_S: Final = 1.0
#: What setpriv, which starts it, ends with.
_NOT_FOUND: Final = 127
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Source:
    """
    Where a part comes from.

    Attributes:
        name: its path in the archive; what ends in ``.json`` or ``.jsonl`` is masked as such.
        get: makes its text.
        limit_s: how long that may take, seconds.
    """

    name: str
    get: Callable[[], Awaitable[str]]
    limit_s: float = LIMIT_S


@dataclass(frozen=True, slots=True)
class Part:
    """A text and its path in the archive."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """What could not be had, and why."""

    name: str
    why: str


async def gather(sources: Iterable[Source]) -> tuple[tuple[Part, ...], tuple[Gap, ...]]:
    """Ask all of *sources*, some at a time; parts and gaps in their order."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(source: Source) -> Part | Gap:
        async with free:
            return await _get(source)

    found = await asyncio.gather(*(one(source) for source in sources))
    parts = tuple(part for part in found if isinstance(part, Part))
    return parts, tuple(gap for gap in found if isinstance(gap, Gap))


def file(name: str, path: Path, *, is_tail: bool = False) -> Source:
    """The file at *path*: its beginning, or with *is_tail* its end, where it is too long."""

    async def get() -> str:
        return await asyncio.to_thread(read_text, path, is_tail=is_tail)

    return Source(name, get)


def command(name: str, argv: Sequence[str], *, limit_s: float = LIMIT_S) -> Source:
    """What *argv* prints, errors included."""

    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PATH": f"{os.environ.get('PATH', '')}:{_PATH}",
    }

    async def get() -> str:
        try:
            ended = await run(argv, environment, limit_s=limit_s, keep_bytes=PART_MAX_BYTES)
        except FileNotFoundError as error:
            message = f"{argv[0]} is not installed"
            raise OSError(message) from error
        if ended.code == _NOT_FOUND and not shutil.which(argv[0], path=environment["PATH"]):
            message = f"{argv[0]} is not installed"
            raise OSError(message)
        if ended.code is None and not ended.output:
            raise TimeoutError
        return ended.output if ended.code == 0 else f"{ended.output}[{_how(ended, limit_s)}]\n"

    return Source(name, get, limit_s)


def _how(ended: Ended, limit_s: float) -> str:
    if ended.code is None:
        return f"killed: took longer than {limit_s:g} s"
    return f"exit code {ended.code}"


def call(name: str, function: Callable[[], str]) -> Source:
    """What *function* returns; it may block, and has limits of its own."""

    async def get() -> str:
        return await asyncio.to_thread(function)

    return Source(name, get)


def read_text(path: Path, *, is_tail: bool = False) -> str:
    """
    The text of a regular file, 1 MiB of it at most.

    Raises:
        OSError: it cannot be read, or is a pipe, a socket or a device.
    """
    # Not to be held up by a pipe that nobody writes to.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            message = "no regular file"
            raise OSError(message)
        skipped = max(0, status.st_size - PART_MAX_BYTES) if is_tail else 0
        stream.seek(skipped)
        data = stream.read(PART_MAX_BYTES + 1)
    text = data[:PART_MAX_BYTES].decode(errors="replace")
    if skipped:
        # Half a line of JSON is none.
        return f"[the first {skipped} bytes are left out]\n{text.partition(chr(10))[2]}"
    return text + "\n[cut here]\n" if len(data) > PART_MAX_BYTES else text


async def _get(source: Source) -> Part | Gap:
    try:
        # A program is ended by its own limit, which must come first.
        async with asyncio.timeout(source.limit_s + _AFTER_S):
            return Part(source.name, await source.get())
    except TimeoutError:
        return Gap(source.name, f"no answer in {source.limit_s:g} s")
    except (OSError, LbctlError, ValueError) as error:
        strerror = error.strerror if isinstance(error, OSError) else None
        return Gap(source.name, strerror or str(error) or repr(error))
