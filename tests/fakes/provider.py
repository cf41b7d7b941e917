"""A source of services under the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace

from lbctl.discovery.base import HEARD_EVERY_S
from lbctl.errors import ProviderTimeout
from lbctl.model.service import Server, Service, Snapshot


class FakeProvider:
    """
    Says what it is told to, by the loop's clock.

    Attributes:
        watches: how often it was asked to.
        facts: what it knows of itself.
        is_closed: by whoever used it.
    """

    def __init__(self, name: str = "consul", *services: Service) -> None:
        self.name = name
        self.target = "http://10.0.0.5:8500"
        self.watches = 0
        self.facts: dict[str, int] = {}
        self.is_closed = False
        self._said = Snapshot(name, services, 0.0)
        self._fault: BaseException | str | None = None
        self._news = asyncio.Event()

    def say(
        self, *services: Service, problems: tuple[str, ...] = (), is_sure: bool = False
    ) -> None:
        """These, from now on; all is well with it."""
        self._said = Snapshot(self.name, services, 0.0, problems, is_sure=is_sure)
        self._fault = None
        self._news.set()

    def fail(self, fault: BaseException | str = "no answer") -> None:
        """An error to be raised; ``no answer``; ``ends``: without a word; ``hangs``."""
        self._fault = fault
        self._news.set()

    async def fetch(self) -> Snapshot:
        return replace(self._said, at=asyncio.get_running_loop().time())

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        self.watches += 1
        while True:
            self._news.clear()
            if self._fault == "ends":
                return
            if self._fault == "hangs":
                await asyncio.Event().wait()
            if isinstance(self._fault, BaseException):
                raise self._fault
            if self._fault is not None:
                message = f"{self.name} {self.target}: no answer in 5.0 s"
                raise ProviderTimeout(message)
            yield await self.fetch()
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARD_EVERY_S):
                    await self._news.wait()

    async def close(self) -> None:
        self.is_closed = True


def service(name: str = "hello/v1", *addresses: str) -> Service:
    """One with these servers."""
    servers = addresses or ("10.0.0.1:80",)
    return Service(name=name, servers=tuple(Server(address=one) for one in servers))
