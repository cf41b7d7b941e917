"""
What runs on one engine, as far as it was asked; kept up to date by events and by lists.

Not a word of it is believed longer than the engine can be asked: whoever follows it begins with a
new one after an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from lbctl.discovery.docker_api import DockerApi, Engine, is_forbidden
from lbctl.discovery.docker_events import Event, Leaving
from lbctl.discovery.docker_read import Container
from lbctl.discovery.http import RefusedError

#: Inspections at a time: more would only wait in the client, and that counts as no answer.
_AT_ONCE: Final = 4


class Known:
    """
    Attributes:
        containers: those that run, by id.
        leaving: who of them was told to stop.
        refusal: why containers cannot be inspected; empty: they can.
    """

    def __init__(self, api: DockerApi, engine: Engine) -> None:
        self.containers: dict[str, Container] = {}
        self.leaving = Leaving()
        self.refusal = ""
        self._api = api
        self._engine = engine
        self._listed: dict[str, Container] = {}
        # Podman tells of some things shortly before they are so.
        self._again: set[str] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def relist(self, *, is_thorough: bool = False) -> None:
        """
        Ask for the list, and for each one in it that is new or looks changed.

        Args:
            is_thorough: for all of them, where the list does not say everything that changes.

        Raises:
            ProviderError: no answer, or none that makes sense; what was known stays.
        """
        before = self._listed
        listed = {one.id: one for one in await self._api.listed(self._engine)}
        changed = [one.id for one in listed.values() if before.get(one.id) != one]
        missing = [one for one in self.containers if one not in listed]
        self._listed = listed
        if self._engine.is_podman:
            # Its list says nothing of health, and leaves out who is being stopped.
            again, self._again = self._again, set()
            every = self.containers if is_thorough else ()
            await self._look({*changed, *missing, *again, *every})
            return
        for one in missing:
            self._forget(one)
        await self._look(changed)

    async def take(self, events: Sequence[Event], now: float) -> None:
        """
        Ask for everyone of whom something is told.

        Args:
            now: monotonic, seconds.

        Raises:
            ProviderError: no answer, or none that makes sense.
        """
        gone: set[str] = set()
        for event in events:
            self.leaving.take(event, self.containers.get(event.container), now)
            if event.kind == "gone":
                gone.add(event.container)
            elif event.kind == "started":
                gone.discard(event.container)
        if self._engine.is_podman:
            self._again.update(one.container for one in events)
        if self.refusal and events:
            await self.relist()
            return
        await self._look({one.container for one in events}, gone)

    async def _look(self, ids: Iterable[str], gone: Iterable[str] = ()) -> None:
        """
        An event may be an old one: what counts is what is the case now.

        Args:
            gone: if one of these is still being stopped, it has no process left.
        """
        wanted = list(ids)
        answers = await asyncio.gather(*map(self._inspected, wanted), return_exceptions=True)
        for one, found in zip(wanted, answers, strict=True):
            if isinstance(found, BaseException):
                raise found
            is_over = found is not None and found.state == "stopping" and one in gone
            if found is None or not found.is_running or is_over:
                self._forget(one)
            else:
                self.containers[one] = found

    async def _inspected(self, container: str) -> Container | None:
        if self.refusal:
            return self._listed.get(container)
        try:
            async with self._turns:
                return await self._api.inspected(self._engine, container)
        except RefusedError as error:
            if not is_forbidden(error):
                raise
            self.refusal = str(error)
            return self._listed.get(container)

    def _forget(self, container: str) -> None:
        self.containers.pop(container, None)
        self._listed.pop(container, None)
        self.leaving.stays(container)
