"""This host's containers as they come and go: all that run, whenever something has changed."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from lbctl.discovery.docker_api import DockerApi
from lbctl.discovery.docker_known import Known
from lbctl.discovery.docker_news import news
from lbctl.discovery.docker_read import Container

#: Between two looks at everything, and two streams of events, seconds.
RESYNC_S: Final = 60.0
#: Between two lists where events do not tell all: Podman's of a stop, or where they are refused.
POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sight:
    """
    Attributes:
        containers: those that run.
        leaving: ids of those that were told to stop.
        refusals: what the engine, or a proxy before it, does not let us see: sentences.
    """

    containers: tuple[Container, ...]
    leaving: frozenset[str]
    refusals: tuple[str, ...] = ()


async def follow(
    api: DockerApi,
    *,
    resync_s: float = RESYNC_S,
    poll_s: float = POLL_S,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[Sight, None]:
    """
    Now, and after each change.

    Raises:
        ProviderError: the engine is out of touch; the caller begins anew.
    """
    while True:
        engine = await api.engine()
        known = Known(api, engine)
        async with news(api, engine) as told:
            await known.relist(is_thorough=True)
            listed = began = clock()
            while clock() < began + resync_s:
                refusals = tuple(filter(None, (told.refusal, known.refusal)))
                yield Sight(tuple(known.containers.values()), known.leaving.containers, refusals)
                again_s = poll_s if engine.is_podman or told.refusal else inf
                end = known.leaving.next_end
                due = min(began + resync_s, listed + again_s, inf if end is None else end)
                events = await told.batch(max(0.0, due - clock()))
                now = clock()
                known.leaving.expire(now)
                await known.take(events, now)
                if now >= listed + again_s:
                    await known.relist()
                    listed = now
