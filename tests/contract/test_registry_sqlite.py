"""The registry's file: killed, damaged, moved away, locked, on a full disk."""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lbctl.errors import ProviderError, ProviderReplyError, ProviderTimeout
from lbctl.registry import sqlite
from lbctl.registry.book import Container, Registered, Table, count
from lbctl.registry.registry import Registry
from lbctl.registry.sqlite import SqliteCells
from lbctl.registry.store import CellStore
from lbctl.settings.discovery import Registry as Settings
from tests.loops import in_a_loop
from tests.registries import ARTICLE, body

pytestmark = pytest.mark.contract

WRITES = 1000

#: Tells of one container after the other, each of a host of its own, and says which was answered.
WRITER = """
import asyncio, sys
from pathlib import Path
from lbctl.registry.registry import Registry
from lbctl.registry.sqlite import SqliteCells
from lbctl.registry.store import CellStore
from lbctl.settings.discovery import Registry as Settings
from tests.registries import body, candidate, plain

async def write(path, first):
    registry = Registry(CellStore(SqliteCells(Path(path))), Settings())
    for number in range(int(first), 10_000):
        one = candidate(f"s{number % 7}", **{f"c{number}": "10.0.0.1"})
        await registry.post(body(plain([], one, table=f"t{number % 50}", host=f"h{number}")))
        print(number, flush=True)

asyncio.run(write(*sys.argv[1:]))
"""


def written_until_killed(path: Path, first: int, lines: int, wait_s: float) -> int:
    """The number after the last one that was answered; killed *wait_s* after *lines* answers."""
    argv = [sys.executable, "-c", WRITER, str(path), str(first)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(lines):
            first = int(process.stdout.readline()) + 1
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
        # What was answered while the signal was under way counts as well.
        for line in process.stdout:
            first = int(line) + 1
    return first


def test_a_thousand_answered_writes_survive_kill_9_at_any_moment(tmp_path: Path) -> None:
    draw = random.Random(1)
    path = tmp_path / "registry.sqlite"
    answered, kills = 0, 0
    while answered < WRITES:
        lines = draw.randint(50, 130)
        answered = written_until_killed(path, answered, lines, draw.uniform(0, 0.01))
        kills += 1

    assert kills >= 8
    assert set(range(answered)) <= numbers(path)


def numbers(path: Path) -> set[int]:
    async def found() -> set[int]:
        store = CellStore(SqliteCells(path))
        tables = [(await store.read(name)).table for name in await store.tables()]
        await store.close()
        services = [one for table in tables for one in table.values()]
        return {int(name[1:]) for one in services for name in one.containers}

    return asyncio.run(found())


def table(size: int = 1) -> Table:
    containers = {f"c{at}": Container(f"c{at}", "10.0.0.1:80") for at in range(size)}
    return {"a": Registered("a", "host", "a.example.com", None, containers)}


@in_a_loop
async def test_a_file_of_nobody_else_s_business_is_made_by_the_first_write(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    store = CellStore(SqliteCells(path))
    await store.tables()
    await store.read("t")

    assert not path.exists()
    await store.write("t", table(), 0)
    assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}
    await store.close()


@in_a_loop
async def test_after_an_orderly_end_one_file_is_all_of_it(tmp_path: Path) -> None:
    store = CellStore(SqliteCells(tmp_path / "registry.sqlite"))
    await store.write("t", table(), 0)
    await store.close()

    assert [one.name for one in tmp_path.iterdir()] == ["registry.sqlite"]


@pytest.mark.parametrize("damage", ["garbage", "cut off", "overwritten inside"])
@in_a_loop
async def test_a_damaged_file_is_told_left_as_it_is_and_usable_when_it_is_mended(
    damage: str, tmp_path: Path
) -> None:
    path, copy = tmp_path / "registry.sqlite", tmp_path / "copy"
    store = CellStore(SqliteCells(path))
    await store.write("t", table(2000), 0)
    await store.close()
    shutil.copy(path, copy)
    content = bytearray(path.read_bytes())
    if damage == "garbage":
        content[:] = b"it was me" * 1000
    elif damage == "cut off":
        del content[len(content) // 2 :]
    else:
        content[4096:] = b"\xff" * len(content[4096:])
    path.write_bytes(content)
    registry = Registry(CellStore(SqliteCells(path)), Settings())

    with pytest.raises(ProviderReplyError, match=r"registry.sqlite: it is damaged .*put a copy"):
        await registry.fetch()
    with pytest.raises(ProviderReplyError, match=r"it is damaged"):
        await registry.post(body(ARTICLE))
    assert path.read_bytes() == content
    shutil.copy(copy, path)
    found = await registry.fetch()
    assert len(found.services[0].servers) == 2000
    await registry.close()


@in_a_loop
async def test_a_file_that_was_moved_away_is_not_written_where_nobody_looks(
    tmp_path: Path,
) -> None:
    path = tmp_path / "registry.sqlite"
    store = CellStore(SqliteCells(path))
    await store.write("t", table(), 0)
    for name in ("registry.sqlite", "registry.sqlite-wal"):
        (tmp_path / name).rename(tmp_path / f"old-{name}")

    assert await store.tables() == ()
    assert await store.write("t", table(3), 0)
    other = CellStore(SqliteCells(path))
    assert count((await other.read("t")).table) == 3
    await store.close()
    await other.close()


@in_a_loop
async def test_a_file_that_another_program_holds_is_told_and_then_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_S", 0.05)
    path = tmp_path / "registry.sqlite"
    store = CellStore(SqliteCells(path))
    await store.write("t", table(), 0)
    version = (await store.read("t")).version
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ProviderTimeout, match=r"another program holds it"):
            await store.write("t", table(2), version)
        other.execute("ROLLBACK")

    assert await store.write("t", table(2), version)
    await store.close()


@contextmanager
def short_files(most_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond that: EFBIG, as ENOSPC on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@in_a_loop
async def test_a_disk_that_takes_no_more_leaves_what_was_there(tmp_path: Path) -> None:
    store = CellStore(SqliteCells(tmp_path / "registry.sqlite"))
    await store.write("t", table(), 0)
    version = (await store.read("t")).version
    with (
        short_files(256 << 10),
        pytest.raises(ProviderError, match=r"registry.sqlite: .*; nothing was changed"),
    ):
        await store.write("t", table(20_000), version)

    assert count((await store.read("t")).table) == 1
    assert await store.write("t", table(20_000), version)
    await store.close()


@in_a_loop
async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = CellStore(SqliteCells(tmp_path / "none" / "registry.sqlite"))

    with pytest.raises(ProviderError, match=r"none/registry.sqlite: No such file or directory"):
        await store.write("t", table(), 0)
    await store.close()
