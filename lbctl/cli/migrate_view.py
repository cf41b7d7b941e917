"""How ``lbctl migrate`` shows a difference. Knows colours, and translates nothing."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import Final, TextIO

from rich.console import Console
from rich.text import Text

from lbctl.migrate.difference import Kind, Shown

_STYLES: Final[dict[Kind, str]] = {
    "file": "bold",
    "place": "cyan",
    "same": "",
    "old": "red",
    "new": "green",
    "why": "italic yellow",
}
_WIDTH_WITHOUT_TERMINAL: Final = 100


class View:
    """Prints to one stream, in colours where that is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        if isinstance(stream, io.TextIOWrapper):
            # Where the terminal's encoding lacks a sign, a substitute is better than no difference.
            stream.reconfigure(errors="replace")
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        if not self._console.is_terminal and "COLUMNS" not in os.environ:
            self._console.width = _WIDTH_WITHOUT_TERMINAL

    def difference(self, lines: Iterable[Shown]) -> None:
        """Changes as they are; reasons wrapped below them, so that they are told apart."""
        for line in lines:
            if line.kind == "why":
                self._why(line.text)
            else:
                self._plain(line.text, _STYLES[line.kind])

    def title(self, text: str) -> None:
        self._plain("")
        self._plain(text, "bold")

    def lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._plain(text)

    def _why(self, text: str) -> None:
        mark, reason = text[:4], Text(text[4:])
        for part in reason.wrap(self._console, max(20, self._console.width - len(mark))):
            self._plain(f"{mark}{part.plain.rstrip()}", _STYLES["why"])

    def _plain(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)
