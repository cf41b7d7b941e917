"""This host's clock: its year, and whether the kernel thinks that it is disciplined."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from lbctl.doctor.row import Row, bad, ok, unknown, warn

#: Counters of the native engine begin here, and no lbctl is older.
_FIRST_YEAR = 2026
_LAST_YEAR = 2090
_STA_UNSYNC = 0x0040
_TIMEX_BYTES = 208


class _Timex(ctypes.Structure):
    """The head of struct timex (linux/timex.h); the rest is room for the kernel to write."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * _TIMEX_BYTES),
    )


@dataclass(frozen=True, slots=True)
class Clock:
    """
    Attributes:
        now: wall clock, seconds.
        is_synchronised: the kernel's own word; None: it does not tell.
    """

    now: float
    is_synchronised: bool | None


def read_clock() -> Clock:
    """adjtimex with no mode set: reads, changes nothing, needs no capability."""
    timex = _Timex()
    try:
        code = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        code = -1
    return Clock(time.time(), None if code < 0 else not timex.status & _STA_UNSYNC)


def judge_clock(clock: Clock) -> Row:
    said = datetime.fromtimestamp(clock.now, UTC)
    text = f"{said:%Y-%m-%d %H:%M:%S} UTC"
    if not _FIRST_YEAR <= said.year <= _LAST_YEAR:
        return bad(
            "clock", f"{text}: that cannot be", "set it, and run chrony or systemd-timesyncd"
        )
    if clock.is_synchronised is None:
        return unknown("clock", f"{text}; the kernel does not say whether it is synchronised")
    if not clock.is_synchronised:
        return warn(
            "clock",
            f"{text}, not synchronised: events of the two hosts cannot be put side by side",
            "run chrony or systemd-timesyncd on both hosts",
        )
    return ok("clock", f"{text}, synchronised")
