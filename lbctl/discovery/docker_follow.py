"""
The containers of one engine as they come and go: all that run, whenever something has changed.

Events, a sign of life beside them, and lists where events do not tell all. Whoever was told to stop
is remembered for as long as this goes on, over all streams of events.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from lbctl.discovery.base import HEARD_EVERY_S
from lbctl.discovery.docker_api import DockerApi, Engine
from lbctl.discovery.docker_known import Known
from lbctl.discovery.docker_news import PING_S, News, news
from lbctl.discovery.docker_read import Container

_UNSEEN: Final = "containers are read from the list alone, without environment and stop signal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """
    Seconds.

    Attributes:
        ping_s: between two signs of life.
        resync_s: between two looks at everything, and two streams of events: what was lost is found
            by then, though nobody noticed. Sooner than a source has to be heard.
        poll_s: between two lists, where events do not tell all: Podman's of a stop, or where they
            are refused.
        share: of its time that the engine may spend on lists: one of many takes Podman long.
    """

    ping_s: float = PING_S
    resync_s: float = HEARD_EVERY_S - 10.0
    poll_s: float = 2.0
    share: float = 0.01


PACE: Final = Pace()


@dataclass(frozen=True, slots=True)
class Sight:
    """
    Attributes:
        containers: those that run.
        leaving: ids of those that were told to stop.
        refusals: what the engine, or a proxy before it, does not let us see: sentences.
        is_whole: everything was looked at; else something differs from the sight before.
    """

    containers: tuple[Container, ...]
    leaving: frozenset[str] = frozenset()
    refusals: tuple[str, ...] = ()
    is_whole: bool = True


async def look(api: DockerApi) -> Sight:
    """
    Once.

    Raises:
        ProviderError: no answer, or none that makes sense.
    """
    known = Known(api, await api.engine())
    await known.relist()
    return _sight(known)


async def follow(
    api: DockerApi, pace: Pace = PACE, *, clock: Callable[[], float] = time.monotonic
) -> AsyncGenerator[Sight, None]:
    """
    Now, after each change, and each time when everything was looked at.

    Args:
        clock: monotonic, seconds.

    Raises:
        ProviderError: the engine is out of touch; the caller begins anew.
    """
    known: Known | None = None
    while True:
        engine = await api.engine()
        known = known or Known(api, engine)
        async with news(api, engine, pace.ping_s) as told:
            await known.relist(is_thorough=True)
            async with aclosing(_session(known, engine, told, pace, clock)) as sights:
                async for sight in sights:
                    yield sight


async def _session(
    known: Known, engine: Engine, told: News, pace: Pace, clock: Callable[[], float]
) -> AsyncGenerator[Sight, None]:
    """As long as one stream of events is listened to."""
    listed = clock()
    ends, poll_s = listed + pace.resync_s, pace.poll_s
    shown: Sight | None = None
    while True:
        sight = replace(_sight(known, told, pace), is_whole=shown is None)
        if shown is None or replace(sight, is_whole=shown.is_whole) != shown:
            shown = sight
            yield sight
        if (now := clock()) >= ends:
            return
        poll_at = listed + poll_s if engine.is_podman or told.refusal else inf
        leaves = known.leaving.next_end
        due = min(ends, poll_at, inf if leaves is None else leaves)
        events = await told.batch(max(0.0, due - now))
        now = clock()
        known.leaving.expire(now)
        await known.take(events, now)
        if now >= poll_at:
            await known.relist()
            listed = clock()
            poll_s = max(pace.poll_s, (listed - now) / pace.share)


def _sight(known: Known, told: News | None = None, pace: Pace = PACE) -> Sight:
    refusals = []
    if told is not None and told.refusal:
        refusals.append(f"{told.refusal}; asked every {pace.poll_s:g} s instead")
    if known.refusal:
        refusals.append(f"{known.refusal}; {_UNSEEN}")
    return Sight(tuple(known.containers.values()), known.leaving.containers, tuple(refusals))
