"""
Asks all sources, for ever, and keeps what each said last: in memory, and on disk.

Owns when a source is asked again and whether it is believed. What a source said stays until it says
something else: nothing that goes wrong with it, not even a defect of its provider, takes a service
away or ends the asking.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress
from typing import Final

from lbctl.discovery.base import HEARD_EVERY_S, Provider
from lbctl.discovery.saved import read_snapshot
from lbctl.discovery.source import Source
from lbctl.discovery.state import SourceState
from lbctl.discovery.wire import Heard, Update
from lbctl.errors import ProviderError
from lbctl.layout import StateDir
from lbctl.model.service import Snapshot

log = logging.getLogger(__name__)

#: From one attempt to the next, seconds: at first, and at most; each a random part of it.
PAUSE_FIRST_S: Final = 0.2
PAUSE_MOST_S: Final = 15.0
#: A provider that says nothing for so long hangs, seconds.
SILENCE_S: Final = 2.5 * HEARD_EVERY_S
#: How often files are written and doubts are looked at, seconds.
TICK_S: Final = 1.0


class Hub:
    """
    Args:
        providers: each with a name of its own; more may be added later.
        state: where it is kept; what is there is what it starts with.
        empty_s: see ``discovery.empty_s``.
        clock: monotonic seconds.
        wall: seconds since the epoch.
        chance: 0 to 1, of the pauses.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        state: StateDir,
        *,
        empty_s: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._state = state
        self._empty_s = empty_s
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self._sources: dict[str, Source] = {}
        self._group: asyncio.TaskGroup | None = None
        self._listeners: set[asyncio.Event] = set()
        for provider in providers:
            self.add(provider)

    def add(self, provider: Provider) -> None:
        """One more; asked from now on, if the others are."""
        saved = read_snapshot(self._state, provider.name)
        source = Source(provider, self._state, saved, empty_s=self._empty_s, now=self._wall())
        self._sources[provider.name] = source
        if self._group is not None:
            self._group.create_task(self._follow(source))
        self._wake()

    async def run(self) -> None:
        """Ask until cancelled; what is not on disk yet is written then, and providers closed."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._tick())
                for source in self._sources.values():
                    group.create_task(self._follow(source))
        finally:
            self._group = None
            self.save()
            for source in self._sources.values():
                await self._close(source.provider)

    def save(self) -> None:
        """Write what is not on disk yet, now."""
        for source in self._sources.values():
            source.write(self._clock(), is_last=True)

    def put(self, snapshot: Snapshot) -> None:
        """
        Take what a source that was added has said by another way: it is believed, and told on
        though nothing changed, since somebody waits for it.
        """
        self._sources[snapshot.source].believe(snapshot, self._wall(), is_news=True)
        self._wake()

    def states(self) -> tuple[SourceState, ...]:
        """Of all sources, by name."""
        return tuple(self._sources[name].state for name in sorted(self._sources))

    async def watch(self, beat_s: float | None = None) -> AsyncGenerator[Update, None]:
        """
        All that is known, then what changes; who is slow gets several changes as one.

        Args:
            beat_s: so long after the last one comes one without news, seconds; None: none.
        """
        news = asyncio.Event()
        self._listeners.add(news)
        told: dict[str, Heard] = {}
        try:
            while True:
                news.clear()
                heard = {name: one.heard for name, one in self._sources.items()}
                new = {n: one for n, one in heard.items() if one and told.get(n) is not one}
                told |= new
                yield Update(tuple(new[name] for name in sorted(new)), self.states())
                with suppress(TimeoutError):
                    async with asyncio.timeout(beat_s):
                        await news.wait()
        finally:
            self._listeners.discard(news)

    def _wake(self) -> None:
        for news in self._listeners:
            news.set()

    async def _follow(self, source: Source) -> None:
        attempts = 0
        while True:
            began = self._clock()
            error = await self._attempt(source)
            # One that went well for long is tried again at once; one that ends at once is not,
            # though it has said something before.
            attempts = 0 if self._clock() - began >= PAUSE_MOST_S else attempts
            source.fail(error, self._wall())
            self._wake()
            await asyncio.sleep(self._chance() * min(PAUSE_FIRST_S * 2**attempts, PAUSE_MOST_S))
            attempts = min(attempts + 1, 30)

    async def _attempt(self, source: Source) -> str:
        """Listen to it for as long as that goes; why it ended."""
        name = f"{source.name} {source.target}"
        try:
            async with aclosing(source.provider.watch()) as snapshots:
                while True:
                    async with asyncio.timeout(SILENCE_S):
                        snapshot = await anext(snapshots)
                    source.hear(snapshot, self._wall(), self._clock())
                    if not source.is_on_disk:
                        # Whoever is told and dies the next moment finds it there.
                        source.write(self._clock())
                    self._wake()
        except ProviderError as error:
            return str(error)
        except StopAsyncIteration:
            return f"{name}: the watch ended; it begins anew"
        except TimeoutError:
            return f"{name}: silent for {SILENCE_S:g} s; it is asked anew"
        except asyncio.CancelledError as error:
            if is_told_to_stop():
                raise
            return _defect(source, error, "cancelled, and not by us")
        except Exception as error:
            return _defect(source, error, repr(error))

    async def _tick(self) -> None:
        """Nothing in here may end: the sources would go on and nobody would write."""
        while True:
            await asyncio.sleep(TICK_S)
            for source in self._sources.values():
                if source.settle(self._wall(), self._clock()):
                    self._wake()
                source.write(self._clock())

    async def _close(self, provider: Provider) -> None:
        try:
            await provider.close()
        except Exception:
            log.exception("%s %s: not closed well", provider.name, provider.target)


def _defect(source: Source, error: BaseException, what: str) -> str:
    """What to say of an error that no provider should have; the first time, where it was."""
    text = f"{source.name} {source.target}: a defect of lbctl: {what}; it is asked anew"
    if source.state.error != text:
        log.error("%s: its trace:", text, exc_info=error)
    return text


def is_told_to_stop() -> bool:
    """Whether somebody cancels this task; a cancellation may also leak out of another one."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
