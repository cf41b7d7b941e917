"""The program that scrapes: run once for all who ask, and never for longer than its time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from lbctl.api.scraper import TEXTS_MOST, Scraper, Scrapes, Text
from tests.loops import in_a_loop, until


def scraper(root: Path, script: str) -> Scraper:
    """Runs *script*, whose ``$0`` is *root*."""
    return Scraper(root, ("sh", "-c", script))


def whole(text: Text | None) -> bytes:
    assert text is not None
    return b"".join(text.chunks())


@in_a_loop
async def _is_whole(root: Path) -> None:
    found = scraper(root, 'head -c 300000 /dev/zero; echo end; echo "one is silent" >&2')
    text = await found.take()

    assert whole(text) == b"\0" * 300_000 + b"end\n"
    assert text is not None
    assert text.size == 300_004
    assert found.scrapes.failures == 0
    assert found.scrapes.took_s > 0
    assert found.scrapes.trouble == "one is silent"


def test_all_that_it_writes_is_told_and_what_it_says_is_kept(tmp_path: Path) -> None:
    _is_whole(tmp_path)


@in_a_loop
async def _is_shared(root: Path) -> None:
    found = scraper(root, 'echo run >> "$0/runs"; cat "$0/go"')
    os.mkfifo(root / "go")
    asking = [asyncio.create_task(found.take()) for _ in range(5)]
    await until((root / "runs").exists, "it runs")
    asking[0].cancel()
    await asyncio.to_thread((root / "go").write_text, "text")
    texts = await asyncio.gather(*asking[1:])

    assert {whole(text) for text in texts} == {b"text"}
    assert (root / "runs").read_text() == "run\n"


def test_who_asks_meanwhile_gets_the_same_though_the_first_goes_away(tmp_path: Path) -> None:
    _is_shared(tmp_path)


@in_a_loop
async def _is_asked_anew(root: Path) -> None:
    found = scraper(root, 'echo run >> "$0/runs"; cat "$0/runs"')

    assert whole(await found.take()) == b"run\n"
    assert whole(await found.take()) == b"run\nrun\n"


def test_who_asks_later_is_told_what_is_so_then(tmp_path: Path) -> None:
    _is_asked_anew(tmp_path)


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("echo half; echo why >&2; exit 3", "why"),
        ("echo half; kill -9 $$", "ended by signal 9"),
        ("exit 3", "exit 3 without a word"),
        ("exec sleep 60", "not done within 0.2 s, and ended"),
    ],
)
def test_half_a_text_is_none_and_the_next_try_counts_again(
    tmp_path: Path, script: str, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbctl.api.scraper.LIMIT_S", 0.2)

    async def use() -> tuple[list[Text | None], Scrapes]:
        found = scraper(tmp_path, script)
        return [await found.take(), await found.take()], found.scrapes

    texts, scrapes = asyncio.run(use())

    assert texts == [None, None]
    assert scrapes.failures == 2
    assert scrapes.trouble == trouble


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    async def use() -> tuple[object, str]:
        found = Scraper(tmp_path, ("/nowhere/scrape",))
        return await found.take(), found.scrapes.trouble

    text, trouble = asyncio.run(use())

    assert text is None
    assert "No such file" in trouble


@in_a_loop
async def _is_crowded(root: Path) -> None:
    found = scraper(root, "echo text")
    held = [await found.take() for _ in range(TEXTS_MOST)]

    assert found.is_crowded
    held.clear()
    await until(lambda: not found.is_crowded, "they are gone")


def test_a_text_is_kept_as_long_as_somebody_reads_it(tmp_path: Path) -> None:
    _is_crowded(tmp_path)


@in_a_loop
async def _is_ended(root: Path) -> None:
    found = scraper(root, 'echo $$ > "$0/pid.new"; mv "$0/pid.new" "$0/pid"; exec sleep 60')
    asking = asyncio.create_task(found.take())
    await until((root / "pid").exists, "it runs")
    await found.close()

    assert not Path("/proc", (root / "pid").read_text().strip()).exists()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_it_ends_with_the_agent(tmp_path: Path) -> None:
    _is_ended(tmp_path)
