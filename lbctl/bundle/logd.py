"""
logd: every program's FIFO on one side, the true stdout of ``lbctl run`` on the other.

It owns the counters, and gives each line its form: ``NAME | `` before it, or an object around it.
It must never make a program wait: it reads whatever becomes of its own output. It imports neither
dataclasses nor pathlib (so not :mod:`lbctl.layout`, whose names a test holds equal to the ones
here): they would double its memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from lbctl.bundle.lines import Form, LineSplitter, prefixed
from lbctl.bundle.objects import line_of, objects, stamp
from lbctl.bundle.outlet import Outlet, notice

READ_BYTES = 1 << 16
FIFO_BYTES = 1 << 18
SILENT_S = 1.0
COUNTERS_EVERY_S = 1.0
LAST_WORDS_S = 0.5
#: Of each program, once the end was asked for: what its FIFO can hold, and not what it still says.
LAST_WORDS_BYTES = FIFO_BYTES
EXIT_UNEXPECTED = 10


def spec_path(root: str) -> str:
    return f"{root}/bundle.json"


def fifo_path(root: str, program: str) -> str:
    return f"{root}/log/{program}.fifo"


def counters_path(root: str) -> str:
    return f"{root}/log/counters.json"


class Source:
    """One program's FIFO, and the line it has begun."""

    __slots__ = ("descriptor", "heard_at", "name", "splitter")

    def __init__(self, name: str, descriptor: int, form: Form) -> None:
        self.name = name
        self.descriptor = descriptor
        self.splitter = LineSplitter(form)
        self.heard_at = 0.0


class Logd:
    """The loop. It sleeps in poll(2) until a program speaks, or one of two deadlines is due."""

    def __init__(
        self, root: str, programs: tuple[str, ...], stdout: int, *, is_json: bool = False
    ) -> None:
        self._root = root
        self._form_of: Callable[[str], Form] = objects if is_json else prefixed
        self._own = self._form_of("logd")
        self._outlet = Outlet(stdout, programs, say=_dropped if is_json else self._sentence)
        self._poller = select.poll()
        self._sources: dict[int, Source] = {}
        self._saved: dict[str, object] = {}
        self._saved_at = 0.0
        self._is_dirty = True
        for program in programs:
            self._open(program)

    def run(self, wakeup: int) -> None:
        """Pass lines on until *wakeup*, the read end of the signals' pipe, says SIGTERM."""
        self._poller.register(wakeup, select.POLLIN)
        is_asked_to_end = False
        while not is_asked_to_end:
            for descriptor, _ in self._poller.poll(self._timeout_ms()):
                if descriptor == wakeup:
                    is_asked_to_end = signal.SIGTERM in os.read(wakeup, 512)
                else:
                    self._read(self._sources[descriptor])
            self._flush_silent()
            self._save_counters()
        self._say_last_words()

    def _open(self, program: str) -> None:
        path = fifo_path(self._root, program)
        try:
            descriptor = open_fifo(path)
        except OSError as error:
            text = f"{path}: {error.strerror}; what {program} says is not shown"
            self._outlet.push("logd", self._own(text.encode()))
            return
        self._sources[descriptor] = Source(program, descriptor, self._form_of(program))
        self._poller.register(descriptor, select.POLLIN)

    def _read(self, source: Source) -> int:
        try:
            chunk = os.read(source.descriptor, READ_BYTES)
        except BlockingIOError:
            return 0
        source.heard_at = time.monotonic()
        self._push(source.name, source.splitter.feed(chunk))
        return len(chunk)

    def _push(self, name: str, lines: bytes) -> None:
        if lines:
            self._outlet.push(name, lines)
            self._is_dirty = True

    def _flush_silent(self) -> None:
        now = time.monotonic()
        for source in self._sources.values():
            if source.splitter.has_rest and now - source.heard_at >= SILENT_S:
                self._push(source.name, source.splitter.flush())

    def _timeout_ms(self) -> int | None:
        """Milliseconds until the next deadline; None: there is none."""
        deadlines = [
            source.heard_at + SILENT_S
            for source in self._sources.values()
            if source.splitter.has_rest
        ]
        if self._is_dirty:
            deadlines.append(self._saved_at + COUNTERS_EVERY_S)
        if not deadlines:
            return None
        return max(0, int((min(deadlines) - time.monotonic()) * 1000) + 1)

    def _save_counters(self, *, now_or_never: bool = False) -> None:
        is_due = time.monotonic() - self._saved_at >= COUNTERS_EVERY_S
        if not now_or_never and not (self._is_dirty and is_due):
            return
        self._saved_at = time.monotonic()
        # Asked before the counts are read: settled then means that these are the last ones.
        self._is_dirty = not self._outlet.is_settled()
        counters = self._outlet.snapshot()
        if counters != self._saved and _replace(counters_path(self._root), json.dumps(counters)):
            self._saved = counters

    def _say_last_words(self) -> None:
        for source in self._sources.values():
            left = LAST_WORDS_BYTES
            while left > 0 and (size := self._read(source)):
                left -= size
            self._push(source.name, source.splitter.flush())
        self._outlet.drain(LAST_WORDS_S)
        self._save_counters(now_or_never=True)

    def _sentence(self, dropped: Mapping[str, int]) -> bytes:
        return self._own(notice(dropped).encode())


def _dropped(dropped: Mapping[str, int]) -> bytes:
    at, text = stamp(time.time()), notice(dropped)
    fields = {"dropped": dropped}
    return line_of(at, "logd", text, level="warning", kind="dropped", fields=fields).encode()


def open_fifo(path: str) -> int:
    """
    Open *path* for reading and writing, so that it never ends; make it when it is missing.

    Raises:
        OSError: it cannot be made or opened, or it is something else.
    """
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "is not a FIFO")
    # This user's share of pipe memory may be used up: a smaller FIFO works too.
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, FIFO_BYTES)
    return descriptor


def _replace(path: str, text: str) -> bool:
    """As :func:`lbctl.files.write_atomic`, which imports too much; a full disk is not our end."""
    temporary = f"{path}.new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.fchmod(descriptor, 0o644)
            os.write(descriptor, text.encode() + b"\n")
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 (no pathlib here)
    except OSError:
        return False
    return True


def catch_signals() -> int:
    """Return the descriptor that reads a byte, its number, for each SIGTERM."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    # A child of supervisord is no foreground job: under `stty tostop` a write would stop it.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    return reader


def main(argv: list[str]) -> NoReturn:
    """Run as ``logd RUN_DIR``; ends by SIGTERM, whatever the writer is stuck in."""
    wakeup = catch_signals()
    try:
        root = argv[1]
        with open(spec_path(root), encoding="utf-8") as stream:  # noqa: PTH123 (no pathlib here)
            spec = json.load(stream)
            programs = (*spec["programs"], *spec["on_demand"], *spec["tasks"])
            is_json = spec.get("log_format") == "json"
    except (IndexError, OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"logd: reading RUN_DIR/bundle.json: {error!r}; nothing to do\n")
        sys.exit(EXIT_UNEXPECTED)
    Logd(root, programs, stdout=1, is_json=is_json).run(wakeup)
    os._exit(0)
