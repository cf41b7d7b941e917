"""
The master of a HAProxy program: which workers it has, and the order to make new ones.

Owns the wire and the words of the master's socket (``-S``). Signals would do the same, but for what
a master loses while it executes itself anew; here no answer is an answer.

Source: HAProxy doc/management.txt, 9.4 "Master CLI".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.runtime import connect

_UPTIME = re.compile(r"(\d+)d(\d+)h(\d+)m(\d+)s")
_NUMBER = re.compile(r"\d+")
_FAILED = re.compile(r"\[failed: (\d+)\]")
_FIELD = re.compile(r"\[[^\]]*\]|\S+")
_STOPPING = re.compile(r"^Stopping: *([01])", re.MULTILINE)
_MASTER, _WORKER = "master", "worker"


@dataclass(frozen=True, slots=True)
class Worker:
    """
    One worker of a master.

    Attributes:
        pid: its own.
        uptime_s: whole seconds since it was made.
        reloads: that it lived through.
    """

    pid: int
    uptime_s: int
    reloads: int


@dataclass(frozen=True, slots=True)
class Workers:
    """
    What a master says of itself.

    Attributes:
        master_pid: its pid, which a reload leaves as it is.
        reloads: that it was asked for since its start, those that failed too.
        failed: of them in a row, the last ones; up to 2.4 HAProxy does not count them.
        current: those that serve new connections; after a failed reload up to 2.4 none is called
            so, though the old ones go on.
        old: those that only finish what they have.
    """

    master_pid: int
    reloads: int
    failed: int
    current: tuple[Worker, ...]
    old: tuple[Worker, ...]

    @property
    def did_fail(self) -> bool:
        """The last reload brought no new workers."""
        return self.failed > 0 or not self.current or any(w.reloads for w in self.current)

    @property
    def oldest_s(self) -> int:
        """Age of the oldest worker that should end; 0: there is none."""
        return max((worker.uptime_s for worker in self.old), default=0)


class MasterSocket:
    """
    A master, ready to be asked. Opens a connection for each question.

    Its answers come from a process that has read its configuration: while it does, it refuses.
    """

    __slots__ = ("path", "timeout_s")

    def __init__(self, path: str, timeout_s: float = 2.0) -> None:
        self.path = path
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"MasterSocket({self.path!r})"

    async def workers(self) -> Workers:
        """
        Who runs.

        Raises:
            RuntimeApiError: no answer, or one that cannot be read.
        """
        text = await self._ask("show proc", self.timeout_s)
        found = parse_workers(text)
        if found is None:
            message = f"{self.path}: 'show proc': {text[:80]!r} names no master; nothing was done"
            raise RuntimeApiError(message)
        return found

    async def reload(self, timeout_s: float) -> str:
        """
        Have it read its files and make new workers.

        Args:
            timeout_s: up to 2.6 the connection ends at once; later HAProxy ends it when it is done.

        Returns:
            What it says of it: from 2.7 on ``Success=1`` or ``Success=0`` and its messages, before
            that nothing. :meth:`workers` tells what came of it.

        Raises:
            RuntimeApiError: it could not be asked, or there was no end in time.
        """
        return await self._ask("reload", timeout_s, is_ended_by_reset=True)

    async def is_stopping(self, worker: Worker) -> bool:
        """
        Whether an old worker has heard that it is to stop; one that is gone has.

        HAProxy 2.2 sleeps on with that signal in its queue until something wakes it: this does.

        Raises:
            RuntimeApiError: the master did not answer.
        """
        if not is_alive(worker.pid):
            # 3.0 would leave the question unanswered.
            return True
        text = await self._ask(f"@!{worker.pid} show info", self.timeout_s)
        found = _STOPPING.search(text)
        return found is None or found[1] == "1"

    async def _ask(self, command: str, timeout_s: float, *, is_ended_by_reset: bool = False) -> str:
        tried = f"{self.path}: {command!r}"
        raw = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                await _exchange(self.path, f"{command}\n".encode(), raw)
        except TimeoutError as error:
            message = f"{tried}: no whole answer in {timeout_s:g} s; its effect is unknown"
            raise RuntimeApiError(message) from error
        except (BrokenPipeError, ConnectionResetError) as error:
            # So it ends where the master executes itself before it has read our end of file.
            if not is_ended_by_reset:
                message = f"{tried}: {error.strerror}; the master begins anew"
                raise RuntimeApiError(message) from error
        except OSError as error:
            message = f"{tried}: {error.strerror or error}; the master cannot be asked"
            raise RuntimeApiError(message) from error
        return raw.decode("utf-8", "backslashreplace")


async def _exchange(path: str, request: bytes, answer: bytearray) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=await connect(path))
    try:
        writer.write(request)
        # Without an end of file the master waits for the next command.
        writer.write_eof()
        while chunk := await reader.read(1 << 16):
            answer += chunk
    finally:
        writer.transport.abort()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")


def parse_workers(text: str) -> Workers | None:
    """Read the answer to ``show proc``, of 2.2 or later; None: it is none."""
    lines = text.splitlines()
    header = lines[0].split() if lines else []
    if header[:2] != ["#<PID>", "<type>"]:
        return None
    columns = [name.strip("#<>") for name in re.findall(r"#?<[^>]+>", lines[0])]
    master: tuple[int, int, int] | None = None
    current, old = list[Worker](), list[Worker]()
    is_old = False
    for line in lines[1:]:
        if line.startswith("#"):
            is_old = line.startswith("# old")
        for kind, failed, worker in _row(columns, line):
            if kind == _MASTER:
                master = worker.pid, worker.reloads, failed
            elif kind == _WORKER:
                (old if is_old else current).append(worker)
    if master is None:
        return None
    pid, reloads, failed = master
    return Workers(pid, reloads, failed, tuple(current), tuple(old))


def _row(columns: list[str], line: str) -> Iterator[tuple[str, int, Worker]]:
    """Type, failed reloads and figures of a line that holds them."""
    failed = _FAILED.search(line)
    fields = [match[0] for match in _FIELD.finditer(_FAILED.sub("", line))]
    # "[was: 1]" of 2.2 is one field.
    said = dict(zip(columns, fields, strict=False))
    uptime = _UPTIME.fullmatch(said.get("uptime", ""))
    pid, reloads = said.get("PID", ""), said.get("reloads", "")
    if uptime and _NUMBER.fullmatch(pid) and _NUMBER.fullmatch(reloads):
        days, hours, minutes, seconds = (int(part) for part in uptime.groups())
        age_s = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        worker = Worker(int(pid), age_s, int(reloads))
        yield said["type"], int(failed[1]) if failed else 0, worker
