"""A directory of certificates, watched while it changes in all the ways it does."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lbctl.follow.certwatch import SETTLE_AT_MOST_S, look, watch
from tests.loops import in_a_loop, until

ROOT = Path(__file__).parents[3]
NOBODY = 65534


@asynccontextmanager
async def watched(
    directory: Path, sight: Callable[[str], None] = lambda _: None, settle_s: float = 0.01
) -> AsyncIterator[list[bool]]:
    """A list that grows with each change, from the first look on."""
    seen: list[bool] = []
    begins = asyncio.Event()

    async def count() -> None:
        # Its first pause comes after its first look: nobody else runs in between.
        begins.set()
        async for _ in watch(directory, sight, every_s=0.01, settle_s=settle_s):
            seen.append(True)  # noqa: PERF401  (one by one, as they come)

    task = asyncio.create_task(count())
    await begins.wait()
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def replace(path: Path, text: str) -> None:
    new = path.with_name(".new")
    new.write_text(text)
    new.replace(path)


def in_place(certs: Path) -> None:
    (certs / "a.pem").write_text("a2")


def renamed(certs: Path) -> None:
    replace(certs / "a.pem", "a2")


def removed(certs: Path) -> None:
    (certs / "a.pem").unlink()


def added(certs: Path) -> None:
    (certs / "b.pem").write_text("b1")


def data_link_turned(certs: Path) -> None:
    """As the kubelet does: the files are links through ``..data``."""
    (certs / "..second").mkdir()
    (certs / "..second" / "k.pem").write_text("k1")
    (certs / "..new").symlink_to("..second")
    (certs / "..new").replace(certs / "..data")


def target_elsewhere_written(certs: Path) -> None:
    (certs.parent / "archive" / "c.pem").write_text("c2")


def link_turned(certs: Path) -> None:
    """As certbot does: ``live`` points to the next file of ``archive``."""
    (certs.parent / "archive" / "c2.pem").write_text("c1")
    (certs / "c.pem").unlink()
    (certs / "c.pem").symlink_to(certs.parent / "archive" / "c2.pem")


def target_gone(certs: Path) -> None:
    (certs.parent / "archive" / "c.pem").unlink()


def directory_gone(certs: Path) -> None:
    certs.rename(certs.with_name("gone"))


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    directory = tmp_path / "certs"
    (directory / "..first").mkdir(parents=True)
    (directory / "..first" / "k.pem").write_text("k1")
    (directory / "..data").symlink_to("..first")
    (directory / "k.pem").symlink_to("..data/k.pem")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "c.pem").write_text("c1")
    (directory / "c.pem").symlink_to(tmp_path / "archive" / "c.pem")
    (directory / "a.pem").write_text("a1")
    (directory / "notes.txt").write_text("n1")
    return directory


CHANGES = [
    in_place,
    renamed,
    removed,
    added,
    data_link_turned,
    target_elsewhere_written,
    link_turned,
    target_gone,
    directory_gone,
]


@pytest.mark.parametrize("change", CHANGES)
@in_a_loop
async def test_every_way_to_change_a_certificate_is_seen(
    certs: Path, change: Callable[[Path], None]
) -> None:
    async with watched(certs) as seen:
        change(certs)
        await until(lambda: seen, "the change is seen", within_s=1)

    assert seen


@in_a_loop
async def test_a_directory_that_comes_later_is_seen(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    async with watched(directory) as seen:
        directory.mkdir()
        (directory / "a.pem").write_text("a")
        await until(lambda: seen, "the change is seen", within_s=1)

    assert seen


def test_what_is_no_certificate_does_not_count(certs: Path) -> None:
    before = look(certs)

    (certs / "notes.txt").write_text("n2")
    (certs / ".a.pem.tmp").write_text("half")

    assert look(certs) == before


@in_a_loop
async def test_a_file_that_is_still_being_written_is_told_of_once_it_is_whole(certs: Path) -> None:
    async with watched(certs, settle_s=0.1) as seen:
        with (certs / "a.pem").open("w") as stream:
            for _ in range(20):
                stream.write("x" * 100)
                stream.flush()
                await asyncio.sleep(0.01)
                early = list(seen)
        await until(lambda: seen, "the change is seen", within_s=1)

    assert early == []
    assert seen == [True]


@in_a_loop
async def test_somebody_who_never_stops_writing_does_not_hide_the_rest(certs: Path) -> None:
    async with watched(certs, settle_s=0.02) as seen:

        async def scribble() -> None:
            while True:
                with (certs / "a.pem").open("a") as stream:
                    stream.write("x")
                await asyncio.sleep(0.001)

        writer = asyncio.create_task(scribble())
        try:
            await until(lambda: seen, "told anyway", within_s=SETTLE_AT_MOST_S + 1)
        finally:
            writer.cancel()

    assert seen


@in_a_loop
async def test_what_cannot_be_seen_is_told_once_and_so_is_that_it_can_again(certs: Path) -> None:
    told: list[str] = []
    aside = certs.with_name("aside")
    certs.rename(aside)
    certs.write_text("no directory")
    async with watched(certs, told.append):
        await until(lambda: told, "blindness is told")
        certs.unlink()
        aside.rename(certs)
        await until(lambda: len(told) == 2, "sight is told")

    assert "Not a directory" in told[0]
    assert "lbctl reload" in told[0]
    assert told[1] == ""


def as_nobody(directory: Path) -> str:
    """What a user without rights sees; files replaced by a rename show in the directory's times."""
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from lbctl.follow.certwatch import look
print(look(Path({str(directory)!r})))
"""
    user = NOBODY if os.geteuid() == 0 else None
    argv = [sys.executable, "-I", "-c", code]
    done = subprocess.run(argv, user=user, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout


def test_a_closed_directory_still_shows_a_rename_and_says_what_is_not_seen() -> None:
    closed = 0o700 if os.geteuid() == 0 else 0
    with TemporaryDirectory(prefix="lbctl-watch-") as root:
        Path(root).chmod(0o755)
        certs = Path(root, "certs")
        certs.mkdir()
        (certs / "a.pem").write_text("a1")
        certs.chmod(closed)
        before, again = as_nobody(certs), as_nobody(certs)
        certs.chmod(0o700)
        renamed(certs)
        certs.chmod(closed)
        after = as_nobody(certs)
        certs.chmod(0o700)

    assert "Permission denied: files written in place are not seen" in before
    assert before == again != after
