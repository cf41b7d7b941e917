"""Which advskew a node speaks with, by its faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.ha.journal import Journal
from lbctl.ha.speaker import Speaker
from lbctl.ha.track import RECOVERY_S, Tracker
from lbctl.ha.ucarp import FAULTY_ADVSKEW
from lbctl.ha.worth import OWN_FAULT_S, Worth
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramEvent, ProgramState
from lbctl.spec import GroupSpec
from tests.fakes.clock import FakeClock
from tests.fakes.programs import FakePrograms

GROUP = GroupSpec(
    vhid=17, interface="eth0", source="10.0.1.11", vip="10.0.1.201",
    addresses=("10.0.1.201/32",), engine="ucarp", advbase_s=1, advskew=20, dead_ratio=3,
    drain_s=2.0, track=("nginx",),
)  # fmt: skip


class Stage:
    def __init__(self, root: Path) -> None:
        run = RunDir(root)
        self.run = run
        run.ha.mkdir()
        self.clock = FakeClock()
        self.tracker = Tracker(GROUP.track)
        self.tracker.reset(
            {"nginx": Program("nginx", "nginx", ProgramState.RUNNING, 1)}, self.clock.now
        )
        self.speaker = Speaker(GROUP, run, FakePrograms(), hooks=Path("/hooks"))
        self.worth = Worth(GROUP, self.tracker, self.speaker, Journal(), self.clock)
        self.script = run.ucarp_launch

    def nginx(self, state: ProgramState) -> None:
        self.tracker.feed(ProgramEvent("nginx", "nginx", state, pid=1), self.clock.now)


@pytest.fixture(name="on_stage")
def _on_stage(tmp_path: Path) -> Callable[[Callable[[Stage], None]], None]:
    """Play inside a loop, which the journal wants."""

    def play_on_stage(play: Callable[[Stage], None]) -> None:
        async def run() -> None:
            play(Stage(tmp_path))

        asyncio.run(run())

    return play_on_stage


def test_a_healthy_node_speaks_as_configured(on_stage: Callable[..., None]) -> None:
    def play(s: Stage) -> None:
        assert s.worth.judge() == GROUP.advskew
        assert s.worth.severity == 0

    on_stage(play)


def test_a_fault_is_spoken_at_the_next_start_of_ucarp(on_stage: Callable[..., None]) -> None:
    def play(s: Stage) -> None:
        s.nginx(ProgramState.FATAL)
        advskew = s.worth.judge()

        assert advskew == FAULTY_ADVSKEW + s.worth.severity > FAULTY_ADVSKEW
        assert f"--advskew={advskew} " in s.script.read_text()
        assert s.script.stat().st_mode & 0o077 == 0

    on_stage(play)


def test_a_healed_node_speaks_as_before(on_stage: Callable[..., None]) -> None:
    def play(s: Stage) -> None:
        s.nginx(ProgramState.FATAL)
        s.worth.judge()
        s.nginx(ProgramState.RUNNING)
        s.clock.tick(RECOVERY_S)

        assert s.worth.judge() == GROUP.advskew

    on_stage(play)


def test_what_vipd_saw_fail_counts_for_its_time(on_stage: Callable[..., None]) -> None:
    def play(s: Stage) -> None:
        s.worth.own_fault("up hook", "the up hook failed", 13)

        assert s.worth.judge() == FAULTY_ADVSKEW + 13
        s.clock.tick(OWN_FAULT_S)
        assert s.worth.judge() == GROUP.advskew

    on_stage(play)


@pytest.mark.parametrize(("peer", "expected"), [(5, 20), (20, 20), (100, 100), (255, 20)])
def test_after_a_handover_it_does_not_win_against_a_healthy_peer(
    on_stage: Callable[..., None], peer: int, expected: int
) -> None:
    def play(s: Stage) -> None:
        s.worth.yield_to(peer)

        assert s.worth.judge() == expected

    on_stage(play)


def test_a_restarted_vipd_knows_with_which_advskew_ucarp_speaks(
    tmp_path: Path, on_stage: Callable[..., None]
) -> None:
    def play(s: Stage) -> None:
        s.speaker.speak_with(FAULTY_ADVSKEW + 6)
        again = Speaker(GROUP, RunDir(tmp_path), FakePrograms())

        assert again.advskew == FAULTY_ADVSKEW + 6

    on_stage(play)


def test_a_yielding_outlives_vipd(on_stage: Callable[..., None]) -> None:
    def play(s: Stage) -> None:
        s.worth.yield_to(100)
        s.worth.judge()
        speaker = Speaker(GROUP, s.run, FakePrograms(), hooks=Path("/hooks"))
        reborn = Worth(GROUP, s.tracker, speaker, Journal(), s.clock)

        assert reborn.judge() == 100

    on_stage(play)
