"""A provider that is watched in a thread, as the hub does it: begun anew after each error."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

from lbctl.discovery.base import Provider
from lbctl.errors import ProviderError
from lbctl.lab.wait import wait_until
from lbctl.model.service import Snapshot

_AGAIN_S = 0.05


@dataclass(slots=True)
class Watched:
    """
    Attributes:
        snapshots: all that was said, with the point of the monotonic clock.
        errors: what went wrong.
    """

    snapshots: list[tuple[float, Snapshot]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def last(self) -> Snapshot:
        assert self.snapshots, self.errors
        return self.snapshots[-1][1]

    def servers(self, service: str) -> dict[str, tuple[str, str]]:
        """Address and state of each one by its id, as it was said last."""
        return _servers(self.snapshots[-1][1], service) if self.snapshots else {}

    def states(self, service: str, server: str) -> list[str]:
        """All states that this server had, one after the other; empty: it was not there."""
        found: list[str] = []
        for _, snapshot in self.snapshots:
            state = _servers(snapshot, service).get(server, ("", ""))[1]
            if not found or found[-1] != state:
                found.append(state)
        return found

    def wait(self, claim: Callable[[], object], within_s: float, what: str) -> None:
        wait_until(claim, within_s, what, seen=self._seen, every_s=0.005)

    def _seen(self) -> object:
        return self.snapshots[-3:], self.errors[-3:]


def _servers(snapshot: Snapshot, service: str) -> dict[str, tuple[str, str]]:
    for one in snapshot.services:
        if one.name == service:
            return {server.id: (server.address, server.state) for server in one.servers}
    return {}


@contextmanager
def watched(provider: Provider) -> Iterator[Watched]:
    """Yields when it has said something for the first time."""
    found = Watched()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_watch(provider, found))
    thread = threading.Thread(target=loop.run_until_complete, args=(task,))
    thread.start()
    try:
        found.wait(lambda: found.snapshots or found.errors, 10, "something is said")
        yield found
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()


async def _watch(provider: Provider, found: Watched) -> None:
    try:
        while True:
            try:
                async with aclosing(provider.watch()) as snapshots:
                    async for snapshot in snapshots:
                        found.snapshots.append((time.monotonic(), snapshot))
            except ProviderError as error:
                found.errors.append(str(error))
            await asyncio.sleep(_AGAIN_S)
    except asyncio.CancelledError:
        pass
    finally:
        await provider.close()
