"""
Tells when the operator's certificates may have changed.

Looks at names, inodes and times four times a second, and reads nothing: the agent may not. Beside
inotify (watchfiles) that costs as little CPU with ten files, a fifth of the wake-ups, no thread and
5 MB less; and it sees what inotify does not: links whose target lies elsewhere, as certbot and
Kubernetes have them, and a directory that comes later.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Between two looks, in seconds; a replaced certificate is to be served within one.
EVERY_S: Final = 0.25
#: No change for so long: whoever writes in place has done, for now.
SETTLE_S: Final = 0.05
#: Somebody who never stops writing does not hide what others wrote.
SETTLE_AT_MOST_S: Final = 1.0
#: A thousand files take 5 ms to look at: the pause grows, so that looking takes 1 % of a CPU.
_SHARE: Final = 0.01
_SUFFIX: Final = ".pem"


@dataclass(frozen=True, slots=True)
class Look:
    """
    What can be seen of a directory; two that are equal mean that nothing changed.

    Attributes:
        marks: of the directory and of each file; a link is what it leads to.
        blind: what cannot be seen, and what is to be done instead; empty: all can.
    """

    marks: frozenset[tuple[str, tuple[int, ...]]]
    blind: str = ""


def look(directory: Path) -> Look:
    """Look once. A directory that is not there looks like an empty one."""
    marks: set[tuple[str, tuple[int, ...]]] = set()
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(_SUFFIX)]
    except FileNotFoundError:
        return Look(frozenset())
    except OSError as error:
        return _from_outside(directory, error)
    blind = ""
    for name in names:
        try:
            marks.add((name, _mark(directory / name)))
        except FileNotFoundError:
            marks.add((name, ()))
        except OSError as error:
            blind = f"{directory / name}: {error.strerror}; after a change: lbctl reload"
    return Look(frozenset(marks), blind)


async def watch(
    directory: Path,
    sight: Callable[[str], None] = lambda _: None,
    *,
    every_s: float = EVERY_S,
    settle_s: float = SETTLE_S,
) -> AsyncIterator[None]:
    """
    Yield each time that *directory* has changed, and is quiet again.

    What was there at the first look is no change: whoever starts reads it.

    Args:
        directory: ``certs`` of the config dir; it may be missing.
        sight: told what cannot be seen from now on, and ``""`` when it can be seen again.
    """
    loop = asyncio.get_running_loop()
    known, told = look(directory), ""
    seen = known
    while True:
        if seen.blind != told:
            told = seen.blind
            sight(told)
        if seen.marks != known.marks:
            seen = known = await _settled(directory, seen, settle_s)
            yield
            continue
        began = loop.time()
        seen = look(directory)
        if seen.marks == known.marks:
            await asyncio.sleep(max(every_s, (loop.time() - began) / _SHARE))


async def _settled(directory: Path, seen: Look, settle_s: float) -> Look:
    """The first look that equals the one before; at the end of patience, the last."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SETTLE_AT_MOST_S
    while loop.time() < end:
        await asyncio.sleep(settle_s)
        before, seen = seen, look(directory)
        if seen.marks == before.marks:
            break
    return seen


def _from_outside(directory: Path, error: OSError) -> Look:
    """The directory's own times tell of files that come, go and are replaced by a rename."""
    hint = "after a change: lbctl reload"
    try:
        mark = ("", _mark(directory))
    except OSError:
        return Look(frozenset(), f"{directory}: {error.strerror}; {hint}")
    what = f"{directory}: {error.strerror}: files written in place are not seen; {hint}"
    return Look(frozenset({mark}), what)


def _mark(path: Path) -> tuple[int, ...]:
    there = path.stat()
    return (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns)
