"""What a watch of processes told, and a loop in which it is used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from lbctl.ha.pidfds import ProcessWatch


class Deaths:
    """What was told, with the moment."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.at_ns: list[int] = []
        self._news = asyncio.Event()

    def __call__(self, program: str, pid: int) -> None:
        self.at_ns.append(time.monotonic_ns())
        self.told.append((program, pid))
        self._news.set()

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(3):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def watching() -> AsyncIterator[tuple[ProcessWatch, Deaths]]:
    deaths = Deaths()
    watch = ProcessWatch(deaths)
    try:
        yield watch, deaths
    finally:
        watch.close()


def watched(use: Callable[[ProcessWatch, Deaths], Awaitable[None]]) -> None:
    async def live() -> None:
        async with watching() as (watch, deaths):
            await use(watch, deaths)

    asyncio.run(live())
