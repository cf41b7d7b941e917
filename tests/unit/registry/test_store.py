"""Tables over cells that are too small for them, and beside others who write."""

from __future__ import annotations

import pytest

from lbctl.errors import ProviderError, ProviderReplyError
from lbctl.registry.book import Table, applied, to_bytes
from lbctl.registry.store import CellStore
from tests.fakes.memory_cells import MemoryCells
from tests.loops import in_a_loop
from tests.registries import candidate, payload, plain


def table(count: int, name: str = "app") -> Table:
    """So many containers."""
    ips = {f"container{at}": f"10.0.{at // 250}.{at % 250 + 1}:80" for at in range(count)}
    return applied({}, payload(plain([], candidate(name, **ips)))).table


SMALL = 200


@pytest.mark.parametrize("count", [1, 3, 4, 5, 100])
@in_a_loop
async def test_a_table_is_read_as_it_was_written_however_many_cells_it_takes(count: int) -> None:
    cells = MemoryCells(SMALL)

    assert await CellStore(cells).write("t", table(count), 0)
    assert (await CellStore(cells).read("t")).table == table(count)
    assert (len(cells.cells) > 1) == (len(to_bytes(table(count))) > SMALL)


@in_a_loop
async def test_parts_that_no_table_names_any_more_are_gone_after_the_next_write() -> None:
    cells = MemoryCells(SMALL)
    store = CellStore(cells)
    await store.write("t", table(50), 0)
    before = set(await cells.names("parts"))
    await store.write("t", table(60), (await store.read("t")).version)
    after = set(await cells.names("parts"))

    assert before
    assert after
    assert not before & after
    assert (await store.read("t")).table == table(60)


@in_a_loop
async def test_who_loses_takes_its_own_parts_along_and_those_of_the_winner_stay() -> None:
    cells = MemoryCells(SMALL)
    store, other = CellStore(cells), CellStore(cells)

    def somebody_is_faster() -> None:
        cells.before_put = None
        for name, part in other_parts.items():
            cells.cells["parts", name] = part
        cells.set("tables", "t", head)

    await other.write("t", table(40), 0)
    head = cells.cells.pop(("tables", "t")).value
    other_parts = {name: cell for (_, name), cell in cells.cells.items()}
    cells.cells.clear()
    cells.before_put = somebody_is_faster

    assert not await store.write("t", table(50), 0)
    assert (await store.read("t")).table == table(40)
    assert set(await cells.names("parts")) == set(other_parts)


@in_a_loop
async def test_parts_of_another_table_are_left_alone() -> None:
    cells = MemoryCells(SMALL)
    store = CellStore(cells)
    await store.write("t", table(50), 0)
    await store.write("t2", table(50, "other"), 0)
    await store.write("t", table(51), (await store.read("t")).version)

    assert (await store.read("t2")).table == table(50, "other")


@in_a_loop
async def test_what_a_dead_writer_left_behind_is_gone_after_the_next_write() -> None:
    cells = MemoryCells(SMALL)
    store = CellStore(cells)
    await store.write("t", table(1), 0)
    version = (await store.read("t")).version
    cells.set("parts", f"t/{version}-dead/00000", b"half of it")
    await store.write("t", table(50), version)

    assert not [name for name in await cells.names("parts") if "dead" in name]


@in_a_loop
async def test_a_table_whose_part_is_gone_is_not_taken_for_a_shorter_one() -> None:
    cells = MemoryCells(SMALL)
    await CellStore(cells).write("t", table(50), 0)
    await cells.delete("parts", (await cells.names("parts"))[3])

    with pytest.raises(ProviderReplyError, match=r"memory: table t: parts of it are missing"):
        await CellStore(cells).read("t")


@pytest.mark.parametrize("content", [b"", b"garbage", b'{"parts":"x"}', b'{"parts":', b"{}"])
@in_a_loop
async def test_a_cell_that_is_not_ours_is_an_error_and_not_an_empty_table(content: bytes) -> None:
    cells = MemoryCells()
    cells.set("tables", "t", content)

    with pytest.raises(ProviderReplyError, match=r"memory: table t: .*; it stays as it is"):
        await CellStore(cells).read("t")


@in_a_loop
async def test_a_table_that_has_not_changed_is_not_read_in_parts_again() -> None:
    cells = MemoryCells(SMALL)
    store = CellStore(cells)
    await store.write("t", table(100), 0)
    first = await store.read("t")
    asked = cells.asked

    assert await store.read("t") is first
    assert cells.asked == asked + 1


@in_a_loop
async def test_a_write_counts_though_what_it_left_behind_cannot_be_removed() -> None:
    cells = MemoryCells(SMALL)
    store = CellStore(cells)
    await store.write("t", table(50), 0)
    version = (await store.read("t")).version

    def fails_from_now_on() -> None:
        cells.failure = ProviderError("gone")

    cells.before_put = fails_from_now_on

    assert await store.write("t", table(51), version)
