"""Lengths of time and moments, as people say them to a command."""

from __future__ import annotations

import re
from datetime import datetime

from lbctl.errors import UsageError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhdw])\s*")


def seconds_of(option: str, text: str) -> float:
    """
    Read ``90s``, ``30m``, ``1h30m``, ``7d``.

    Raises:
        UsageError: it is something else.
    """
    parts = list(_PART.finditer(text))
    if not parts or "".join(found[0] for found in parts) != text:
        message = f"{option} {text!r}: a time like 90s, 30m, 2h, 1h30m or 7d is wanted"
        raise UsageError(message)
    return sum(float(found[1]) * _UNITS[found[2]] for found in parts)


def past(option: str, text: str, now: float) -> float:
    """
    A moment in the past: ``7d`` ago, or ``2026-11-20``, ``2026-11-20 14:03`` in local time.

    Returns:
        Wall clock, seconds.

    Raises:
        UsageError: it is neither.
    """
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        pass
    try:
        return now - seconds_of(option, text)
    except UsageError as error:
        message = f"{error}, or a date like 2026-11-20 or '2026-11-20 14:03'"
        raise UsageError(message) from None
