"""
The way out for lines: a bounded buffer, and a thread that alone may block in write(2).

Whoever pushes waits ten milliseconds at most, and only once per overflow. What does not fit is
dropped, newest first, whole lines, counted by program, and said in one line as soon as the output
flows again. It must not make the descriptor non-blocking: the open file is shared with the shell.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

CAPACITY_BYTES = 1 << 20
BATCH_BYTES = 1 << 16

#: Long enough for the writer to get its turn and for a live reader to take 64 KiB, so that a burst
#: loses nothing; too short to be felt by a program behind the FIFO.
PAUSE_S = 0.01
RETRY_S = 1.0
BLOCKED_AFTER_S = 1.0

#: The output is full for now; everything else that write(2) may say means that nobody is there.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Entry = tuple[str, bytes, int]
#: How many lines of each program were dropped; the line that says so.
Notice = Callable[[Mapping[str, int]], bytes]


def notice(dropped: Mapping[str, int]) -> str:
    """The sentence."""
    by_program = ", ".join(f"{name} {count}" for name, count in dropped.items())
    total = sum(dropped.values())
    return f"dropped {total} lines ({by_program}) while nobody read the output"


class Outlet:
    """
    Lines on their way to one descriptor.

    ``push``, ``snapshot`` and ``drain`` belong to one thread, the caller's; the writer is inside.
    """

    def __init__(
        self,
        descriptor: int,
        names: tuple[str, ...],
        capacity: int = CAPACITY_BYTES,
        retry_s: float = RETRY_S,
        *,
        say: Notice,
    ) -> None:
        self._descriptor = descriptor
        self._capacity = capacity
        self._retry_s = retry_s
        self._say = say
        self._changed = threading.Condition()
        self._entries: deque[Entry] = deque()
        self._queued_bytes = 0
        self._written = dict.fromkeys(names, 0)
        self._dropped = dict.fromkeys(names, 0)
        self._unsaid: dict[str, int] = {}
        self._is_gone = False
        self._is_full = False
        self._retry_at = 0.0
        self._busy_since: float | None = None
        threading.Thread(target=self._write_forever, daemon=True).start()

    def push(self, name: str, data: bytes) -> None:
        """Take *data*, whole lines of the program *name*; what has no room is counted and gone."""
        lines = data.count(b"\n")
        with self._changed:
            if self._is_open() and len(data) > self._room():
                self._changed.wait_for(lambda: len(data) <= self._room(), PAUSE_S)
            if self._is_open() and (kept := _head(data, self._room())):
                kept_lines = lines if len(kept) == len(data) else kept.count(b"\n")
                self._entries.append((name, kept, kept_lines))
                self._queued_bytes += len(kept)
                lines -= kept_lines
            if lines:
                self._drop(name, lines)
            self._changed.notify_all()

    def snapshot(self) -> dict[str, object]:
        """Counts of lines by program, and ``ok``, ``blocked`` or ``gone`` for the output."""
        with self._changed:
            return {
                "written": dict(self._written),
                "dropped": dict(self._dropped),
                "stdout": self._state(),
            }

    def is_settled(self) -> bool:
        """Whether the counts stay as they are until somebody pushes."""
        with self._changed:
            return self._has_settled()

    def drain(self, within_s: float) -> None:
        """Wait until everything is written or nobody is there, at most *within_s* seconds."""
        with self._changed:
            self._changed.wait_for(self._has_settled, within_s)

    def _is_open(self) -> bool:
        """Nothing is taken before what was dropped is said: else lines would lack unseen."""
        return not self._unsaid and not self._is_gone

    def _room(self) -> int:
        return self._capacity - self._queued_bytes

    def _drop(self, name: str, lines: int) -> None:
        self._dropped[name] = self._dropped.get(name, 0) + lines
        self._unsaid[name] = self._unsaid.get(name, 0) + lines

    def _state(self) -> str:
        if self._is_gone:
            return "gone"
        since = self._busy_since
        is_stuck = since is not None and time.monotonic() - since > BLOCKED_AFTER_S
        return "blocked" if self._is_full or self._unsaid or is_stuck else "ok"

    def _has_settled(self) -> bool:
        has_work = bool(self._entries) or (bool(self._unsaid) and not self._is_gone)
        return self._busy_since is None and not has_work

    # From here on: the writer's thread.

    def _write_forever(self) -> None:
        while True:
            batch, unsaid = self._take()
            data = b"".join(entry[1] for entry in batch) if batch else self._say(unsaid)
            written = self._write(data)
            with self._changed:
                self._account(batch, unsaid, written, is_gone=written < len(data))
                self._changed.notify_all()

    def _take(self) -> tuple[list[Entry], dict[str, int]]:
        """The oldest entries; once they are out, what was dropped after them."""
        with self._changed:
            self._changed.wait_for(self._has_work)
            self._busy_since = time.monotonic()
            batch: list[Entry] = []
            size = 0
            while self._entries and size < BATCH_BYTES:
                batch.append(self._entries.popleft())
                size += len(batch[-1][1])
            self._queued_bytes -= size
            if batch:
                self._changed.notify_all()
                return batch, {}
            unsaid, self._unsaid = self._unsaid, {}
            return [], unsaid

    def _has_work(self) -> bool:
        is_due = not self._is_gone or time.monotonic() >= self._retry_at
        return is_due and bool(self._entries or self._unsaid)

    def _write(self, data: bytes) -> int:
        """Write *data*; fewer bytes than it has mean that nobody is there."""
        view = memoryview(data)
        done = 0
        while done < len(data):
            try:
                done += os.write(self._descriptor, view[done:])
            except BlockingIOError:  # somebody else made the shared open file non-blocking
                poller = select.poll()
                poller.register(self._descriptor, select.POLLOUT)
                poller.poll()
            except OSError as error:
                if error.errno not in FULL:
                    return done
                self._is_full = True
                time.sleep(self._retry_s)
            else:
                self._busy_since = time.monotonic()
                self._is_full = False
        return done

    def _account(
        self, batch: list[Entry], unsaid: dict[str, int], written: int, *, is_gone: bool
    ) -> None:
        self._busy_since = None
        self._is_gone = is_gone
        for name, data, lines in batch:
            out = lines if written >= len(data) else data[: max(written, 0)].count(b"\n")
            written -= len(data)
            self._written[name] = self._written.get(name, 0) + out
            if out < lines:
                self._drop(name, lines - out)
        if is_gone:
            self._retry_at = time.monotonic() + self._retry_s
            for name, count in unsaid.items():
                self._unsaid[name] = self._unsaid.get(name, 0) + count
            for name, _, lines in self._entries:
                self._drop(name, lines)
            self._entries.clear()
            self._queued_bytes = 0


def _head(data: bytes, size: int) -> bytes:
    """The whole lines among the first *size* bytes."""
    return data if len(data) <= size else data[: data.rfind(b"\n", 0, size) + 1]
