"""What holds for a group whoever elects: when it leaves, what it renews, what a link does to it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from lbctl.ha.carp import Advertisement
from lbctl.ha.life import FLAPS
from lbctl.ha.role import RoleName
from lbctl.ha.ucarp import FAULTY_ADVSKEW
from tests.fakes.carp_packets import VHID, packet
from tests.fakes.native_host import INTERVAL_MS, NativeHost, Segment
from tests.fakes.timeless import clock, in_no_time
from tests.loops import until

INTERVAL_S = INTERVAL_MS / 1000
MASTER, BACKUP = RoleName.MASTER, RoleName.BACKUP
OTHER = "10.0.1.99"


async def lone_master(tmp_path: Path, *, drain_s: float = 0.0) -> NativeHost:
    node = NativeHost(Segment(), tmp_path / "a", 11, drain_s=drain_s)
    await node.life.begin()
    await until(lambda: node.role is MASTER, "MASTER")
    return node


async def with_backup(tmp_path: Path) -> tuple[NativeHost, NativeHost]:
    a = await lone_master(tmp_path)
    b = NativeHost(a.segment, tmp_path / "b", 12, advskew=10)
    await b.life.begin()
    await asyncio.sleep(1.0)
    return a, b


@in_no_time
async def test_a_leaving_that_breaks_off_leaves_a_master_that_speaks(tmp_path: Path) -> None:
    node = await lone_master(tmp_path)
    leaving = asyncio.ensure_future(node.life.leave("handover", must=True))
    await asyncio.sleep(0.5)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    said = len(node.words)
    await asyncio.sleep(10 * INTERVAL_S)

    assert (node.role, node.holds) == (MASTER, True)
    assert len(node.words) - said >= 19


@in_no_time
async def test_a_leaving_that_breaks_off_at_its_end_speaks_for_no_address(tmp_path: Path) -> None:
    node = await lone_master(tmp_path)

    def breaks() -> int:
        node.hands.addresses_off("gone")
        raise KeyboardInterrupt

    node.hands.destroy = breaks  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await node.life.leave("handover", must=True)
    said = len(node.words)
    await asyncio.sleep(2 * INTERVAL_S)

    assert len(node.words) == said


@in_no_time
async def test_who_asks_for_the_stop_again_waits_for_its_end(tmp_path: Path) -> None:
    node = await lone_master(tmp_path)
    first = asyncio.ensure_future(node.life.stop("stopping"))
    await asyncio.sleep(0.1)
    assert node.holds

    await node.life.stop("once more")
    assert (first.done(), node.holds) == (True, False)
    assert node.resignations == 3


@in_no_time
async def test_a_stop_during_a_move_is_no_second_move(tmp_path: Path) -> None:
    a, b = await with_backup(tmp_path)
    moving = asyncio.ensure_future(a.life.leave("handover", must=False))
    await asyncio.sleep(0)
    await a.life.stop("stopping")

    assert ((await moving).left, b.role) == (True, MASTER)
    assert a.resignations == 1


@in_no_time
async def test_a_supervisord_that_is_gone_is_answered_at_once(tmp_path: Path) -> None:
    a, b = await with_backup(tmp_path)
    a.life.abandon()
    assert (a.holds, a.resignations) == (False, 1)

    await asyncio.sleep(0.002)
    assert b.role is MASTER


@in_no_time
async def test_a_fault_moves_the_addresses_to_the_healthy_one(tmp_path: Path) -> None:
    a, b = await with_backup(tmp_path)
    a.life.fault("serving", "nginx does not answer", 4)
    await a.life.judge()

    assert (a.role, b.role) == (BACKUP, MASTER)
    assert a.resignations == 1


@in_no_time
async def test_a_fault_that_nobody_is_without_only_changes_what_is_said(tmp_path: Path) -> None:
    node = await lone_master(tmp_path)
    node.world.is_better = False
    node.life.fault("serving", "nginx does not answer", 4)
    await node.life.judge()
    await asyncio.sleep(INTERVAL_S)

    assert (node.role, node.resignations) == (MASTER, 0)
    assert node.words[-1].advskew == FAULTY_ADVSKEW + 4


@in_no_time
async def test_a_fault_that_grows_is_left_for_a_lesser_one(tmp_path: Path) -> None:
    node = await lone_master(tmp_path)
    node.world.is_better = False
    node.life.fault("serving", "nginx does not answer", 4)
    await node.life.judge()
    node.world.is_better = True
    node.life.fault("haproxy", "haproxy does not answer", 8)
    await node.life.judge()

    assert node.resignations == 3


@in_no_time
async def test_a_fault_while_paused_is_noted_and_not_spoken(tmp_path: Path) -> None:
    a, b = await with_backup(tmp_path)
    a.world.is_paused = True
    a.life.fault("serving", "nginx does not answer", 4)
    await a.life.judge()
    await asyncio.sleep(INTERVAL_S)

    assert (a.role, b.role) == (MASTER, BACKUP)
    assert a.words[-1].advskew == 0
    assert a.life.as_dict()["faults"] == ["nginx does not answer"]


@in_no_time
async def test_what_becomes_of_a_link_that_is_down_already_is_told_once(tmp_path: Path) -> None:
    node = await lone_master(tmp_path)
    for what in ("eth0 is down", "eth0 is down", "eth0 was renamed to wan7"):
        await node.life.look_again(False, what)
    told = []
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            async for event in node.journal.watch(0):
                told += [event.text] if event.kind == "link" else []

    assert told == ["eth0 is down: this node gives way", "eth0 was renamed to wan7"]
    assert node.life.link_changes == 1


@in_no_time
async def test_a_link_that_flaps_is_a_fault(tmp_path: Path) -> None:
    node = await lone_master(tmp_path)
    for change in range(FLAPS + 1):
        await node.life.look_again(change % 2 == 1, "eth0 flaps")
        await asyncio.sleep(0.5)
    await node.life.judge()

    assert "eth0 flaps" in node.life.as_dict()["faults"][0]
    assert node.life.link_changes == FLAPS + 1


@in_no_time
async def test_a_link_that_is_slow_to_change_is_no_fault(tmp_path: Path) -> None:
    node = await lone_master(tmp_path)
    for change in range(FLAPS + 1):
        await node.life.look_again(change % 2 == 1, "eth0 flaps")
        await asyncio.sleep(3.0)
    await node.life.judge()

    assert node.life.as_dict()["faults"] == []


@in_no_time
async def test_a_second_master_that_does_not_hear_costs_a_renewal_each_fifth_of_a_second(
    tmp_path: Path,
) -> None:
    node = await lone_master(tmp_path)
    await asyncio.sleep(3.0)
    renewed, announced, began = node.table.renewals, len(node.announced), clock()
    for number in range(200):
        # A ucarp of the worse priority: its words keep coming.
        node.hears(packet(OTHER, Advertisement(VHID, 1, 100, 1000 + number)))
        await asyncio.sleep(0.01)

    assert clock() - began == pytest.approx(2.0, abs=0.1)
    assert 9 <= len(node.announced) - announced <= 25
    assert node.table.renewals - renewed <= 60
