"""
A file of vipd's own in ``StateDir.ha``: read at its start, written whenever there is news.

Whatever it cannot do costs what would have been remembered, and nothing else; it is said once, and
stays in :attr:`Keepsake.trouble` until a write succeeds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from lbctl.files import read_private, write_private

log = logging.getLogger(__name__)

T = TypeVar("T")


class Keepsake:
    """
    One of them.

    Args:
        path: the file.
        without: what happens when it is not to be had.

    Attributes:
        trouble: why it is not to be had, and *without*; empty: it is.
    """

    def __init__(self, path: Path, without: str) -> None:
        self._path = path
        self._without = without
        self._writing = Lock()
        self.trouble = ""

    def read(self, parse: Callable[[Any], T], default: T) -> T:
        """What *parse* makes of the JSON in it; *default*: there is none, or none that can be."""
        try:
            return parse(json.loads(read_private(self._path)))
        except FileNotFoundError:
            return default
        except OSError as error:
            self._say(error.strerror or str(error))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._say(f"{error!r:.200}")
        return default

    def write(self, text: str) -> None:
        """Replace it; waits for the disk, and may be called from any thread."""
        with self._writing:
            try:
                write_private(self._path, text)
            except OSError as error:
                self._say(error.strerror or str(error))
            else:
                self.trouble = ""

    def _say(self, what: str) -> None:
        trouble = f"{self._path}: {what}: {self._without}"
        if trouble != self.trouble:
            log.warning("%s", trouble)
        self.trouble = trouble
