"""A hub that follows a real Consul, and what it has told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbctl.discovery.consul import ConsulProvider
from lbctl.discovery.consul_api import ANSWER_S
from lbctl.discovery.consul_follow import PING_EVERY_S
from lbctl.discovery.hub import Hub
from lbctl.discovery.state import SourceState
from lbctl.layout import StateDir
from lbctl.model.service import Server, Service, Snapshot
from lbctl.settings.discovery import Consul
from tests.consuls import ConsulAgent

#: From an event in Consul to the snapshot, seconds, while others use the CPUs.
AT_ONCE_S = 1.0


@dataclass(slots=True)
class Followed:
    """
    Attributes:
        hub: see there.
        snapshots: all that it told, the last one last.
    """

    hub: Hub
    snapshots: list[Snapshot] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def state(self) -> SourceState:
        return self.hub.states()[0]

    @property
    def services(self) -> Mapping[str, Service]:
        return {one.name: one for one in self.snapshots[-1].services} if self.snapshots else {}

    def servers(self, name: str = "hello/v1") -> Mapping[str, Server]:
        """By key."""
        service = self.services.get(name)
        return {one.key: one for one in service.servers} if service else {}

    def states(self, name: str = "hello/v1") -> dict[str, str]:
        """Of its servers, by key."""
        return {key: one.state for key, one in self.servers(name).items()}

    async def until(self, claim: Callable[[], object], within_s: float = 3.0) -> float:
        """Wait until it is as claimed; how long that took, seconds."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while not claim():
            self._news.clear()
            left = began + within_s - clock()
            assert left > 0, f"not within {within_s} s: {self.state}, {self.snapshots[-1:]}"
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, 0.2))
        return clock() - began

    async def collect(self) -> None:
        async for update in self.hub.watch():
            self.snapshots += [one.snapshot for one in update.heard]
            self._news.set()


@asynccontextmanager
async def followed(
    agent: ConsulAgent,
    state: Path,
    secrets: Mapping[str, bytes] | None = None,
    *,
    empty_s: float = 60.0,
    answer_s: float = ANSWER_S,
    ping_every_s: float = PING_EVERY_S,
    **settings: Any,
) -> AsyncIterator[Followed]:
    """What a hub hears of *agent*; *settings*: of ``discovery.consul``."""
    provider = ConsulProvider(
        Consul(url=agent.url, **settings),
        secrets or {},
        answer_s=answer_s,
        ping_every_s=ping_every_s,
    )
    async with heard(Hub([provider], StateDir(state), empty_s=empty_s)) as found:
        yield found


@asynccontextmanager
async def heard(hub: Hub) -> AsyncIterator[Followed]:
    """What *hub* hears, whatever it asks."""
    found = Followed(hub)
    tasks = [asyncio.create_task(one) for one in (hub.run(), found.collect())]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A transport is closed in the next turn of the loop.
        await asyncio.sleep(0)
