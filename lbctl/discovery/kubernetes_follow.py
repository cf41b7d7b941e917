"""
Follows a cluster as client-go does: a list, then a watch from where the list ended.

A watch that the API server ends is begun anew from the last version that was heard of, which
bookmarks keep young; only when that is too old all is listed anew. What is known outlives a
connection: an API server that was away would else be asked for everything by everybody at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from lbctl.discovery.base import HEARD_EVERY_S
from lbctl.discovery.http import RefusedError
from lbctl.discovery.kubernetes_api import Event, GoneError, KubernetesApi, LostError
from lbctl.discovery.kubernetes_picture import Picture, What
from lbctl.discovery.kubernetes_read import version_of
from lbctl.errors import ProviderError
from lbctl.settings.discovery import Kubernetes

#: The API server is to end a watch after this, and up to twice as long, seconds; as client-go.
WATCH_S: Final = 300
#: A watch does not say that the API server is gone: it is asked between, seconds.
PING_EVERY_S: Final = 10.0
#: Seconds.
_GATHER_S: Final = 0.01
#: A watch that has ended sooner and said nothing has failed, seconds.
_SHORT_S: Final = 1.0
#: Who has too many to answer is left alone for so long at most, seconds.
_AFTER_MOST_S: Final = 30.0
_TOO_MANY: Final = 429


def watch_time() -> int:
    """Seconds; by chance, so that not all begin anew at once."""
    return random.randint(WATCH_S, 2 * WATCH_S)


@dataclass(slots=True)
class _Collection:
    """
    Attributes:
        path: of the API.
        version: where a watch goes on; empty: it must be listed.
        opened: it is watched.
    """

    what: What
    path: str
    version: str = ""
    opened: asyncio.Event = field(default_factory=asyncio.Event)


class Follower:
    """
    Args:
        api: whom it asks.
        settings: what of it is ours.
        prefer: which address of a pod that has both.
        ping_every_s: how often it is asked whether it is there, seconds.
        watch_s: how long a watch is to last, seconds.

    Attributes:
        picture: what is known.
        is_sure: it had services, and has been watched since: what is gone was seen to go.
    """

    def __init__(
        self,
        api: KubernetesApi,
        settings: Kubernetes,
        prefer: str,
        *,
        ping_every_s: float = PING_EVERY_S,
        watch_s: Callable[[], int] = watch_time,
    ) -> None:
        self._api = api
        self._ping_every_s = ping_every_s
        self._watch_s = watch_s
        self.picture = Picture(settings, prefer)
        self.is_sure = False
        where = "" if settings.namespace is None else f"/namespaces/{settings.namespace}"
        self._collections = (
            _Collection("services", f"/api/v1{where}/services"),
            _Collection("slices", f"/apis/discovery.k8s.io/v1{where}/endpointslices"),
        )
        self._news = asyncio.Event()
        self._not_before = 0.0

    async def fill(self) -> None:
        """
        Everything that is not known yet.

        Raises:
            ProviderError: no answer, or none that counts; this is so of all that follow.
        """
        # It has said when it wants to be asked again.
        await asyncio.sleep(max(0.0, self._not_before - asyncio.get_running_loop().time()))
        try:
            for one in self._collections:
                if not one.version:
                    await self._list(one)
        except ProviderError as error:
            self._failed(error)
            raise

    async def follow(self) -> AsyncGenerator[None, None]:
        """
        Comes back when all is watched, whenever the picture may have changed then, and when all was
        well for a while.
        """
        for one in self._collections:
            one.opened.clear()
        tasks = {asyncio.create_task(self._watch(one)) for one in self._collections}
        tasks.add(asyncio.create_task(self._pings()))
        try:
            for one in self._collections:
                await self._wait(tasks, one.opened, None)
            yield
            while True:
                await self._wait(tasks, self._news, HEARD_EVERY_S)
                # Changes so soon behind each other are told as one: a rollout changes many objects.
                await asyncio.sleep(_GATHER_S)
                self._news.clear()
                yield
        except ProviderError as error:
            self._failed(error)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(
        self, tasks: set[asyncio.Task[None]], event: asyncio.Event, limit_s: float | None
    ) -> None:
        """None of *tasks* ends but by a failure, which is raised."""
        waiting = asyncio.create_task(event.wait())
        try:
            done, _ = await asyncio.wait(
                {waiting, *tasks}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()
        for task in tasks & done:
            task.result()

    async def _list(self, one: _Collection) -> None:
        listed = await self._api.listed(one.path)
        self.picture.replace(one.what, listed.items)
        one.version = listed.version
        self.is_sure = False
        self._news.set()

    async def _watch(self, one: _Collection) -> None:
        clock = asyncio.get_running_loop().time
        is_listed_anew = False
        while True:
            began, heard = clock(), False
            try:
                watch_s = self._watch_s()
                events = self._api.watched(one.path, one.version, watch_s, one.opened)
                async with aclosing(events):
                    async for event in events:
                        self._take(one, event)
                        heard, is_listed_anew = True, False
            except GoneError:
                if is_listed_anew:
                    raise
                await self._list(one)
                is_listed_anew = True
                continue
            if not heard and clock() - began < _SHORT_S:
                message = f"{self._api.tried}: GET {one.path}: the watch ended at once"
                raise LostError(message)

    def _take(self, one: _Collection, event: Event) -> None:
        self.is_sure = self.is_sure or self.picture.has_services
        if event.kind == "DELETED":
            self.picture.drop(one.what, event.plain)
        elif event.kind in ("ADDED", "MODIFIED"):
            self.picture.put(one.what, event.plain)
        one.version = version_of(event.plain) or one.version
        if event.kind != "BOOKMARK":
            self._news.set()

    async def _pings(self) -> None:
        while True:
            await asyncio.sleep(self._ping_every_s)
            await self._api.ping()

    def _failed(self, error: ProviderError) -> None:
        """After a lost connection the watches go on, unless they are told that they cannot."""
        if isinstance(error, LostError):
            for one in self._collections:
                one.version = ""
        if isinstance(error, RefusedError) and error.status == _TOO_MANY:
            pause_s = min(error.after_s, _AFTER_MOST_S)
            self._not_before = asyncio.get_running_loop().time() + pause_s
