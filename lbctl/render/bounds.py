"""
A bound on what an operator's template may take: it is a program, and whoever renders it is the
root of a host that balances.
"""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

#: Processor time, seconds: 10,000 servers in a loop take a fraction of one.
TIME_S: Final = 2.0
#: On top of what there is already.
MEMORY_BYTES: Final = 512 << 20


class TooLongError(Exception):
    """It has taken :data:`TIME_S` of the processor."""


@contextmanager
def bounded() -> Iterator[None]:
    """
    Bound what is done within; in the main thread the time as well, which a signal keeps.

    Raises:
        TooLongError: see there.
        MemoryError: more than :data:`MEMORY_BYTES`.
    """
    with _bounded_memory():
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGVTALRM, _stop)
        signal.setitimer(signal.ITIMER_VIRTUAL, TIME_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _bounded_memory() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    if soft not in (-1, resource.RLIM_INFINITY):
        most = min(most, soft)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _stop(_number: int, _frame: FrameType | None) -> None:
    message = f"not done after {TIME_S:g} s of processor time"
    raise TooLongError(message)
