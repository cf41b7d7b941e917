"""
Being heard in time on a busy host: real-time scheduling where the right to it is there, and a
collector of garbage that has little to look at.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

#: Above every ordinary process, and below what the kernel itself and watchdogs use.
PRIORITY = 10


def be_prompt() -> str:
    """
    Run before ordinary processes; threads and children do not. What was got, for people.

    Without SYS_NICE everything goes on as it was: then other processes may be in the way.
    """
    policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(0, policy, os.sched_param(PRIORITY))
    except PermissionError:
        return "normal: SYS_NICE is missing"
    except OSError as error:
        return f"normal: {error.strerror}"
    return f"SCHED_RR {PRIORITY}"


@contextmanager
def at_leisure() -> Iterator[None]:
    """
    An ordinary process meanwhile: the clients have a new home, and who serves them goes first.

    Nothing may be awaited within.
    """
    if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK != os.SCHED_RR:
        yield
        return
    os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    try:
        yield
    finally:
        be_prompt()


def settle() -> None:
    """What is there by now stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
