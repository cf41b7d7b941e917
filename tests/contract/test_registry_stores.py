"""What every store of the registry holds to: SQLite, a real Consul, moto's DynamoDB, the fake."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lbctl.discovery.http import Client
from lbctl.registry.answer import answered
from lbctl.registry.book import Container, Registered, Table
from lbctl.registry.consul import ConsulCells
from lbctl.registry.dynamodb import DynamoCells
from lbctl.registry.keep import keep
from lbctl.registry.registry import Registry
from lbctl.registry.sqlite import SqliteCells
from lbctl.registry.store import Cells, CellStore, Store, Stored
from lbctl.settings.discovery import Registry as Settings
from tests.consuls import consul
from tests.fakes.memory_cells import MemoryCells
from tests.loops import in_a_loop
from tests.registries import ARTICLE, body, candidate, dynamodb, payload, plain

pytestmark = pytest.mark.contract

Opener = Callable[[], Store]
_numbers = itertools.count()


@pytest.fixture(scope="module", name="places")
def _places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URLs of a Consul and of a DynamoDB."""
    root = tmp_path_factory.mktemp("stores")
    with consul(root / "consul") as agent, dynamodb(root) as url:
        yield agent.url, url


@pytest.fixture(name="opened", params=["memory", "sqlite", "consul", "dynamodb"])
def _opened(
    request: pytest.FixtureRequest, tmp_path: Path, places: tuple[str, str]
) -> Callable[[], CellStore]:
    """Opens the same store again and again, as another program on another host would."""
    number = next(_numbers)
    memory = MemoryCells()

    def cells() -> Cells:
        match request.param:
            case "sqlite":
                return SqliteCells(tmp_path / "registry.sqlite")
            case "consul":
                return ConsulCells(Client("consul", places[0]), f"lbctl/registry{number}")
            case "dynamodb":
                return DynamoCells(f"lbctl-{number}", "eu-west-1", places[1])
        return memory

    return lambda: CellStore(cells())


def table(count: int = 1, name: str = "app") -> Table:
    containers = {
        f"{at:064x}": Container(
            f"{at:064x}", f"10.{at // 62500}.{at // 250 % 250}.{at % 250 + 1}:80"
        )
        for at in range(count)
    }
    return {name: Registered(name, "host", "a.example.com", "SID", containers)}


async def known(store: Store) -> dict[str, Table]:
    return {name: (await store.read(name)).table for name in await store.tables()}


@in_a_loop
async def test_a_table_that_nobody_wrote_is_empty(opened: Opener) -> None:
    store = opened()

    assert await store.read("astro") == Stored({}, 0)
    assert await store.tables() == ()
    await store.close()


@in_a_loop
async def test_what_was_written_is_there_for_others(opened: Opener) -> None:
    one, other = opened(), opened()

    assert await one.write("astro", table(), 0)
    assert await one.write("b.c-d_e", table(2), 0)
    assert await known(other) == {"astro": table(), "b.c-d_e": table(2)}
    await one.close()
    await other.close()


@in_a_loop
async def test_names_of_any_language_come_back_as_they_were(opened: Opener) -> None:
    store = opened()
    names = ("höf/v1", "例え \U0001f600", "a\"b'c\\d", "{}[],:", " ")
    found = {name: one for name in names for one in table(1, name).values()}

    assert await store.write("astro", found, 0)
    assert (await store.read("astro")).table == found
    await store.close()


@in_a_loop
async def test_only_the_one_who_read_the_newest_may_write(opened: Opener) -> None:
    one, other = opened(), opened()
    await one.write("astro", table(1), 0)
    first = await other.read("astro")

    assert not await one.write("astro", table(9), 0)
    assert await one.write("astro", table(2), first.version)
    assert not await other.write("astro", table(9), first.version)
    assert (await other.read("astro")).table == table(2)
    assert (await other.read("astro")).version > first.version
    await one.close()
    await other.close()


@pytest.mark.parametrize("version", [1, 7, 2**40])
@in_a_loop
async def test_a_version_that_never_was_writes_nothing(opened: Opener, version: int) -> None:
    store = opened()

    assert not await store.write("astro", table(), version)
    assert await store.tables() == ()
    await store.close()


@in_a_loop
async def test_twenty_thousand_containers_are_kept_grow_and_go(opened: Opener) -> None:
    store, other = opened(), opened()
    for count in (20_000, 20_001, 1):
        before = await store.read("astro")

        assert await store.write("astro", table(count), before.version)
        assert (await other.read("astro")).table == table(count)
    await store.close()
    await other.close()


@in_a_loop
async def test_a_table_without_services_is_kept_as_one(opened: Opener) -> None:
    store = opened()
    await store.write("astro", table(), 0)

    assert await store.write("astro", {}, (await store.read("astro")).version)
    found = await store.read("astro")
    assert (found.table, found.version > 0) == ({}, True)
    await store.close()


@in_a_loop
async def test_eight_writers_at_once_lose_nothing(opened: Opener) -> None:
    """Each of 8 writers tells of 5 containers, one after the other; none waits for another."""
    stores = [opened() for _ in range(8)]

    async def write(number: int) -> None:
        for at in range(5):
            one = candidate(f"s{at}", **{f"w{number}": f"10.0.{number}.{at + 1}"})
            running = [
                {"serviceName": f"s{old}", "id": f"w{number}", "ip": f"10.0.{number}.{old + 1}"}
                for old in range(at)
            ]
            await keep(stores[number], payload(plain(running, one, host=f"h{number}")))

    await asyncio.gather(*(write(number) for number in range(8)))
    found = (await stores[0].read("t")).table
    await asyncio.gather(*(store.close() for store in stores))

    assert {name: set(one.containers) for name, one in found.items()} == {
        f"s{at}": {f"w{number}" for number in range(8)} for at in range(5)
    }


@in_a_loop
async def test_a_consul_that_was_killed_is_told_and_used_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    with consul(tmp_path / "consul", is_lasting=True) as agent:
        cells = ConsulCells(Client("consul", agent.url), "lbctl/registry")
        registry = Registry(CellStore(cells), Settings())
        first = await answered(registry, body(ARTICLE))
        agent.kill()
        gone = await answered(registry, body(plain(table="astro")))
        agent.start()
        back = await registry.fetch()
        await registry.close()

    assert (first.status, gone.status) == (200, 503)
    assert gone.plain["error"] == f"consul {agent.url}: Connection refused"
    assert [one.name for one in back.services] == ["app1", "app2"]
