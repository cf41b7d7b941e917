"""
A terminal taken over for a while: another screen, keys as they are pressed, and all given back.

Whatever ends it, an error or SIGTERM, the terminal is as it was. Where standard output is none,
nothing is done.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

#: Another screen, no cursor; and back.
_BEGIN: Final = "\x1b[?1049h\x1b[?25l"
_END: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_TO_END_OF_LINE: Final = "\x1b[K"
_TO_END_OF_SCREEN: Final = "\x1b[J"


class Screen:
    """The terminal of this process, while :func:`taken` lasts."""

    def __init__(self) -> None:
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)

    def wake(self) -> None:
        """Something is new: :meth:`keys` returns; from any thread, and from a signal."""
        try:
            os.write(self._waker, b"\0")
        except OSError:
            # The pipe is full of wakes that nobody has seen yet, or closed.
            return

    def keys(self, within_s: float) -> str:
        """What was pressed, once something is or something is new; empty: nothing was."""
        ready, _, _ = select.select([sys.stdin, self._wake], [], [], within_s)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if sys.stdin in ready:
            pressed = os.read(sys.stdin.fileno(), 1024)
            # The terminal is gone: nobody presses anything any more.
            return pressed.decode("utf-8", "replace") if pressed else "\x04"
        return ""

    def show(self, lines: list[str], height: int) -> None:
        """These lines from the top, without a flicker; what is too much is left out."""
        text = f"{_TO_END_OF_LINE}\n".join(lines[:height])
        sys.stdout.write(f"{_HOME}{text}{_TO_END_OF_LINE}{_TO_END_OF_SCREEN}")
        sys.stdout.flush()

    def close(self) -> None:
        os.close(self._wake)
        os.close(self._waker)


@contextmanager
def taken() -> Iterator[Screen]:
    """The terminal is ours; it is given back whatever happens."""
    screen = Screen()
    before = termios.tcgetattr(sys.stdin)

    def pause(*_: object) -> None:
        _give_back(before)
        os.kill(os.getpid(), signal.SIGSTOP)
        _take()
        screen.wake()

    ours: dict[signal.Signals, Any] = {
        # A shell's background job was started with Ctrl-C ignored.
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: _leave,
        signal.SIGHUP: _leave,
        signal.SIGTSTP: pause,
        signal.SIGWINCH: lambda *_: screen.wake(),
    }
    theirs = {number: signal.signal(number, handler) for number, handler in ours.items()}
    try:
        _take()
        yield screen
    finally:
        for number, handler in theirs.items():
            signal.signal(number, handler)
        _give_back(before)
        screen.close()


def _take() -> None:
    tty.setcbreak(sys.stdin)
    sys.stdout.write(_BEGIN)
    sys.stdout.flush()


def _give_back(before: list[Any]) -> None:
    try:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        sys.stdout.write(_END)
        sys.stdout.flush()
    except (OSError, termios.error):
        # The terminal itself is gone.
        return


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
