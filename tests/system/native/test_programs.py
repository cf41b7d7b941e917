"""Native on both sides: programs that die, stop or cannot start, and who serves then."""

from __future__ import annotations

import signal

from lbctl.lab.bundle import Node, children_of
from lbctl.lab.leftovers import superfluous
from lbctl.lab.process import pids_in
from lbctl.lab.wait import wait_until
from tests.fakes.carp_ear import Ear
from tests.faults import (
    GIVEN_UP_WITHIN_S,
    RECOVERED_WITHIN_S,
    REVIVED_WITHIN_S,
    break_haproxy,
    break_nginx,
    haproxies,
    kill_everything,
    mend_haproxy,
    mend_nginx,
    restarts,
    signal_all,
    wait_back,
)
from tests.natives import DEAD_S, PLANNED_MS, SILENT_MS, START_S, Stage, ha, is_ever, transitions
from tests.pairs import faults, lbctl

#: A lease that nobody renews: 3 s, and what is left of the second in which it was renewed last.
LEASE_S = 4.0
#: nginx does not start, supervisord says BACKOFF, nobody has to wait until it is given up.
DEMOTED_S = 3.0
#: A node that is better takes over as soon as it hears a faulty master.
PREEMPTED_S = 1.0


def test_one_dead_haproxy_of_several_moves_nothing(stage: Stage) -> None:
    master, probe = stage.master, stage.probe
    before = transitions(stage.pair.nodes)
    program = haproxies(master)[0]
    count = restarts(master, program)
    mark = probe.mark()
    pid = master.kill(program, whole=True)
    wait_back(master, program, pid, count)

    assert transitions(stage.pair.nodes) == before
    assert faults(master) == []
    assert {record.node for record in probe.successes(mark)} == {master.name}


def test_when_every_haproxy_is_killed_the_other_node_serves_at_once(stage: Stage) -> None:
    master, backup, probe = stage.master, stage.backup, stage.probe
    # All at once: one that dies alone is back in 25 ms, before the next would be asked for its pid.
    masters = [master.pid_of(program) for program in haproxies(master)]
    everyone = [pid for one in masters for pid in (one, *children_of(one))]
    mark = probe.mark()
    signal_all(everyone, signal.SIGKILL)
    backup.wait_role("MASTER", 2)
    probe.wait_answers(20, 2)

    assert stage.outage(mark, PLANNED_MS, "every HAProxy process killed")
    assert stage.pair.holders() == {backup.host.mac}


def test_killed_vipd_leaves_one_master_and_no_gap(stage: Stage) -> None:
    pair, master, probe = stage.pair, stage.master, stage.probe
    count = restarts(master, "vipd")
    mark = probe.mark()
    pid = master.kill("vipd")
    wait_back(master, "vipd", pid, count)
    stays, _ = pair.wait_settled(LEASE_S)
    probe.wait_answers(20, 1)

    assert stage.outage(mark, SILENT_MS, f"vipd killed, {stays.name} has it")
    assert stage.is_single(mark, LEASE_S, "vipd killed")
    assert stage.reached(mark) == {stays.name}


def test_node_stopped_for_5_s_says_nothing_before_it_has_noticed(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    with Ear(pair.client) as ear:
        wait_until(lambda: ear.said(master.host.address), 2, "the master to be heard")
        stopped = pids_in([master.host.ns])
        mark = probe.mark()
        signal_all(stopped, signal.SIGSTOP)
        try:
            backup.wait_role("MASTER", 1)
            probe.wait_answers(20, 2)
            assert stage.outage(mark, SILENT_MS, "host stopped")
            assert not is_ever(lambda: backup.role() != "MASTER", 5.0)
        finally:
            again = probe.mark()
            signal_all(stopped, signal.SIGCONT)
        assert pair.wait_settled(2) == (backup, master)
        assert stage.is_single(mark, LEASE_S, "host stopped for 5 s")
        assert stage.outage(again, SILENT_MS, "host goes on")
        assert [one for one in ear.said(master.host.address, again) if not one.is_resignation] == []
    events = [event["text"] for event in master.status()["events"]]
    assert any("vipd did not run for" in text for text in events)


def test_killed_supervisord_takes_its_node_down_and_the_peer_serves(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    master.process.signal(signal.SIGKILL)
    wait_until(
        lambda: not pids_in([master.host.ns]), 4, "the end of its children", seen=master.dump
    )
    probe.wait_answers(20, 2)
    assert pair.holders() == {backup.host.mac}
    assert stage.outage(mark, SILENT_MS, "supervisord killed")

    pair.start_node(master)


def test_host_killed_whole_is_replaced_and_its_lease_runs_out(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    kill_everything(master)
    backup.wait_role("MASTER", 1)
    probe.wait_answers(20, 2)
    assert stage.outage(mark, SILENT_MS, "everything killed")
    wait_until(lambda: pair.holders() == {backup.host.mac}, LEASE_S, "one holder")
    assert stage.is_single(mark, LEASE_S, "everything killed")

    pair.start_node(master)


def test_healthy_node_holds_the_vip_and_of_two_faulty_ones_the_lesser(stage: Stage) -> None:
    one, other, probe = stage.master, stage.backup, stage.probe
    try:
        mark = probe.mark()
        break_nginx(one)
        other.wait_role("MASTER", DEMOTED_S)
        assert stage.outage(mark, PLANNED_MS, "nginx broken on the master")

        mark = probe.mark()
        break_more(other)
        one.wait_role("MASTER", DEMOTED_S)
        probe.wait_answers(20, 2)
        assert stage.outage(mark, PLANNED_MS + DEMOTED_S * 1000, "both broken, one of them more")
        assert faults(one)
        wait_until(lambda: is_given_up(one), GIVEN_UP_WITHIN_S, "nginx to be given up")
        assert stage.pair.holders() == {one.host.mac}
        mark = probe.mark()
    finally:
        mend_haproxy(other, *haproxies(other))
        mend_nginx(other)
        other.stop()
    keeps_it_alone(one)
    stage.pair.start_node(other)
    other.wait_role("MASTER", START_S + PREEMPTED_S)
    assert stage.outage(mark, PLANNED_MS, "faulty and alone, then preempted by a healthy node")
    mend_nginx(one)
    within_s = REVIVED_WITHIN_S + RECOVERED_WITHIN_S
    wait_until(lambda: not faults(one), within_s, "the other one healed", every_s=0.1)
    assert stage.pair.holders() == {other.host.mac}


def break_more(node: Node) -> None:
    """A broken HAProxy besides nginx: of two faulty nodes this is now the worse."""
    break_nginx(node)
    break_haproxy(node, *haproxies(node))


def keeps_it_alone(node: Node) -> None:
    """Though it is faulty, and says why it does not give it away."""
    refused = lbctl(node, "handover")
    assert refused.returncode == 14, refused.stdout
    assert "--force gives the addresses away all the same" in refused.stderr
    assert node.role() == "MASTER"


def is_given_up(node: Node) -> bool:
    return node.programs()["nginx"][0] == "FATAL"


def test_nothing_piled_up(stage: Stage) -> None:
    for node in stage.pair.nodes:
        wait_until(
            lambda node=node: not superfluous(node),  # type: ignore[misc]
            2,
            f"nothing superfluous on {node.name}",
            seen=lambda node=node: superfluous(node),  # type: ignore[misc]
        )
        assert ha(node)["dead_time_s"] <= DEAD_S
