"""
A wall clock that can be set on one lab host, for all that runs Python there; monotonic clocks are
what they are, as with a clock that an administrator sets.

What is appended to ``lbctl/__init__.py`` there, by a mount that only this host's bundle sees. (A
library that is preloaded would be nearer to the kernel; Debian's fails in short sleeps.)
"""

from __future__ import annotations

from pathlib import Path

import lbctl
from lbctl.lab.bundle import LBCTL

_SHIFT = """
import time as _time

_time_of_the_machine = _time.time


def _shifted() -> float:
    with open("{clock}") as clock:
        return _time_of_the_machine() + float(clock.read())


_time.time = _shifted
_time.time_ns = lambda: int(_shifted() * 1e9)
"""


class ShiftedClock:
    """
    One host's.

    Args:
        directory: for its files; every user may enter it.
    """

    def __init__(self, directory: Path) -> None:
        self._clock = directory / "clock"
        self._module = directory / "shifted_clock.py"
        self._real = Path(lbctl.__file__)
        self.set(0)
        self._module.write_text(self._real.read_text() + _SHIFT.format(clock=self._clock))

    def set(self, by_s: float) -> None:
        """From now on the clock is so much ahead; in one act, since it is read at any moment."""
        new = self._clock.with_suffix(".new")
        new.write_text(f"{by_s}\n")
        new.rename(self._clock)

    @property
    def lbctl(self) -> tuple[str, ...]:
        """The command, with this clock."""
        mounts = (
            f"mount --bind {self._module} {self._real}",
            f"mount -t tmpfs none {self._real.parent / '__pycache__'}",
        )
        return ("sh", "-c", f'{" && ".join(mounts)} && exec "$@"', "sh", *LBCTL)
