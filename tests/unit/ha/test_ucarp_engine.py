"""When ucarp is started and stopped: by this node's begin, by pauses, by links."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lbctl.ha import carp
from lbctl.ha.capture import Seen
from lbctl.ha.engine import Parts
from lbctl.ha.hands import Hands
from lbctl.ha.hearing import Hearing
from lbctl.ha.journal import Journal
from lbctl.ha.keeper import Keeper
from lbctl.ha.role import Role, RoleFile, RoleName
from lbctl.ha.speaker import Speaker
from lbctl.ha.track import Tracker
from lbctl.ha.ucarp import PROGRAM
from lbctl.ha.ucarp_engine import UcarpEngine
from lbctl.ha.worth import Worth
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramState
from tests.fakes.address_table import FakeAddressTable
from tests.fakes.carp_packets import PASSWORD
from tests.fakes.programs import FakePrograms
from tests.fakes.timeless import in_no_time
from tests.specs import bundle_spec, group_spec

PEER = "10.0.1.12"


class Unsent:
    """A wire that nobody reads."""

    def send(self, frames: list[bytes]) -> None:
        assert frames


class Stage:
    """A node that is BACKUP, without a ucarp."""

    def __init__(self, tmp_path: Path, role: RoleName = RoleName.BACKUP) -> None:
        run = RunDir(tmp_path)
        run.ha.mkdir()
        self.group, self.journal = group_spec(track=()), Journal()
        self.programs = FakePrograms([Program(PROGRAM, PROGRAM, ProgramState.STOPPED)])
        speaker = Speaker(self.group, run, self.programs, hooks=Path("/hooks"))
        roles = RoleFile(tmp_path / "role.json")
        roles.record(Role(role, 1, 0.0))
        keeper = Keeper(self.group, roles, FakeAddressTable(), lambda _: None, self.journal)
        tracker = Tracker(())
        worth = Worth(self.group, tracker, speaker, self.journal)
        spec = bundle_spec(group=self.group)
        parts = Parts(
            spec, self.group, run, self.programs, tracker, self.journal, keeper, worth
        )  # fmt: skip
        self.hearing = Hearing(self.group, PASSWORD, Unsent(), self.journal)
        self.engine = UcarpEngine(parts, Hands(parts), speaker, self.hearing)

    @property
    def started(self) -> int:
        return self.programs.calls.count(("start", PROGRAM))

    @property
    def stopped(self) -> int:
        return self.programs.calls.count(("stop", PROGRAM))

    def hears(self, advbase: int = 1) -> None:
        said = carp.Advertisement(self.group.vhid, advbase, 0, 5)
        packet = carp.ip_packet(PEER, carp.encode(said, vip=self.group.vip, password=PASSWORD))
        self.hearing.hear(Seen(False, "eth0", packet, time.monotonic()))


@in_no_time
async def test_the_end_of_a_pause_starts_no_ucarp_before_this_node_can_serve(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    await stage.engine.pause(True)
    await stage.engine.pause(False)
    assert stage.started == 0

    await stage.engine.start()
    assert stage.started == 1


@in_no_time
async def test_a_backup_has_no_ucarp_while_paused(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.engine.start()
    await stage.engine.pause(True)
    assert (stage.started, stage.stopped) == (1, 1)

    await stage.engine.pause(False)
    assert stage.started == 2


@in_no_time
async def test_a_master_keeps_its_ucarp_while_paused(tmp_path: Path) -> None:
    stage = Stage(tmp_path, RoleName.MASTER)
    await stage.engine.start()
    await stage.engine.pause(True)

    assert stage.stopped == 0


@pytest.mark.parametrize(("speaks", "started"), [(True, 0), (False, 1)])
@in_no_time
async def test_a_node_that_begins_during_a_pause_speaks_only_where_nobody_serves(
    tmp_path: Path, *, speaks: bool, started: int
) -> None:
    stage = Stage(tmp_path)
    await stage.engine.pause(True)
    if speaks:
        stage.hears()
    await stage.engine.start()
    assert stage.started == started

    await stage.engine.pause(False)
    assert stage.started >= 1


@in_no_time
async def test_a_link_that_is_down_stops_ucarp_and_no_pause_starts_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.engine.start()
    await stage.engine.on_link(False)
    await stage.engine.pause(True)
    await stage.engine.pause(False)
    assert (stage.started, stage.stopped > 0) == (1, True)

    await stage.engine.on_link(True)
    assert stage.started == 2
