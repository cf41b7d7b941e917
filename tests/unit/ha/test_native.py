"""The native engine between a real election and a wire in memory, in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lbctl.ha import carp
from lbctl.ha.carp import Advertisement, Password
from lbctl.ha.lease import Verdict
from lbctl.ha.role import RoleName
from tests.fakes.carp_packets import VHID, VIP, changed, packet
from tests.fakes.native_host import INTERVAL_MS, NativeHost, Segment
from tests.fakes.timeless import clock, in_no_time, stand_still
from tests.loops import until

INTERVAL_S = INTERVAL_MS / 1000
#: (2 x 3 - 1) packets, two in each interval, and 3 ms.
DEAD_S = 5 * INTERVAL_S / 2 + 0.003
MASTER, BACKUP = RoleName.MASTER, RoleName.BACKUP
UCARP = "10.0.1.99"


async def started(tmp_path: Path, *advskews: int) -> tuple[Segment, list[NativeHost]]:
    """Nodes of these advskews, each MASTER or BACKUP by now."""
    segment = Segment()
    nodes = [
        NativeHost(segment, tmp_path / str(number), number, advskew=advskew)
        for number, advskew in enumerate(advskews, 11)
    ]
    for node in nodes:
        await node.life.begin()
    await asyncio.sleep(1.0)
    return segment, nodes


async def master(node: NativeHost) -> None:
    """Return within 2 ms of its becoming MASTER."""
    await until(lambda: node.role is MASTER, f"{node.source} is MASTER")


@in_no_time
async def test_a_lone_node_takes_the_addresses_after_its_dead_time(tmp_path: Path) -> None:
    node = NativeHost(Segment(), tmp_path / "a", 11)
    await node.life.begin()
    began = clock()
    await master(node)

    assert 3 * INTERVAL_S <= clock() - began <= 3 * INTERVAL_S + 0.003
    assert (node.holds, len(node.announced)) == (True, 1)


@in_no_time
async def test_of_two_the_lower_advskew_serves_alone(tmp_path: Path) -> None:
    _, (a, b) = await started(tmp_path, 20, 10)

    assert (a.role, b.role) == (BACKUP, MASTER)
    assert (a.holds, b.holds) == (False, True)


@in_no_time
async def test_each_advertisement_is_sent_twice_an_interval(tmp_path: Path) -> None:
    _, (node,) = await started(tmp_path, 0)
    sent = node.mouth.sent
    await asyncio.sleep(10 * INTERVAL_S)

    assert 19 <= node.mouth.sent - sent <= 21


@in_no_time
async def test_a_dead_master_is_missed_for_the_dead_time(tmp_path: Path) -> None:
    segment, (a, b) = await started(tmp_path, 0, 10)
    segment.cut.add(a.source)
    began = clock()
    await master(b)

    assert DEAD_S - INTERVAL_S / 2 - 0.001 <= clock() - began <= DEAD_S + 0.003


@in_no_time
async def test_after_a_cut_the_winner_announces_again(tmp_path: Path) -> None:
    segment, (a, b) = await started(tmp_path, 0, 10)
    segment.cut.add(a.source)
    await asyncio.sleep(1.0)
    announced = len(a.announced)
    segment.cut.clear()
    await asyncio.sleep(INTERVAL_S)

    assert (a.role, b.role) == (MASTER, BACKUP)
    assert (a.holds, b.holds) == (True, False)
    # At once, and once more after the loser's last word.
    assert len(a.announced) > announced

    healed = clock()
    await asyncio.sleep(2.0)
    assert sum(at > healed for at in a.announced) >= 3


@in_no_time
async def test_a_leaving_node_goes_when_the_other_has_come(tmp_path: Path) -> None:
    _, (a, b) = await started(tmp_path, 0, 0)
    assert a.role is MASTER
    began = clock()
    report = await a.life.leave("handover", must=False, yields=True)

    assert (report.left, report.taken_over_by) == (True, b.source)
    assert clock() - began < 0.005
    assert (a.holds, b.holds) == (False, True)
    assert a.resignations == 1


@in_no_time
async def test_a_node_that_nobody_relieves_goes_on(tmp_path: Path) -> None:
    segment, (a, _) = await started(tmp_path, 0, 0)
    segment.cut.add(a.source)
    report = await a.life.leave("handover", must=False)

    assert not report.left
    assert (a.role, a.holds) == (MASTER, True)
    sent = a.mouth.sent
    await asyncio.sleep(INTERVAL_S)
    assert a.mouth.sent > sent


@in_no_time
async def test_a_master_that_stood_still_says_nothing_before_it_has_listened(
    tmp_path: Path,
) -> None:
    _, (a, b) = await started(tmp_path, 0, 10)
    del b  # stands still as well: it is the same loop
    sent, stood = a.mouth.sent, len(a.announced)
    stand_still(5.0)
    a.engine.look()

    assert (a.role, a.holds) == (BACKUP, False)
    assert (a.mouth.sent, len(a.announced)) == (sent, stood)


@in_no_time
async def test_a_gap_shorter_than_the_peers_patience_is_no_standstill(tmp_path: Path) -> None:
    _, (a,) = await started(tmp_path, 0)
    await until(lambda: clock() - a.mouth.left_at < 0.003, "it has just spoken")
    stand_still(DEAD_S - 0.004 - (clock() - a.mouth.left_at))
    a.engine.look()

    assert a.role is MASTER

    stand_still(DEAD_S)
    a.engine.look()
    assert a.role is BACKUP


@in_no_time
async def test_a_link_that_is_down_ends_the_role_and_up_it_is_taken_again(tmp_path: Path) -> None:
    _, (a,) = await started(tmp_path, 0)
    await a.life.look_again(False, "eth0 has no carrier")
    assert (a.role, a.holds) == (BACKUP, False)

    await a.life.look_again(True, "eth0 is up")
    await asyncio.sleep(DEAD_S + 0.1)
    assert (a.role, a.holds) == (MASTER, True)


@in_no_time
async def test_a_link_that_comes_up_before_the_first_word_is_used(tmp_path: Path) -> None:
    node = NativeHost(Segment(), tmp_path / "a", 11)
    await node.life.look_again(False, "eth0 has no carrier")
    await node.life.look_again(True, "eth0 is up")
    await node.life.begin()
    await asyncio.sleep(0.5)

    assert node.role is MASTER


@in_no_time
async def test_a_lease_is_renewed_only_while_words_leave(tmp_path: Path) -> None:
    _, (a,) = await started(tmp_path, 0)
    assert a.engine.verdict()[0] is Verdict.RENEW

    a.way.is_closed = True
    await asyncio.sleep(4 * INTERVAL_S)
    what, doubt = a.engine.verdict()
    assert (what, "no advertisement has left" in doubt) == (Verdict.KEEP, True)


@in_no_time
async def test_a_restarted_vipd_touches_nothing_before_it_has_listened(tmp_path: Path) -> None:
    node = NativeHost(Segment(), tmp_path / "a", 11, was=MASTER)
    node.table.leases["10.0.1.201/32"] = 2.0
    await node.life.begin()
    await node.life.tick()

    assert node.holds
    assert (node.table.renewals, node.announced, node.words) == (0, [], [])

    await asyncio.sleep(DEAD_S + 0.1)
    assert (node.role, len(node.announced)) == (MASTER, 1)


@in_no_time
async def test_a_restarted_vipd_puts_no_address_back(tmp_path: Path) -> None:
    node = NativeHost(Segment(), tmp_path / "a", 11, was=MASTER)
    await node.life.look_again(True, "eth0 is up")
    await node.life.tick()

    assert (node.holds, node.announced) == (False, [])


@in_no_time
async def test_a_restarted_vipd_gives_way_to_whom_it_hears(tmp_path: Path) -> None:
    segment, (b,) = await started(tmp_path, 10)
    a = NativeHost(segment, tmp_path / "a", 42, was=MASTER, advskew=10)
    a.table.leases["10.0.1.201/32"] = 2.0
    await a.life.begin()
    await asyncio.sleep(INTERVAL_S)

    assert (a.role, a.holds, a.announced) == (BACKUP, False, [])
    assert b.role is MASTER


@in_no_time
async def test_who_lets_go_after_a_restart_has_the_other_announce_again(tmp_path: Path) -> None:
    segment, (b,) = await started(tmp_path, 10)
    a = NativeHost(segment, tmp_path / "a", 42, was=MASTER, advskew=10)
    a.table.leases["10.0.1.201/32"] = 2.0
    announced = len(b.announced)
    await a.life.begin()
    await asyncio.sleep(INTERVAL_S)

    assert (a.holds, b.role) == (False, MASTER)
    assert (a.resignations, len(b.announced)) == (1, announced + 1)


@in_no_time
async def test_who_let_go_without_a_word_says_so_once_to_whom_it_hears(tmp_path: Path) -> None:
    segment, (a, b) = await started(tmp_path, 10, 10)
    segment.cut.add(a.source)
    await master(b)
    await asyncio.sleep(0.5)
    a.engine.give_up("the lease is over")
    announced = len(b.announced)
    segment.cut.clear()
    await asyncio.sleep(INTERVAL_S)

    assert (a.role, a.holds, b.role) == (BACKUP, False, MASTER)
    assert a.resignations == 1
    assert len(b.announced) > announced

    await asyncio.sleep(1.0)
    assert (a.role, b.role, a.resignations) == (BACKUP, MASTER, 1)


@in_no_time
async def test_a_greeting_of_a_ucarp_that_leads_keeps_a_starting_node_from_it(
    tmp_path: Path,
) -> None:
    node = NativeHost(Segment(), tmp_path / "a", 11)
    node.engine.greeted(UCARP, is_native=False, position=0, leads=0)
    await node.life.begin()
    await asyncio.sleep(2.0)
    assert node.role is BACKUP

    await asyncio.sleep(1.5)
    assert node.role is MASTER


@in_no_time
async def test_what_is_not_believed_is_counted_by_its_reason(tmp_path: Path) -> None:
    segment, (a, b) = await started(tmp_path, 0, 10)
    genuine = packet(a.source, a.words[-2])
    for raw in (
        genuine,
        changed(genuine, ttl=254),
        changed(genuine, vhid=VHID + 1),
        genuine[:30],
        packet(b.source, Advertisement(VHID, 1, 0, 77)),
        carp.ip_packet(
            UCARP, carp.encode(Advertisement(VHID, 1, 0, 5), vip=VIP, password=Password(b"other"))
        ),
    ):
        b.hears(raw)
    refused = b.engine.as_dict()["refused"]

    assert refused["replayed"] == 1
    assert set(refused) == {
        "replayed", "wrong ttl", "wrong vhid", "truncated", "own source", "bad digest",
    }  # fmt: skip
    assert (a.role, b.role) == (MASTER, BACKUP)
    assert segment.cut == set()


@in_no_time
async def test_a_ucarp_peer_is_said_not_to_be_protected(tmp_path: Path) -> None:
    _, (a,) = await started(tmp_path, 0)
    assert a.engine.protection() == ""

    a.hears(packet(UCARP, Advertisement(VHID, 1, 50, 12345)))
    assert UCARP in a.engine.protection()


@in_no_time
async def test_the_end_of_the_bundle_gives_the_addresses_away(tmp_path: Path) -> None:
    _, (a, b) = await started(tmp_path, 0, 10)
    await a.life.stop("stopping")

    assert (a.holds, b.role) == (False, MASTER)
    sent = a.mouth.sent
    await asyncio.sleep(1.0)
    assert a.mouth.sent == sent


@in_no_time
async def test_nobody_moves_while_paused_but_by_somebodys_will(tmp_path: Path) -> None:
    segment, (a, b) = await started(tmp_path, 0, 10)
    for node in (a, b):
        await node.engine.pause(True)
    segment.cut.add(a.source)
    await asyncio.sleep(2.0)
    assert (a.role, b.role) == (MASTER, BACKUP)

    segment.cut.clear()
    await asyncio.sleep(0.2)
    await a.life.stop("stopping")
    assert (a.role, b.role) == (BACKUP, MASTER)


@in_no_time
async def test_a_greeting_of_a_ucarp_that_leads_counts_while_nobody_has_been_heard(
    tmp_path: Path,
) -> None:
    node = NativeHost(Segment(), tmp_path / "a", 11)
    await node.life.begin()
    await asyncio.sleep(INTERVAL_S)
    node.engine.greeted(UCARP, is_native=False, position=0, leads=0)
    await asyncio.sleep(2.5)

    assert node.role is BACKUP


@in_no_time
async def test_after_a_handover_the_better_node_does_not_take_them_back(tmp_path: Path) -> None:
    _, (a, b) = await started(tmp_path, 0, 10)
    await a.life.leave("handover", must=False, yields=True)
    await asyncio.sleep(5.0)

    assert (a.role, b.role) == (BACKUP, MASTER)


@in_no_time
async def test_after_a_fault_the_better_node_takes_them_back(tmp_path: Path) -> None:
    _, (a, b) = await started(tmp_path, 0, 10)
    a.life.fault("serving", "nginx does not answer", 4)
    await a.life.judge()
    assert b.role is MASTER

    await asyncio.sleep(15.0)
    assert (a.role, b.role) == (MASTER, BACKUP)


@pytest.mark.parametrize(("cut_s", "is_loss"), [(3 * INTERVAL_S / 2, True), (0.3, False)])
@in_no_time
async def test_packets_that_are_missing_are_lost_unless_their_sender_counted_as_dead(
    tmp_path: Path, *, cut_s: float, is_loss: bool
) -> None:
    segment, (a, b) = await started(tmp_path, 0, 10)
    segment.cut.add(a.source)
    await asyncio.sleep(cut_s)
    segment.cut.clear()
    await asyncio.sleep(2 * INTERVAL_S)

    assert (a.role, b.role) == (MASTER, BACKUP)
    assert (b.engine.as_dict()["loss"] > 0) is is_loss
    assert (b.engine.dead_time_s > DEAD_S) is is_loss
