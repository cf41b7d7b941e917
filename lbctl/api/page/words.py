"""Numbers, ages and moments as the page writes them; ``app.js`` has the same rules. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from lbctl.glance.durations import duration, local

#: Where there is nothing to say.
NONE: Final = "\N{EN DASH}"
_UNITS: Final = ("", "k", "M", "G", "T", "P")


def number(value: object) -> str:
    """``0``, ``4.2``, ``312``, ``1.2 k``; no number: :data:`NONE`."""
    known = _finite(value)
    return NONE if known is None else _short(known, "")


def octets(value: object) -> str:
    """``312 B``, ``1.2 MB``, in powers of 1000; no number: :data:`NONE`."""
    known = _finite(value)
    return NONE if known is None else _short(known, "B")


def age(seconds: object) -> str:
    """``4 s``, ``3 m 20 s``, ``5 h 01 m``, ``12 d 3 h``; no number: :data:`NONE`."""
    known = _finite(seconds)
    if known is None:
        return NONE
    whole = max(0, int(known))
    # A page that counts on by itself has no tenths.
    return f"{whole} s" if whole < 60 else duration(whole)


def moment(at: object) -> str:
    """``2026-11-20 14:03:07``, in this host's time."""
    return NONE if (when := _when(at)) is None else f"{when:%Y-%m-%d %H:%M:%S}"


def clock(at: object) -> str:
    """``14:03``, in this host's time."""
    return NONE if (when := _when(at)) is None else f"{when:%H:%M}"


def weekday(at: object) -> str:
    """``Sat 14:03``."""
    return NONE if (when := _when(at)) is None else f"{when:%a %H:%M}"


def machine(at: object) -> str:
    """``2026-11-20T14:03:07Z``, for ``<time datetime>``."""
    return "" if (when := _when(at)) is None else f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def zone(at: object) -> str:
    """This host's: ``UTC``, ``CET``."""
    return "" if (when := _when(at)) is None else str(when.tzname())


def many(count: int, noun: str) -> str:
    """``1 server``, ``3 servers``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _when(at: object) -> datetime | None:
    known = _finite(at)
    return None if known is None or known <= 0 else local(known)


def _short(value: float, unit: str) -> str:
    size, place = abs(value), 0
    # 999.95 is 1000.0 when it is written.
    while size >= 999.5 and place < len(_UNITS) - 1:
        size, place = size / 1000, place + 1
    is_exact = not place and size == int(size)
    text = f"{size:.0f}" if is_exact or size >= 9.95 else f"{size:.1f}"
    return " ".join(filter(None, (f"{'-' if value < 0 else ''}{text}", _UNITS[place] + unit)))


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
