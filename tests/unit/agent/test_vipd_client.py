from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from lbctl.agent.vipd import VipdClient, VipdRefusedError
from lbctl.errors import VipdError
from tests.fakes.vipd import FakeVipd


def _with_vipd(path: Path, use: Callable[[FakeVipd, VipdClient], Awaitable[Any]]) -> Any:
    async def live() -> Any:
        async with FakeVipd(path) as vipd:
            return await use(vipd, VipdClient(path))

    return asyncio.run(live())


def test_a_status_is_vipds_own(tmp_path: Path) -> None:
    async def use(vipd: FakeVipd, client: VipdClient) -> bool:
        return await client.status(limit_s=1) == vipd.status()

    assert _with_vipd(tmp_path / "s", use)


def test_a_handover_passes_force_on(tmp_path: Path) -> None:
    async def use(vipd: FakeVipd, client: VipdClient) -> object:
        await client.handover(force=False, limit_s=1)
        report = await client.handover(force=True, limit_s=1)
        return vipd.forced, report["left"]

    assert _with_vipd(tmp_path / "s", use) == ([False, True], True)


def test_a_refusal_keeps_its_words_and_code(tmp_path: Path) -> None:
    async def use(vipd: FakeVipd, client: VipdClient) -> object:
        vipd.role = "BACKUP"
        with pytest.raises(VipdRefusedError, match="this node is BACKUP") as caught:
            await client.handover(force=False, limit_s=1)
        return caught.value.code

    assert _with_vipd(tmp_path / "s", use) == 15


def test_a_handover_that_nobody_takes_says_what_force_costs(tmp_path: Path) -> None:
    async def use(vipd: FakeVipd, client: VipdClient) -> str:
        vipd.raw = b'{"ok": false, "code": 14, "error": "short", "report": {"left": false}}\n'
        with pytest.raises(VipdRefusedError) as caught:
            await client.handover(force=False, limit_s=1)
        assert caught.value.code == 14
        return str(caught.value)

    said = _with_vipd(tmp_path / "s", use)
    wanted = ("nobody took over", "within 1.4 s", "keeps the addresses", "--force", "seconds")
    assert [words for words in wanted if words not in said] == []


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"", "hung up"),
        (b'{"ok":', "hung up"),
        (b"no json\n", "no JSON object"),
        (b"[1]\n", "no JSON object"),
        (b'{"ok": true}\n', "status"),
        (b"\xff\xff\n", "no JSON object"),
        (b"x" * (2 << 20) + b"\n", "no JSON object"),
    ],
)
def test_a_garbled_answer_is_vipds_error(tmp_path: Path, raw: bytes, wanted: str) -> None:
    async def use(vipd: FakeVipd, client: VipdClient) -> None:
        vipd.raw = raw
        with pytest.raises(VipdError, match=wanted):
            await client.status(limit_s=1)

    _with_vipd(tmp_path / "s", use)


def test_silence_is_told_with_its_limit(tmp_path: Path) -> None:
    async def use(vipd: FakeVipd, client: VipdClient) -> None:
        vipd.is_silent = True
        with pytest.raises(VipdError, match=r"status: no answer in 0\.05 s"):
            await client.status(limit_s=0.05)

    _with_vipd(tmp_path / "s", use)


def test_no_vipd_is_an_error_of_vipd(tmp_path: Path) -> None:
    with pytest.raises(VipdError, match="No such file"):
        asyncio.run(VipdClient(tmp_path / "none").status(limit_s=1))


def test_a_watcher_learns_of_the_end_of_vipd(tmp_path: Path) -> None:
    async def use(vipd: FakeVipd, client: VipdClient) -> list[str]:
        vipd.tell(1, "role", "INIT -> BACKUP")
        seen = []
        async with aclosing(client.watch()) as events:
            seen.append((await anext(events))["text"])
            await vipd.__aexit__()
            with pytest.raises(VipdError, match="watch"):
                await anext(events)
        return seen

    assert _with_vipd(tmp_path / "s", use) == ["INIT -> BACKUP"]
