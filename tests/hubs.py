"""Hubs by the clock of a loop that takes no time, and what a listener of one is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from lbctl.discovery.hub import Hub
from lbctl.discovery.state import SourceState
from lbctl.layout import StateDir
from lbctl.model.service import Service
from tests.fakes.provider import FakeProvider, service
from tests.fakes.timeless import clock

ONE = service("hello/v1", "10.0.0.1:80", "10.0.0.2:80")
OTHER = service("other", "10.0.0.3:80")
EMPTY_S = 300.0


def make(state: StateDir, *providers: FakeProvider, empty_s: float = EMPTY_S) -> Hub:
    """One by the loop's clock, that always waits as long as it may."""
    return Hub(providers, state, empty_s=empty_s, clock=clock, wall=clock, chance=lambda: 1.0)


@asynccontextmanager
async def running(hub: Hub) -> AsyncGenerator[Hub, None]:
    task = asyncio.ensure_future(hub.run())
    try:
        await asyncio.sleep(0.01)
        yield hub
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def has(hub: Hub) -> dict[str, tuple[Service, ...]]:
    """What a listener that comes now is told, by source."""
    async with aclosing(hub.watch()) as updates:
        update = await anext(updates)
    return {one.snapshot.source: one.snapshot.services for one in update.heard}


def of(hub: Hub, source: str = "consul") -> SourceState:
    return next(one for one in hub.states() if one.source == source)
