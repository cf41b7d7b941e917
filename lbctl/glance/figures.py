"""Numbers in a few characters: rates, counts, bytes. Pure."""

from __future__ import annotations

from typing import Final

#: Where nobody knows.
UNKNOWN: Final = "-"
_UNITS: Final = ("", "k", "M", "G", "T", "P")


def short(number: float | None) -> str:
    """Up to five characters: ``0``, ``0.3``, ``987``, ``12.3k``, ``4M``; units of 1000."""
    if number is None:
        return UNKNOWN
    value = float(number)
    for unit in _UNITS:
        if abs(value) < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    is_precise = abs(value) < 99.95 and (unit or abs(value) < 9.95)
    text = f"{value:.1f}".removesuffix(".0") if is_precise else f"{value:.0f}"
    return text + unit


def bytes_per_s(number: float | None) -> str:
    """``12.3 kB/s``."""
    if number is None:
        return UNKNOWN
    text = short(number)
    unit = text[-1] if text[-1].isalpha() else ""
    return f"{text.removesuffix(unit)} {unit}B/s"
