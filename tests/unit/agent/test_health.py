"""The checks: when they look, what they tell vipd, and what they write down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.agent.health import HealthChecks, next_due
from lbctl.agent.vipd import VipdClient
from lbctl.ha.checks import Look
from lbctl.spec import CheckSpec
from tests.fakes.looker import FakeLooker
from tests.fakes.vipd import FakeVipd
from tests.loops import until
from tests.specs import bundle_spec

WEB = CheckSpec("web", "http", "http://127.0.0.1/", interval_s=0.01, rise=1, fall=2)
OTHER = replace(WEB, name="other")
LINK = CheckSpec("uplink", "link", "eth1")
BAD = Look(False, "HTTP 503")


class Stage:
    """Checks that look at a fake and tell a vipd on *path*."""

    def __init__(
        self,
        path: Path,
        *checks: CheckSpec,
        tell_every_s: float = 0.01,
        discovery: Callable[[], tuple[bool | None, str]] | None = None,
    ) -> None:
        self.looker = FakeLooker()
        self.notes: list[str] = []
        self.is_stopping = False
        self.checks = HealthChecks(
            bundle_spec(checks=checks or (WEB, LINK)),
            VipdClient(path),
            self._note,
            is_stopping=lambda: self.is_stopping,
            looker=self.looker,
            tell_every_s=tell_every_s,
            discovery=discovery,
        )

    def _note(self, kind: str, text: str, fields: Mapping[str, Any]) -> None:
        assert kind == "check"
        assert set(fields) == {"check", "is_well"}
        self.notes.append(text)


def live(stage: Stage, use: Callable[[], Awaitable[None]]) -> None:
    async def both() -> None:
        life = asyncio.create_task(stage.checks.run())
        try:
            await use()
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    asyncio.run(both())


@pytest.mark.parametrize(
    ("took_s", "wait_s"), [(0.0, 2.0), (0.5, 1.5), (1.9, 0.1), (2.0, 2.0), (5.0, 1.0)]
)
def test_looks_stay_in_step_and_leave_out_what_they_missed(took_s: float, wait_s: float) -> None:
    assert next_due(100.0, 100.0 + took_s, 2.0) - (100.0 + took_s) == pytest.approx(wait_s)


def test_what_vipd_watches_itself_is_not_asked(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s")

    assert [one["name"] for one in stage.checks.as_list()] == ["web"]


def test_without_checks_nothing_lives(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s", LINK)

    asyncio.run(asyncio.wait_for(stage.checks.run(), 1))


def test_what_discovery_lacks_is_told_without_being_asked_for(tmp_path: Path) -> None:
    known: list[tuple[bool | None, str]] = [(None, "")]
    stage = Stage(tmp_path / "s", LINK, discovery=lambda: known[0])

    async def use() -> None:
        async with FakeVipd(tmp_path / "s") as vipd:
            stage.checks.on_discovery()
            known[0] = False, "consul: not heard yet"
            stage.checks.on_discovery()
            bad = [{"name": "discovery", "is_well": False, "what": "consul: not heard yet"}]
            await until(lambda: bad in vipd.told, "told of the fault")
            known[0] = True, ""
            stage.checks.on_discovery()
            well = [{"name": "discovery", "is_well": True, "what": ""}]
            await until(lambda: well in vipd.told, "told of its end")

    live(stage, use)
    assert stage.notes == [
        "check discovery has failed: consul: not heard yet",
        "check discovery is well again",
    ]


def test_what_discovery_lacks_by_the_time_that_has_passed_is_told_too(tmp_path: Path) -> None:
    known: list[tuple[bool | None, str]] = [(None, "")]
    stage = Stage(tmp_path / "s", LINK, discovery=lambda: known[0])

    async def use() -> None:
        async with FakeVipd(tmp_path / "s") as vipd:
            known[0] = False, "consul: not heard yet"
            await until(lambda: vipd.told, "told of the fault")

    live(stage, use)
    assert stage.notes == ["check discovery has failed: consul: not heard yet"]


def test_a_check_of_the_operators_may_have_that_name(tmp_path: Path) -> None:
    own = replace(WEB, name="discovery")
    stage = Stage(tmp_path / "s", own, discovery=lambda: (False, "not heard yet"))
    stage.checks.on_discovery()

    assert stage.notes == []


def test_a_check_without_an_answer_yet_is_not_told(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s", WEB, OTHER)
    stage.looker.slow["web"] = asyncio.Event()

    async def use() -> None:
        async with FakeVipd(tmp_path / "s") as vipd:
            await until(lambda: vipd.told, "vipd is told")
            assert [one["name"] for one in vipd.told[-1]] == ["other"]

    live(stage, use)


def test_vipd_is_told_of_a_fault_and_of_its_end_and_they_are_noted(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s")

    async def use() -> None:
        async with FakeVipd(tmp_path / "s") as vipd:
            stage.looker.found["web"] = BAD
            bad = [{"name": "web", "is_well": False, "what": "HTTP 503"}]
            await until(lambda: bad in vipd.told, "told of the fault")
            del stage.looker.found["web"]
            well = [{"name": "web", "is_well": True, "what": "fine"}]
            await until(lambda: vipd.told[-1] == well, "told of its end")

    live(stage, use)

    assert stage.notes == ["check web has failed: HTTP 503", "check web is well again: fine"]


def test_vipd_is_told_of_a_change_without_waiting_for_its_turn(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s", WEB, tell_every_s=60.0)

    async def use() -> None:
        async with FakeVipd(tmp_path / "s") as vipd:
            await until(lambda: len(vipd.told) == 1, "told that it is well")
            stage.looker.found["web"] = BAD
            await until(lambda: len(vipd.told) == 2, "told that it is not")

    live(stage, use)


def test_the_first_success_is_nothing_to_write_down(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s")

    async def use() -> None:
        await until(lambda: stage.checks.as_list()[0]["is_well"], "it is well")

    live(stage, use)

    assert stage.notes == []


def test_vipd_is_told_again_and_again(tmp_path: Path) -> None:
    """A vipd that was started anew knows soon; one that hears nothing knows that too."""
    stage = Stage(tmp_path / "s")

    async def life_of_vipd() -> None:
        async with FakeVipd(tmp_path / "s") as vipd:
            await until(lambda: len(vipd.told) > 3, "told again")
            assert {one["name"] for told in vipd.told for one in told} == {"web"}

    async def use() -> None:
        await life_of_vipd()
        await life_of_vipd()

    live(stage, use)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_vipd_that_hangs_or_is_away_holds_nothing_up(tmp_path: Path, is_there: bool) -> None:
    stage = Stage(tmp_path / "s")

    async def use() -> None:
        async with FakeVipd(tmp_path / ("s" if is_there else "elsewhere")) as vipd:
            vipd.is_silent = True
            await until(lambda: stage.looker.looks.get("web", 0) > 20, "it looks on")

    live(stage, use)


def test_one_check_never_overlaps_itself_and_holds_no_other_up(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s", WEB, OTHER)
    stage.looker.slow["web"] = asyncio.Event()

    async def use() -> None:
        await until(lambda: stage.looker.looks.get("other", 0) > 20, "the other one goes on")
        assert stage.looker.looks["web"] == 1
        stage.looker.slow.pop("web").set()
        await until(lambda: stage.looker.looks["web"] > 5, "it goes on too")

    live(stage, use)

    assert stage.looker.at_once == {"web": 1, "other": 1}


def test_what_fails_while_the_bundle_stops_was_meant_to(tmp_path: Path) -> None:
    """A look that was under way when the stop began, too."""
    stage = Stage(tmp_path / "s", replace(WEB, fall=1))

    async def use() -> None:
        await until(lambda: stage.checks.as_list()[0]["is_well"], "it is well")
        stage.looker.slow["web"] = asyncio.Event()
        looks = stage.looker.looks["web"]
        await until(lambda: stage.looker.looks["web"] > looks, "it looks")
        stage.is_stopping = True
        stage.looker.found["web"] = BAD
        stage.looker.slow["web"].set()
        await until(lambda: stage.looker.is_closed, "nobody looks any more")

    live(stage, use)

    assert stage.notes == []
    assert stage.checks.as_list()[0]["is_well"]
