"""What all groups of a bundle share: when they begin and stop, what they are told and say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lbctl.ha.greeter import Greeter
from lbctl.ha.links import Sight
from lbctl.ha.neighbour import Neighbour
from lbctl.ha.pause import Pause
from lbctl.ha.role import RoleName
from lbctl.ha.track import Tracker
from lbctl.ha.vipd import Commons, Surroundings, Vipd
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramEvent, ProgramState
from tests.fakes.carp_packets import VHID
from tests.fakes.native_host import NativeHost, Segment
from tests.fakes.programs import FakePrograms
from tests.fakes.timeless import clock, in_no_time
from tests.loops import until
from tests.specs import bundle_spec

MASTER, BACKUP = RoleName.MASTER, RoleName.BACKUP
STOPPING = ProgramEvent("", "", ProgramState.STOPPING)


class Stage:
    """vipd with one group for each segment."""

    def __init__(
        self,
        tmp_path: Path,
        *,
        was: RoleName | None = None,
        groups: int = 1,
        is_paused: bool = False,
        greeter: Greeter | None = None,
    ) -> None:
        self.nodes = [
            NativeHost(Segment(), tmp_path / f"a{number}", 11, was=was) for number in range(groups)
        ]
        node = self.nodes[0]
        self.node, self.pause = node, Pause(tmp_path / "pause.json")
        if is_paused:
            self.pause.say(is_on=True, by="root", why="work")
        self.programs = FakePrograms([Program("nginx", "nginx", ProgramState.RUNNING)])
        spec = bundle_spec(
            group=node.group, more_groups=tuple(other.group for other in self.nodes[1:])
        )
        commons = Commons(
            spec, RunDir(tmp_path), self.programs, Tracker(()), node.journal, self.pause, None
        )
        around = Surroundings(self.pause)
        self.vipd = Vipd(commons, [node.life for node in self.nodes], around, greeter)

    async def follow(self, *events: ProgramEvent) -> list[float]:
        """vipd hears these events; when it asked for each, and for the next one after the last."""
        asked: list[float] = []

        async def said() -> AsyncIterator[ProgramEvent]:
            for event in events:
                asked.append(clock())
                yield event
            asked.append(clock())

        await self.vipd.follow(said())
        return asked


async def told(stage: Stage, kind: str) -> list[str]:
    """The texts of all events of a kind."""
    texts = []
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            async for event in stage.node.journal.watch(0):
                texts += [event.text] if event.kind == kind else []
    return texts


@in_no_time
async def test_a_node_that_can_serve_speaks(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.vipd.first_words()
    await asyncio.sleep(0.5)

    assert stage.node.role is MASTER


@in_no_time
async def test_a_backup_that_begins_during_a_pause_waits_for_its_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path, was=BACKUP, is_paused=True)
    await stage.vipd.first_words()
    await asyncio.sleep(2.0)
    assert stage.node.role is BACKUP

    stage.pause.say(is_on=False, by="root")
    await stage.vipd.apply_pause()
    await asyncio.sleep(0.5)
    assert stage.node.role is MASTER


@in_no_time
async def test_a_pause_is_told_to_every_group_and_noted_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, was=BACKUP, groups=2)
    stage.pause.say(is_on=True, by="root", why="work")
    await stage.vipd.apply_pause()
    await stage.vipd.apply_pause()
    await stage.vipd.first_words()
    await asyncio.sleep(2.0)

    assert [node.role for node in stage.nodes] == [BACKUP, BACKUP]
    assert await told(stage, "pause") == ["paused by root: work"]


@in_no_time
async def test_a_bundle_that_stops_leaves_in_every_group(tmp_path: Path) -> None:
    stage = Stage(tmp_path, groups=2)
    await stage.vipd.first_words()
    await asyncio.sleep(0.5)
    asked = await stage.follow(STOPPING)

    assert [node.holds for node in stage.nodes] == [False, False]
    # Nobody takes over: both wait for that, and at the same time.
    assert asked[1] - asked[0] < 2.0


@in_no_time
async def test_groups_leave_a_fault_at_the_same_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, groups=2)
    await stage.vipd.first_words()
    await asyncio.sleep(0.5)
    for node in stage.nodes:
        node.life.fault("serving", "nginx does not answer", 4)
    judging = asyncio.ensure_future(stage.vipd.judge())
    await asyncio.sleep(0.002)
    assert [node.resignations for node in stage.nodes] == [1, 1]

    await judging
    assert [node.resignations for node in stage.nodes] == [3, 3]


@in_no_time
async def test_a_leaving_holds_up_no_further_word_of_supervisord(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.vipd.first_words()
    await asyncio.sleep(0.5)
    stage.node.life.fault("serving", "nginx does not answer", 4)
    fatal = ProgramEvent("nginx", "nginx", ProgramState.FATAL)
    asked = await stage.follow(fatal, fatal)
    assert asked[-1] - asked[0] < 0.1

    await until(lambda: stage.node.resignations == 3, "it has left")


@in_no_time
async def test_an_interface_made_anew_has_vipd_start_afresh(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.vipd.first_words()
    works = stage.vipd.on_sight(Sight("eth0", False, "eth0 was made anew", is_anew=True), "")
    assert (stage.vipd.starts_afresh, stage.vipd.finished.is_set()) == (True, True)

    for work in works:
        await work
    assert not stage.node.life.link_up


@in_no_time
async def test_an_interface_that_only_a_check_asks_for_touches_no_group(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    for work in stage.vipd.on_sight(Sight("eth9", False, "eth9 was made anew", is_anew=True), ""):
        await work

    assert (stage.vipd.starts_afresh, stage.node.life.link_up) == (False, True)


@in_no_time
async def test_the_other_nodes_are_told_where_the_counters_stand(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    facts = stage.vipd.facts()

    assert facts["engine"] == "native"
    assert facts["counters"] == {VHID: stage.node.mouth.position}
    assert [group["vhid"] for group in facts["groups"]] == [VHID]
    assert facts["groups"][0]["can_serve"] is False

    await stage.vipd.first_words()
    assert stage.vipd.facts()["groups"][0]["can_serve"] is True


def greeting(session: str, proven: float) -> Neighbour:
    """Of a node that has just answered."""
    return Neighbour(
        node="b", hostname="b", address="10.0.1.12", version="1", engine="native",
        groups=(), digests={}, pause=None, counters={}, seen=proven, is_fresh=True,
        clock_offset_s=0.0, proven=proven, session=session,
    )  # fmt: skip


@in_no_time
async def test_a_master_announces_again_when_a_node_is_heard_that_was_not(tmp_path: Path) -> None:
    greeter = SimpleNamespace(peers=tuple, changed=lambda: None)
    stage = Stage(tmp_path, greeter=cast("Greeter", greeter))
    await stage.vipd.first_words()
    await asyncio.sleep(5.0)
    told = []
    # First heard; goes on; started anew; goes on; silent for three seconds.
    for session, proven in (("1", 5.0), ("1", 6.0), ("2", 6.5), ("2", 7.5), ("2", 10.5)):
        before = len(stage.node.announced)
        greeter.on_greeting(greeting(session, proven))
        told.append(len(stage.node.announced) - before)

    assert stage.node.role is MASTER
    assert told == [1, 0, 1, 0, 1]


@in_no_time
async def test_a_backup_announces_nothing_to_a_node_that_is_heard(tmp_path: Path) -> None:
    greeter = SimpleNamespace(peers=tuple, changed=lambda: None)
    stage = Stage(tmp_path, greeter=cast("Greeter", greeter))
    greeter.on_greeting(greeting("1", 5.0))

    assert stage.node.announced == []


@in_no_time
async def test_work_that_fails_is_told_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(tmp_path)

    async def fails() -> None:
        message = "no such thing"
        raise LookupError(message)

    with caplog.at_level(logging.ERROR):
        stage.vipd.soon(fails())
        await asyncio.sleep(0.01)

    assert "no such thing" in caplog.text
    assert not stage.vipd.finished.is_set()


@in_no_time
async def test_a_supervisord_that_is_gone_ends_every_group(tmp_path: Path) -> None:
    stage = Stage(tmp_path, groups=2)
    await stage.vipd.first_words()
    await asyncio.sleep(0.5)
    stage.vipd.abandon()

    assert [(node.holds, node.resignations) for node in stage.nodes] == [(False, 1), (False, 1)]
