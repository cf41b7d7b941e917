"""Lengths of time and moments, as every view writes them."""

from __future__ import annotations

import math
from datetime import datetime


def duration(seconds: float | None) -> str:
    """``4.2 s``, ``3 m 20 s``, ``5 h 01 m``, ``12 d 3 h``; ``-`` for None and no number."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def moment(at: float) -> str:
    """``2026-11-20 14:03:07``, in local time; one that no calendar has: its seconds."""
    return f"{when:%Y-%m-%d %H:%M:%S}" if (when := local(at)) else f"{at} s after 1970"


def local(at: float) -> datetime | None:
    """In local time; None: no calendar has it."""
    try:
        return datetime.fromtimestamp(at).astimezone()
    except (OverflowError, ValueError, OSError, TypeError):
        return None
