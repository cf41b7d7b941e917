"""
Events of one engine as they come, and whether anybody is still there.

The stream of events has no heartbeat, and a connection that has died in silence looks like a quiet
day: the engine is asked for a sign of life beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from lbctl.discovery.docker_api import DockerApi, Engine, is_forbidden
from lbctl.discovery.docker_events import Event
from lbctl.discovery.http import RefusedError

#: Between two signs of life, seconds.
PING_S: Final = 10.0


class News:
    """
    Attributes:
        refusal: why there are no events; empty: there are.
    """

    def __init__(self) -> None:
        self.refusal = ""
        self._told: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

    async def batch(self, within_s: float) -> list[Event]:
        """
        What has been told, and else the first that is; none in *within_s* seconds, or none to be
        had: empty.

        Raises:
            ProviderError: the events have ended, or nobody answers.
        """
        found: list[Event] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                self._add(found, await self._told.get())
        while not self._told.empty():
            self._add(found, self._told.get_nowait())
        return found

    def _add(self, found: list[Event], told: Event | Exception | None) -> None:
        if isinstance(told, Exception):
            raise told
        if told is not None:
            found.append(told)

    async def _listen(self, api: DockerApi, engine: Engine) -> None:
        try:
            async for event in api.events(engine):
                self._told.put_nowait(event)
        except RefusedError as error:
            if not is_forbidden(error):
                raise
            self.refusal = str(error)
            self._told.put_nowait(None)

    async def _ping(self, api: DockerApi, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await api.engine()

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self._told.put_nowait(error)


@asynccontextmanager
async def news(api: DockerApi, engine: Engine, ping_s: float = PING_S) -> AsyncIterator[News]:
    """What happens from shortly before *engine* was asked on."""
    told = News()
    tasks = [
        asyncio.create_task(told._watched(work))
        for work in (told._listen(api, engine), told._ping(api, ping_s))
    ]
    try:
        yield told
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
