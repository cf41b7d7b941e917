"""
One program of the operator, run to its end or killed with its process group: all that it has
started, but for what made a session of its own.

It runs as the agent's own, unprivileged user, in a session of its own, with nothing to read and an
environment of a few words. It ends with the agent: neither a hang nor a kill leaves it behind.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT = ("LANG", "LC_ALL", "TZ")
_READ_BYTES = 64 * 1024
#: A killed process is gone in a moment, unless it hangs in the kernel.
_REAP_S = 0.5


@dataclass(frozen=True, slots=True)
class Ended:
    """
    How it ended.

    Attributes:
        code: its exit code, negative: the signal that ended it; None: it took too long.
        output: the first bytes that it wrote to stdout and stderr, as text.
        took_s: seconds.
    """

    code: int | None
    output: str
    took_s: float

    @property
    def first_line(self) -> str:
        return next((line.strip() for line in self.output.splitlines() if line.strip()), "")

    def sentence(self, limit_s: float) -> str:
        """``exit 3: disk full``, ``killed: took longer than 30 s``; without a word ``exit 0``."""
        if self.code is None:
            how = f"killed: took longer than {limit_s:g} s"
        elif self.code < 0:
            how = f"ended by {_signal_name(-self.code)}"
        else:
            how = f"exit {self.code}"
        return f"{how}: {self.first_line}" if self.first_line else how


def minimal_environment(more: Mapping[str, str]) -> dict[str, str]:
    """What an operator's program is given: where programs are, its home, language, and *more*."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    home = "/"
    with suppress(KeyError):
        home = pwd.getpwuid(os.geteuid()).pw_dir
    return {"PATH": _PATH, "HOME": home, **kept, **more}


async def run(
    argv: Sequence[str], environment: Mapping[str, str], *, limit_s: float, keep_bytes: int
) -> Ended:
    """
    Run *argv*; at *limit_s*, or when cancelled, kill it and its process group.

    What it leaves in the background when it ends by itself is killed too.

    Raises:
        OSError: it cannot be started.
    """
    began = time.monotonic()
    reading = _Reading(keep_bytes)
    try:
        process = await asyncio.create_subprocess_exec(
            *_with_parent_death(argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=reading.write_end,
            stderr=reading.write_end,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
        reading.begin()
        code: int | None = None
        try:
            async with asyncio.timeout(limit_s):
                code = await process.wait()
        except TimeoutError:
            code = None
        finally:
            await _end(process)
        return Ended(code, reading.text(), time.monotonic() - began)
    finally:
        reading.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    # As long as one of the group lives, the kernel gives its number to nobody else.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_REAP_S):
            await process.wait()


def _with_parent_death(argv: Sequence[str]) -> tuple[str, ...]:
    """The same, ending with this process even if that is killed."""
    setpriv = shutil.which("setpriv", path=_PATH)
    return (setpriv, "--pdeathsig", "KILL", "--", *argv) if setpriv else tuple(argv)


class _Reading:
    """A pipe whose first bytes are kept and whose others are thrown away, so that nobody waits."""

    def __init__(self, keep_bytes: int) -> None:
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        self._keep_bytes = keep_bytes
        self._kept = bytearray()

    def begin(self) -> None:
        """The child has its end: from now on there is an end of file."""
        os.close(self.write_end)
        self.write_end = -1
        asyncio.get_running_loop().add_reader(self._read_end, self._read)

    def text(self) -> str:
        """What is kept, the last words before the end included."""
        self._read()
        return self._kept.decode(errors="replace")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)
        if self.write_end >= 0:
            os.close(self.write_end)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            chunk = os.read(self._read_end, _READ_BYTES)
            if not chunk:
                asyncio.get_running_loop().remove_reader(self._read_end)
            self._kept += chunk[: self._keep_bytes - len(self._kept)]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
