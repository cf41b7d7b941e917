"""What every view shows: words, and how much they should worry whoever reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``mild`` is all right and worth seeing; ``plain`` says nothing about how it is.
Tone = Literal["good", "bad", "warn", "mild", "plain"]


def printable(text: str) -> str:
    """Without what a terminal would obey: names and reasons come from other hosts and programs."""
    return "".join(one if one.isprintable() else "?" for one in text)


@dataclass(frozen=True, slots=True)
class Cell:
    """Words, as they are: each view escapes them in its own way."""

    text: str
    tone: Tone = "plain"
