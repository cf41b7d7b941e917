"""Native on both sides: a network that passes packets in one direction only, loses them, flaps."""

from __future__ import annotations

import time

import pytest

from lbctl.lab.bundle import Node
from lbctl.lab.wait import wait_until
from tests.natives import BUSY_MS, DEAD_S, SILENT_MS, Stage, ha, is_ever, transitions
from tests.pairs import faults

HELD_S = 2.0
LOSS_PERCENT = 30
LOSSY_S = 20.0
#: What the link loses itself, both ways: connecting again takes TCP a second.
CLIENTS_S = 3.0


def test_a_master_that_is_not_heard_any_more_is_replaced(stage: Stage) -> None:
    pair, master, probe = stage.pair, stage.master, stage.probe
    mark = probe.mark()
    pair.lab.one_way(master.host, mute=True)
    try:
        wait_until(lambda: probe.failures(mark), 2, "the outage")
        probe.wait_answers(20, 2)
        assert stage.outage(mark, SILENT_MS, "mute master")
    finally:
        healed = probe.mark()
        pair.lab.one_way(master.host)
    stays, _ = pair.wait_settled(2)
    assert stage.is_single(healed, DEAD_S, "heard again")
    assert stage.reached(healed) == {stays.name}
    assert stage.outage(healed, SILENT_MS, "heard again")


@pytest.mark.parametrize("whose", ["master", "backup"])
def test_a_deaf_node_harms_for_no_longer_than_it_is_deaf(stage: Stage, whose: str) -> None:
    pair, probe = stage.pair, stage.probe
    deaf: Node = getattr(stage, whose)
    mark = probe.mark()
    pair.lab.one_way(deaf.host, deaf=True)
    try:
        due = time.monotonic() + HELD_S
        wait_until(lambda: time.monotonic() > due, HELD_S + 1, "the clock")
    finally:
        healed = probe.mark()
        pair.lab.one_way(deaf.host)
    stays, _ = pair.wait_settled(2)
    assert stage.is_single(healed, DEAD_S, f"deaf {whose} hears again, {stays.name} stays")
    assert stage.reached(healed) == {stays.name}
    assert stage.outage(mark, HELD_S * 1000 + SILENT_MS, f"deaf {whose} for {HELD_S:g} s")


def test_a_link_that_loses_30_percent_moves_the_vip_at_most_once(
    stage: Stage,
) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    before = transitions(pair.nodes)
    mark = probe.mark()
    pair.lab.lossy(master.host, LOSS_PERCENT)
    lost, dead_s = [0.0], [0.0]
    try:
        due = time.monotonic() + LOSSY_S
        while time.monotonic() < due:
            seen = ha(backup)
            lost.append(seen["loss"])
            dead_s.append(seen["dead_time_s"])
            second = time.monotonic() + 1
            wait_until(lambda second=second: time.monotonic() > second, 2, "a second")  # type: ignore[misc]
        changes = transitions(pair.nodes) - before
    finally:
        pair.lab.lossy(master.host, 0)
    stage.tell(
        f"{LOSS_PERCENT} % loss for {LOSSY_S:g} s: {changes} changes of role; measured loss at "
        f"most {max(lost):.0%}, dead time at most {max(dead_s) * 1e3:.0f} ms"
    )
    # One move is two changes: one node leaves the role that the other takes.
    assert changes <= 2
    assert 0.1 < max(lost) < 0.6
    assert max(dead_s) > DEAD_S
    assert stage.outage(mark, CLIENTS_S * 1000 + BUSY_MS, "lossy link")
    pair.wait_settled(2)


# The last one here: what flaps counts as a fault for ten seconds.


def test_link_that_flaps_ends_with_the_vip_at_the_other_node(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    for tick in range(10):
        (pair.lab.link_up if tick % 2 else pair.lab.link_down)(master.host)
        due = mark + (tick + 1) * 200_000_000
        wait_until(lambda due=due: time.monotonic_ns() >= due, 1, "the clock")  # type: ignore[misc]
    assert pair.wait_settled(2) == (backup, master)
    assert stage.outage(mark, SILENT_MS, "link flaps for 2 s")
    assert stage.is_single(mark, DEAD_S, "link flaps")
    wait_until(lambda: "flaps" in str(faults(master)), 2, "flapping to count as a fault")
    assert not is_ever(lambda: ha(backup)["role"] != "MASTER", 0.5)
