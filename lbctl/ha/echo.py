"""
Saying the word of a pause so that it holds on every node that can be reached.

A node may have said newer words while it was cut off. They would beat one that is said here before
they were heard, though it was said later: then it is said again, above them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from lbctl.ha.neighbour import Neighbour
from lbctl.ha.pause import Pause, PauseWord

#: A greeting each second, one each way.
ECHO_S = 1.5


class Voice(Protocol):
    """What greets; see :class:`lbctl.ha.greeter.Greeter`."""

    def changed(self) -> None: ...
    def peers(self) -> tuple[Neighbour, ...]: ...
    async def next_greeting(self) -> None: ...


async def say(
    pause: Pause,
    voice: Voice | None,
    apply: Callable[[], Awaitable[None]],
    *,
    is_on: bool,
    by: str,
    why: str = "",
    for_s: float | None = None,
    within_s: float = ECHO_S,
) -> tuple[PauseWord, tuple[Neighbour, ...]]:
    """
    Say a word, and wait until every known node has it, at most *within_s*.

    Returns:
        The word, and the nodes that have said that they go by it.

    Raises:
        TypeError: as :meth:`Pause.say`.
    """

    async def speak() -> PauseWord:
        # In a thread: it waits for the disk.
        said = await asyncio.to_thread(pause.say, is_on=is_on, by=by, why=why, for_s=for_s)
        await apply()
        if voice is not None:
            voice.changed()
        return said

    said = await speak()
    if voice is None or not voice.peers():
        return said, ()
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            is_second = False
            while not all(_has(one, said) for one in voice.peers()):
                newer = None if is_second else _newer(voice, pause, said)
                if newer is None:
                    await voice.next_greeting()
                    continue
                # Once: whoever says another word meanwhile does it on purpose.
                is_second = True
                await asyncio.to_thread(pause.hear, newer)
                said = await speak()
    return said, tuple(one for one in voice.peers() if _has(one, said))


def _has(one: Neighbour, said: PauseWord) -> bool:
    word = one.pause
    if word is None or word.is_on is not said.is_on:
        return False
    # One resume is as good as the other; a later pause has other reasons, and another end.
    return word.serial == said.serial or (word.serial > said.serial and not said.is_on)


def _newer(voice: Voice, pause: Pause, said: PauseWord) -> PauseWord | None:
    """A word above *said* that says something else."""
    known = [pause.word, *(one.pause for one in voice.peers() if one.pause is not None)]
    top = max(known, key=lambda word: word.serial)
    return top if top.serial > said.serial and (top.is_on or said.is_on) else None
