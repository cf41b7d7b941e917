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
from typing import Any, Final

from lbctl.discovery.base import HEARD_EVERY_S
from lbctl.model.service import Service, Snapshot
from lbctl.registry.book import NO_TABLE, Registered, Table
from lbctl.registry.judge import NAME, Judge
from lbctl.registry.keep import keep
from lbctl.registry.payload import Running, read_payload
from lbctl.registry.store import Store
from lbctl.settings.discovery import Discovery
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


#: Of tables that are missing: so many are named.
_NAMED: Final = 5


class Registry:
    """
    Args:
        store: where tables are kept; closed with this.
        settings: ``registry`` of lb.yaml.
        empty_s: a table that the store has lost is believed to be gone after so long, seconds.
        wall: seconds since the epoch.
        clock: monotonic, seconds.
        draw: from 0 to 1.
    """

    name = NAME

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        empty_s: float = Discovery().empty_s,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._settings = settings
        self._judge = Judge(settings.check)
        self._empty_s = empty_s
        self._wall, self._clock = wall, clock
        self._draw = draw
        # Tables that the store had, and since when it has them no more.
        self._lost: dict[str, tuple[Table, float]] = {}
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
            lost, at = self._known(payload.table), self._wall()
            done = await keep(self._store, payload, self._draw, lost=lost, at=at)
            self._lost.pop(payload.table, None)
            self._tables = {**self._tables, payload.table: done.table}
            snapshot = self._snapshot()
        self._posted.set()
        mine = {one.name for one in _owned(payload.table, self._tables)}
        services = tuple(one for one in snapshot.services if one.name in mine)
        return RegistryAnswer(services, done.ignored, snapshot.problems, snapshot)

    async def fetch(self) -> Snapshot:
        """All tables as the store has them now."""
        async with self._one_at_a_time:
            self._tables = await self._read()
            return self._snapshot()

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
        """As the store has them; nobody deletes a table: one that is missing was lost."""
        names = await self._store.tables()
        found = {name: (await self._store.read(name)).table for name in names}
        now, before = self._clock(), self._tables or {}
        for name in before.keys() - found.keys():
            self._lost.setdefault(name, (before[name], now))
        self._lost = {
            name: (table, since)
            for name, (table, since) in self._lost.items()
            if name not in found and table and now - since < self._empty_s
        }
        return found

    def _known(self, table: str) -> Table:
        """What it was before the store lost it."""
        if self._tables is not None and table in self._tables:
            return self._tables[table]
        return self._lost[table][0] if table in self._lost else NO_TABLE

    def _snapshot(self) -> Snapshot:
        """A store that has lost everything says so: that is for the hub to doubt."""
        tables = dict(self._tables or {})
        lost = sorted(self._lost) if tables else []
        tables |= {name: self._lost[name][0] for name in lost}
        ordered = [tables[name] for name in sorted(tables)]
        if not _is_same(ordered, self._made[0]):
            self._made = (ordered, *self._judged(tables))
        _, services, problems = self._made
        said = [self._missing(lost)] if lost else []
        return Snapshot(NAME, services, self._wall(), (*said, *problems))

    def _missing(self, lost: list[str]) -> str:
        names = ", ".join(lost[:_NAMED]) + (", ..." if len(lost) > _NAMED else "")
        which = f"{len(lost)} table{'' if len(lost) == 1 else 's'} ({names})"
        what = f"{which} it had, and has no more: they count as they were for {self._empty_s:g} s"
        return f"{NAME}: {self._store.target}: {what}"

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
    """Services of that table that no other table had before it."""
    return (one for one in tables[name].values() if _owner(one.name, tables) == name)


def _owner(service: str, tables: dict[str, Table]) -> str:
    """The table that had it first: the same on every host."""
    having = [name for name, table in tables.items() if service in table]
    return min(having, key=lambda name: (tables[name][service].since, name))


def _is_same(ones: list[Table], others: list[Table]) -> bool:
    return len(ones) == len(others) and all(a is b for a, b in zip(ones, others, strict=True))


def _ip(running: Running) -> str:
    return running.host if running.port is None else f"{running.host}:{running.port}"
