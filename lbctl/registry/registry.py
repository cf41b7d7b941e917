"""
The registry: what was told by payloads, over a store, as a source of services.

It is a Provider (:mod:`lbctl.discovery.base`) named ``registry``, and :meth:`Registry.post` is how
it comes by its news. A payload that was answered is in the store; one that was refused, or whose
store did not answer, has changed nothing that is served, and can be sent again as it is.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lbctl.discovery.base import HEARD_EVERY_S
from lbctl.model.service import Service, Snapshot
from lbctl.registry.book import Registered, Table
from lbctl.registry.judge import NAME, Judge
from lbctl.registry.keep import keep
from lbctl.registry.payload import Running, read_payload
from lbctl.registry.store import Store
from lbctl.settings.discovery import Registry as Settings
from lbctl.settings.keys import name_shown
from lbctl.settings.plain import plain_record


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """
    What came of a payload.

    Attributes:
        services: of its table, as HAProxy is to have them.
        ignored: see :class:`lbctl.registry.book.Applied`.
        problems: services that are left out, and why.
        snapshot: of all tables.
    """

    services: tuple[Service, ...]
    ignored: tuple[Running, ...]
    problems: tuple[str, ...]
    snapshot: Snapshot

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        ignored = [
            {"serviceName": one.service, "id": one.id, "ip": _ip(one)} for one in self.ignored
        ]
        services = [plain_record(one) for one in self.services]
        return {"services": services, "ignored": ignored, "problems": list(self.problems)}


class Registry:
    """
    Args:
        store: where tables are kept; closed with this.
        settings: ``registry`` of lb.yaml.
        wall: seconds since the epoch.
        draw: from 0 to 1.
    """

    name = NAME

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        wall: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._settings = settings
        self._judge = Judge(settings.check)
        self._wall = wall
        self._draw = draw
        self._tables: dict[str, Table] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._posted = asyncio.Event()
        self._made: tuple[list[Table], tuple[Service, ...], tuple[str, ...]] = ([], (), ())

    @property
    def target(self) -> str:
        return self._store.target

    async def post(self, raw: bytes) -> RegistryAnswer:
        """
        Take a payload in.

        Raises:
            PayloadError: it is wrong; nothing was changed.
            ProviderError: the store could not be asked; it is not known whether it was written.
        """
        payload = read_payload(raw)
        async with self._one_at_a_time:
            if self._tables is None:
                self._tables = await self._read()
            done = await keep(self._store, payload, self._draw)
            self._tables = {**self._tables, payload.table: done.table}
            snapshot = self._snapshot(self._tables)
        self._posted.set()
        mine = {service.name for service in _owned(payload.table, self._tables)}
        services = tuple(one for one in snapshot.services if one.name in mine)
        return RegistryAnswer(services, done.ignored, snapshot.problems, snapshot)

    async def fetch(self) -> Snapshot:
        """All tables as the store has them now."""
        async with self._one_at_a_time:
            self._tables = await self._read()
            return self._snapshot(self._tables)

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        """All tables: now, after each payload, and as often as another host may have had one."""
        wait_s = HEARD_EVERY_S
        if self._store.is_shared:
            wait_s = min(wait_s, self._settings.poll_s)
        while True:
            self._posted.clear()
            yield await self.fetch()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._posted.wait()

    async def close(self) -> None:
        await self._store.close()

    async def _read(self) -> dict[str, Table]:
        return {name: (await self._store.read(name)).table for name in await self._store.tables()}

    def _snapshot(self, tables: dict[str, Table]) -> Snapshot:
        ordered = [tables[name] for name in sorted(tables)]
        if not _is_same(ordered, self._made[0]):
            self._made = (ordered, *self._judged(tables))
        _, services, problems = self._made
        return Snapshot(NAME, services, self._wall(), problems)

    def _judged(self, tables: dict[str, Table]) -> tuple[tuple[Service, ...], tuple[str, ...]]:
        registered = [one for name in sorted(tables) for one in _owned(name, tables)]
        services, bad = self._judge.services(registered)
        problems = [
            f"{NAME}: service {name_shown(one)} of table {name} is left out: table {owner} has it"
            for name in sorted(tables)
            for one in sorted(tables[name])
            if (owner := _owner(one, tables)) != name
        ]
        return services, (*problems, *bad)


def _owned(name: str, tables: dict[str, Table]) -> Iterable[Registered]:
    """Services of that table that no table before it has."""
    return (one for one in tables[name].values() if _owner(one.name, tables) == name)


def _owner(service: str, tables: dict[str, Table]) -> str:
    """The first table, by name, that has it: the same on every host."""
    return min(name for name, table in tables.items() if service in table)


def _is_same(ones: list[Table], others: list[Table]) -> bool:
    return len(ones) == len(others) and all(a is b for a, b in zip(ones, others, strict=True))


def _ip(running: Running) -> str:
    return running.host if running.port is None else f"{running.host}:{running.port}"
