"""What vipd answers at its door, and what it does not believe there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from lbctl.errors import NotMasterError
from lbctl.ha.desk import PAUSE_MAX_S, Desk
from lbctl.ha.memory import Memory
from lbctl.ha.pause import Pause
from lbctl.ha.track import Tracker
from lbctl.ha.vipd import Commons, Surroundings, Vipd
from lbctl.layout import RunDir
from lbctl.spec import CheckSpec
from tests.fakes.native_host import NativeHost, Segment
from tests.fakes.programs import FakePrograms
from tests.fakes.timeless import in_no_time
from tests.loops import in_a_loop
from tests.specs import bundle_spec

NAN, INF = float("nan"), float("inf")
CHECK = CheckSpec(
    name="shop", kind="tcp", target="127.0.0.1:1", interval_s=1.0, timeout_s=1.0, rise=1, fall=1
)


class Office:
    """A desk of a native node, alone, and what it reaches."""

    def __init__(self, directory: Path, state: Path | None = None) -> None:
        host = NativeHost(Segment(), directory / "run", 11)
        state = state or directory
        self.commons = Commons(
            spec=bundle_spec(group=host.group),
            run=RunDir(directory),
            programs=FakePrograms(),
            tracker=Tracker((), (CHECK,)),
            journal=host.journal,
            pause=Pause(state / "pause.json"),
            memory=Memory(state / "carp.json", 1_800_000_000.0),
        )
        around = Surroundings(self.commons.pause)
        self.host = host
        self.vipd = Vipd(self.commons, [host.life], around, None)
        self.desk = Desk(self.vipd, self.commons, around, None)

    async def checks(self) -> list[dict[str, Any]]:
        status = (await self.desk.on_status({}))["status"]
        return cast("list[dict[str, Any]]", status["checks"])

    async def findings(self) -> list[dict[str, str]]:
        status = (await self.desk.on_status({}))["status"]
        assert json.loads(json.dumps(status)) == status
        return cast("list[dict[str, str]]", status["findings"])


@pytest.mark.parametrize(
    "for_s", [0, 0.5, -1, PAUSE_MAX_S + 1, 1e300, INF, -INF, NAN, True, "60", [60], {}]
)
@in_a_loop
async def test_a_pause_of_no_sensible_length_is_refused(tmp_path: Path, for_s: object) -> None:
    office = Office(tmp_path)
    with pytest.raises(ValueError, match="seconds, 1 to 2592000"):
        await office.desk.on_pause({"by": "root", "for_s": for_s})

    assert not office.commons.pause.is_on


@pytest.mark.parametrize("for_s", [None, 1, PAUSE_MAX_S])
@in_a_loop
async def test_a_pause_and_its_end_are_answered_with_who_goes_by_them(
    tmp_path: Path, for_s: float | None
) -> None:
    office = Office(tmp_path)
    paused = await office.desk.on_pause({"by": "root", "why": "disks", "for_s": for_s})
    told = (await office.desk.on_status({}))["status"]["paused"]
    resumed = await office.desk.on_resume({"by": "root"})

    assert paused["paused"] == told
    assert (told["by"], told["why"]) == ("root", "disks")
    assert paused["nodes"] == [office.commons.spec.hostname]
    assert resumed["paused"] is None
    assert not office.commons.pause.is_on


@pytest.mark.parametrize(
    "odd",
    [
        {"name": "shop", "is_well": "no", "what": ""},
        {"name": "shop", "is_well": None, "what": ""},
        {"name": ["shop"], "is_well": False, "what": ""},
        {"name": "shop", "is_well": False, "what": [[[]]]},
        {"name": "shop"},
        5,
        None,
    ],
)
@in_a_loop
async def test_of_an_odd_report_nothing_counts(tmp_path: Path, odd: object) -> None:
    office = Office(tmp_path)
    before = await office.checks()
    well = {"name": "shop", "is_well": True, "what": ""}
    with pytest.raises((TypeError, KeyError)):
        await office.desk.on_health({"checks": [well, odd]})

    assert await office.checks() == before


@in_a_loop
async def test_a_verdict_stands_in_status_in_bounded_words(tmp_path: Path) -> None:
    office = Office(tmp_path)
    word = {"name": "shop", "is_well": False, "what": "x" * 60_000}
    assert await office.desk.on_health({"checks": [word]}) == {"ok": True}
    (check,) = await office.checks()

    assert check["name"] == "shop"
    assert check["what"] == "x" * 1000


@in_a_loop
async def test_who_is_no_master_has_nothing_to_hand_over(tmp_path: Path) -> None:
    with pytest.raises(NotMasterError, match="nothing to hand over"):
        await Office(tmp_path).desk.on_handover({})


@in_no_time
async def test_a_paused_master_hands_over_by_force_alone(tmp_path: Path) -> None:
    office = Office(tmp_path)
    await office.host.life.begin()
    await asyncio.sleep(1.0)
    office.commons.pause.say(is_on=True, by="root")
    refusal = await office.desk.on_handover({})

    assert (refusal["ok"], refusal["code"]) == (False, 14)
    assert "the addresses are paused; --force" in refusal["error"]
    assert (await office.desk.on_handover({"force": True}))["report"]["left"]


@in_a_loop
async def test_a_state_dir_that_is_not_vipds_is_a_finding_until_it_is(tmp_path: Path) -> None:
    ha = tmp_path / "ha"
    ha.touch()
    office = Office(tmp_path, ha)
    memory = office.commons.memory
    assert memory is not None
    found = await office.findings()
    ha.unlink()
    ha.mkdir(mode=0o700)
    memory.write(memory.text())
    office.commons.pause.say(is_on=False, by="root")

    assert [one["kind"] for one in found] == ["state dir", "state dir"]
    assert all("is no directory" in one["text"] for one in found)
    assert await office.findings() == []


@in_a_loop
async def test_the_native_engine_takes_no_word_of_a_hook(tmp_path: Path) -> None:
    answer = await Office(tmp_path).desk.on_role({"role": "MASTER"})

    assert (answer["ok"], answer["code"]) == (False, 11)
