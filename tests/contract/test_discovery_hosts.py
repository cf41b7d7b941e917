"""The provider ``hosts`` on real files, written in every way that files are."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median

import pytest

from lbctl.discovery.hosts import FILE_MAX_BYTES, SETTLE_HALF_S, SETTLE_S, HostsProvider
from lbctl.errors import ProviderError
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import Hosts
from tests.loops import in_a_loop

pytestmark = pytest.mark.contract

BEFORE = "172.16.0.3 appsrv1\n172.16.0.9 other\n"
AFTER = "172.16.0.5 appsrv1\n172.16.0.9 other\n"
#: From the write to the names; to reach by 40 ms, and this machine may be busy.
WITHIN_S = 2.0
MEDIAN_S = 0.04


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "hosts"
    path.parent.mkdir()
    path.write_text(BEFORE)
    return path


class Told:
    """What a provider says while a test does something else: it is always listened to."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[Snapshot] = asyncio.Queue()

    async def listen(self, provider: HostsProvider) -> None:
        async with aclosing(provider.watch()) as snapshots:
            async for snapshot in snapshots:
                self._told.put_nowait(snapshot)

    async def next(self) -> Snapshot:
        return await asyncio.wait_for(self._told.get(), WITHIN_S)

    def is_empty(self) -> bool:
        return self._told.empty()


@asynccontextmanager
async def watching(path: Path) -> AsyncGenerator[Told, None]:
    """Yields what is told after the first snapshot."""
    told = Told()
    listening = asyncio.ensure_future(told.listen(HostsProvider(Hosts(path=str(path)))))
    try:
        await told.next()
        yield told
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def renamed(path: Path, text: str) -> None:
    new = path.with_name("hosts.new")
    new.write_text(text)
    new.replace(path)


def removed_and_made(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def appended_line_by_line(path: Path, text: str) -> None:
    """As a slow writer does: cut off, then a part at a time, never closed between."""
    with path.open("w") as stream:
        for part in (text[:10], text[10:]):
            stream.write(part)
            stream.flush()


WRITERS = (in_place, renamed, removed_and_made, appended_line_by_line)


@pytest.mark.parametrize("write", WRITERS)
@in_a_loop
async def test_a_changed_address_is_told_however_it_is_written(
    path: Path, write: Callable[[Path, str], None]
) -> None:
    async with watching(path) as told:
        took: list[float] = []
        for number in range(9):
            text = AFTER if number % 2 == 0 else BEFORE
            began = time.monotonic()
            write(path, text)
            snapshot = await told.next()
            took.append(time.monotonic() - began)
            expected = "172.16.0.5" if text == AFTER else "172.16.0.3"
            assert snapshot.names == {"appsrv1": (expected,), "other": ("172.16.0.9",)}

    assert median(took) <= MEDIAN_S, took


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """*target* is *source*, as an engine mounts a container's /etc/hosts."""
    target.touch()
    subprocess.run(["mount", "--bind", source, target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)


@in_a_loop
async def test_a_bind_mount_that_is_rewritten_outside_is_told(path: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    with bound(path, mounted):
        async with watching(mounted) as told:
            path.write_text(AFTER)
            snapshot = await told.next()

    assert snapshot.names["appsrv1"] == ("172.16.0.5",)


@in_a_loop
async def test_a_link_that_leads_elsewhere_is_told(path: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link", tmp_path / "other"
    other.write_text(AFTER)
    link.symlink_to(path)
    async with watching(link) as told:
        new = tmp_path / "link.new"
        new.symlink_to(other)
        new.replace(link)
        first = await told.next()
        other.write_text(BEFORE)
        second = await told.next()

    assert first.names["appsrv1"] == ("172.16.0.5",)
    assert second.names["appsrv1"] == ("172.16.0.3",)


@in_a_loop
async def test_half_a_file_changes_what_it_says_and_takes_nothing_away(path: Path) -> None:
    async with watching(path) as told:
        path.write_text("172.16.0.5 appsrv1\n172.16.")
        half = await told.next()
        path.write_text("")
        empty = await told.next()
        path.write_text("172.16.0.5 appsrv1\n")
        whole = await told.next()

    assert half.names == {"appsrv1": ("172.16.0.5",), "other": ("172.16.0.9",)}
    assert any("1 names missing are kept" in one for one in half.problems)
    assert empty.names == half.names
    assert whole.names == {"appsrv1": ("172.16.0.5",)}


@in_a_loop
async def test_half_a_file_is_waited_for(path: Path) -> None:
    async with watching(path) as told:
        with path.open("w") as stream:
            stream.write("172.16.0.5 apps")
            stream.flush()
            await asyncio.sleep(SETTLE_HALF_S / 4)
            is_quiet = told.is_empty()
            stream.write("rv1\n")
        snapshot = await told.next()

    assert is_quiet
    assert snapshot.names == {"appsrv1": ("172.16.0.5",)}


@in_a_loop
async def test_a_file_that_is_gone_is_said_and_told_when_it_is_back(path: Path) -> None:
    provider = HostsProvider(Hosts(path=str(path)))
    async with aclosing(provider.watch()) as snapshots:
        await anext(snapshots)
        path.unlink()
        with pytest.raises(ProviderError) as raised:
            await anext(snapshots)
    async with aclosing(provider.watch()) as snapshots:
        waiting = asyncio.ensure_future(anext(snapshots))
        await asyncio.sleep(0.1)
        is_waiting = not waiting.done()
        began = time.monotonic()
        path.write_text(AFTER)
        snapshot = await asyncio.wait_for(waiting, WITHIN_S)
        took = time.monotonic() - began

    assert str(raised.value) == f"hosts {path}: No such file or directory"
    assert is_waiting
    assert snapshot.names["appsrv1"] == ("172.16.0.5",)
    assert took < 0.5


@pytest.mark.parametrize("spoil", ["too long", "a directory", "a FIFO"])
@in_a_loop
async def test_what_cannot_be_read_is_an_error_with_its_reason(path: Path, spoil: str) -> None:
    provider = HostsProvider(Hosts(path=str(path)))
    path.unlink()
    if spoil == "too long":
        path.write_bytes(b"10.0.0.1 a\n" * (FILE_MAX_BYTES // 11 + 1))
    elif spoil == "a directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(ProviderError) as raised:
        await provider.fetch()

    assert str(raised.value).startswith(f"hosts {path}: ")
    assert "No such file" not in str(raised.value)


@in_a_loop
async def test_other_files_in_its_directory_are_nobodys_news(path: Path) -> None:
    async with watching(path) as told:
        for number in range(3):
            renamed(path.parent / f"other{number}", "x\n")
            # Longer than it takes to tell of one's own.
            await asyncio.sleep(5 * SETTLE_S)
        is_quiet = told.is_empty()
        path.write_text(AFTER)
        await told.next()

    assert is_quiet
