"""What the keeper does to the addresses for every word, verdict and meddling."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha.journal import Journal
from lbctl.ha.keeper import ANNOUNCE_APART_S, Keeper
from lbctl.ha.lease import Verdict
from lbctl.ha.role import Role, RoleFile, RoleName
from lbctl.spec import GroupSpec
from tests.fakes.address_table import FakeAddressTable
from tests.fakes.clock import FakeClock

VIP, VIP6, FOREIGN = "10.0.1.201/32", "fd00:1::c9/128", "10.0.1.11/24"
GROUP = GroupSpec(
    vhid=17, interface="eth0", source="10.0.1.11", vip="10.0.1.201", addresses=(VIP, VIP6),
    engine="ucarp", advbase_s=1, advskew=0, dead_ratio=3, drain_s=2.0, track=("haproxy",),
)  # fmt: skip


class Stage:
    """A keeper with fakes around it."""

    def __init__(self, directory: Path) -> None:
        self.table = FakeAddressTable()
        self.table.leases[FOREIGN] = None
        self.clock = FakeClock()
        self.announced: list[tuple[str, ...]] = []
        self.roles = RoleFile(directory / "role.json")
        self.keeper = Keeper(
            GROUP, self.roles, self.table, self._announce, Journal(), clock=self.clock
        )

    def _announce(self, addresses: Iterable[str]) -> None:
        self.announced.append(tuple(addresses))

    def word(self, name: RoleName, at_ns: int) -> None:
        self.keeper.take(Role(name, at_ns, since=0.0, ucarp_pid=5, ucarp_start=6, why="said"))

    @property
    def held(self) -> set[str]:
        return set(self.table.leases) - {FOREIGN}


def played(directory: Path, play: Callable[[Stage], None]) -> Stage:
    """Run *play* inside a loop, which the journal wants."""
    stage = Stage(directory)

    async def run() -> None:
        play(stage)

    awaitable: Awaitable[None] = run()
    asyncio.run(_await(awaitable))
    return stage


async def _await(awaitable: Awaitable[None]) -> None:
    await awaitable


def test_master_holds_every_address_and_announces_them_at_once(tmp_path: Path) -> None:
    stage = played(tmp_path, lambda s: s.word(RoleName.MASTER, 1))

    assert stage.held == {VIP, VIP6}
    assert stage.announced == [(VIP, VIP6)]


def test_backup_holds_none_and_leaves_the_hosts_own_alone(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.word(RoleName.BACKUP, 2)

    stage = played(tmp_path, play)

    assert stage.held == set()
    assert FOREIGN in stage.table.leases


@pytest.mark.parametrize("name", list(RoleName))
def test_the_same_word_twice_changes_nothing(tmp_path: Path, name: RoleName) -> None:
    def play(s: Stage) -> None:
        s.word(name, 1)
        s.word(name, 2)

    stage = played(tmp_path, play)

    assert stage.held == ({VIP, VIP6} if name is RoleName.MASTER else set())
    assert len(stage.announced) == (1 if name is RoleName.MASTER else 0)


def test_a_late_word_cannot_undo_a_newer_one(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.BACKUP, 9)
        s.word(RoleName.MASTER, 8)

    assert played(tmp_path, play).held == set()


def test_announced_again_after_a_second_ever_more_rarely_and_then_every_minute(
    tmp_path: Path,
) -> None:
    told: list[int] = []

    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        for second in range(1, 200):
            before = len(s.announced)
            s.clock.tick(1.0)
            s.keeper.tend(Verdict.RENEW, "")
            told.extend([second] * (len(s.announced) - before))

    played(tmp_path, play)

    assert (GROUP.announce_again_s, GROUP.announce_refresh_s) == (1.0, 60.0)
    assert told == [1, 3, 7, 15, 31, 63, 123, 183]


def test_keep_renews_nothing_and_removes_nothing(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.table.renewals = 0
        s.keeper.tend(Verdict.KEEP, "the speaker is stopped")

    stage = played(tmp_path, play)

    assert stage.held == {VIP, VIP6}
    assert stage.table.renewals == 0


def test_what_somebody_took_away_comes_back_and_is_announced(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.table.drop(VIP6)
        s.keeper.mend()

    stage = played(tmp_path, play)

    assert stage.held == {VIP, VIP6}
    assert stage.announced[-1] == (VIP6,)


def test_while_in_doubt_nothing_is_put_back(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.keeper.tend(Verdict.KEEP, "the speaker is gone")
        s.table.drop(VIP)
        s.keeper.mend()

    assert played(tmp_path, play).held == {VIP6}


def test_a_stray_address_on_a_backup_goes(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.BACKUP, 1)
        s.table.hold(VIP)
        s.keeper.mend()

    assert played(tmp_path, play).held == set()


def test_a_word_that_the_slow_path_of_a_hook_wrote_counts(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.roles.record(Role(RoleName.BACKUP, 2, since=0.0, why="by the hook"))
        s.keeper.tend(Verdict.RENEW, "")
        s.keeper.tend(Verdict.DROP, "")

    stage = played(tmp_path, play)

    assert stage.held == set()
    assert stage.keeper.role.name is RoleName.BACKUP


def test_an_address_that_the_kernel_refuses_is_an_error(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.table.refuses = True
        with pytest.raises(NetlinkError, match="refused"):
            s.word(RoleName.MASTER, 1)

    played(tmp_path, play)


def test_when_the_speaker_ends_the_lease_is_renewed_once_more(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.table.renewals = 0
        s.keeper.renew_once_more()

    assert played(tmp_path, play).table.renewals == len(GROUP.addresses)


def test_a_speaker_that_was_in_doubt_already_gets_no_more_time(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.keeper.tend(Verdict.KEEP, "the speaker is stopped")
        s.table.renewals = 0
        s.keeper.renew_once_more()

    assert played(tmp_path, play).table.renewals == 0


def test_a_backup_renews_nothing_when_its_speaker_ends(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.BACKUP, 1)
        s.keeper.renew_once_more()

    assert played(tmp_path, play).held == set()


def test_a_second_master_is_answered_with_an_announcement(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.clock.tick(30.0)
        s.keeper.rival(3.0)

    assert played(tmp_path, play).announced == [(VIP, VIP6), (VIP, VIP6)]


def test_a_second_master_that_speaks_often_is_answered_five_times_a_second(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.clock.tick(30.0)
        for _ in range(100):
            s.keeper.rival(0.15)
            s.keeper.announce_if_due()
            s.clock.tick(0.01)

    assert len(played(tmp_path, play).announced) == 1 + round(1.0 / ANNOUNCE_APART_S)


def test_after_the_last_word_of_a_second_master_the_addresses_are_announced_once_more(
    tmp_path: Path,
) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.clock.tick(30.0)
        s.keeper.rival(2.0)
        s.clock.tick(1.9)
        s.keeper.announce_if_due()
        told.append(len(s.announced))
        s.clock.tick(0.1)
        for _ in range(9):
            s.keeper.announce_if_due()

    told: list[int] = []
    stage = played(tmp_path, play)

    assert len(stage.announced) > told[0] == 3


def test_a_network_that_lost_a_second_masters_end_is_told_again_as_soon_as_it_was_bad_for(
    tmp_path: Path,
) -> None:
    told: list[float] = []

    def play(s: Stage) -> None:
        s.word(RoleName.MASTER, 1)
        s.clock.tick(30.0)
        for turn in range(1000):
            before = len(s.announced)
            if turn < 20:
                s.keeper.rival(0.128)
            s.keeper.announce_if_due()
            told.extend([turn * 0.025 - 0.5] * (len(s.announced) - before))
            s.clock.tick(0.025)

    played(tmp_path, play)
    since = [at for at in told if at > 0]

    assert since[0] <= 0.11
    assert all(later <= 2 * earlier + 1.1 for earlier, later in pairwise(since))


def test_a_backup_announces_nothing(tmp_path: Path) -> None:
    def play(s: Stage) -> None:
        s.word(RoleName.BACKUP, 1)
        s.keeper.rival(3.0)

    assert played(tmp_path, play).announced == []


def test_backup_takes_away_an_address_of_the_group_whatever_its_prefix(tmp_path: Path) -> None:
    def play(stage: Stage) -> None:
        stage.word(RoleName.BACKUP, 1)
        stage.table.leases["10.0.1.201/24"] = None
        stage.keeper.mend()

    stage = played(tmp_path, play)

    assert stage.held == set()
    assert FOREIGN in stage.table.leases


def test_node_that_leaves_announces_nothing_after_the_winner(tmp_path: Path) -> None:
    def play(stage: Stage) -> None:
        stage.word(RoleName.MASTER, 1)
        stage.keeper.hush(True)
        stage.clock.tick(GROUP.announce_again_s)
        stage.keeper.tend(Verdict.RENEW, "")
        del stage.table.leases[VIP]
        stage.keeper.mend()

    stage = played(tmp_path, play)

    assert stage.announced == [(VIP, VIP6)]
    assert stage.held == {VIP, VIP6}


def test_node_that_stays_after_all_announces_what_was_due(tmp_path: Path) -> None:
    def play(stage: Stage) -> None:
        stage.word(RoleName.MASTER, 1)
        stage.keeper.hush(True)
        stage.clock.tick(GROUP.announce_again_s)
        stage.keeper.hush(False)
        stage.keeper.tend(Verdict.RENEW, "")

    assert played(tmp_path, play).announced == [(VIP, VIP6)] * 2


def test_what_somebody_else_answers_for_is_announced_at_once_by_a_master_that_is_not_leaving(
    tmp_path: Path,
) -> None:
    def play(stage: Stage) -> None:
        stage.keeper.announce_now((VIP,))
        stage.word(RoleName.MASTER, 1)
        stage.announced.clear()
        stage.keeper.announce_now((VIP,))
        stage.keeper.hush(True)
        stage.keeper.announce_now((VIP6,))

    assert played(tmp_path, play).announced == [(VIP,)]
