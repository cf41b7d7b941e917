"""Where tables go: as wide as the terminal, or as a page where there is none."""

from __future__ import annotations

import os
from typing import Final

from rich.console import Console

#: Where nobody says how wide the reader's page is, as in a pipe.
WIDTH_WITHOUT_TERMINAL: Final = 120


def console() -> Console:
    """Standard output; no colours in a pipe."""
    made = Console(highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = WIDTH_WITHOUT_TERMINAL
    return made
