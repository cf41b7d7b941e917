"""How many files HAProxy may have open, and so how many connections; with more it never starts."""

from __future__ import annotations

import resource
from typing import Final

#: Listeners, checks of servers and what HAProxy needs for itself: at least, and as a part of all.
_OWN_LEAST: Final = 256
_OWN_PART: Final = 16


def open_files() -> int:
    """The hard limit of this process and of those that it starts, without root."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else 1 << 62


def most_maxconn(hard: int | None = None) -> int:
    """What ``maxconn`` may be with so many open files: each connection takes two of them."""
    files = open_files() if hard is None else hard
    return max(1, (files - max(_OWN_LEAST, files // _OWN_PART)) // 2)
