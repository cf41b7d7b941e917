"""
Programs that are killed, stopped, or cannot start, on a pair that serves.

One pair goes through all of it: each test begins with both nodes well and says which of them is
master; at the end nothing may have piled up. The bounds are those of the ucarp engine.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator

import pytest

from lbctl.lab.bundle import Node, children_of
from lbctl.lab.hosts import Lab
from lbctl.lab.leftovers import superfluous
from lbctl.lab.pair import VIP, Pair, make_pair
from lbctl.lab.probe import Probe
from lbctl.lab.process import pids_in
from lbctl.lab.wait import wait_until
from tests.faults import (
    GIVEN_UP_WITHIN_S,
    HEARD_WITHIN_S,
    MENDED_MS,
    NGINX_CONF,
    NGINX_PORT,
    RECOVERED_WITHIN_S,
    REVIVED_WITHIN_S,
    Stage,
    break_haproxy,
    break_nginx,
    haproxies,
    kill_everything,
    mend_haproxy,
    mend_nginx,
    recovery_ms,
    restarts,
    row_of,
    signal_all,
    wait_back,
    wait_holder,
    watch_holders,
)
from tests.pairs import OUTAGE_MS, faults, wait_well

pytestmark = pytest.mark.system

#: advbase 1 s, dead ratio 3.


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    """One lab for all tests of this file; its name brings its dump into the report of a failure."""
    with Lab() as lab:
        yield lab


@pytest.fixture(name="pair", scope="module")
def _pair(lab: Lab) -> Pair:
    pair = make_pair(lab)
    for node in pair.nodes:
        node.config.nginx_d.mkdir()
        (node.config.nginx_d / "page.conf").write_text(NGINX_CONF)
    pair.start()
    pair.wait_settled()
    return pair


@pytest.fixture(name="probe", scope="module")
def _probe(pair: Pair) -> Iterator[Probe]:
    """A client of HAProxy on the VIP."""
    with pair.probe() as probe:
        yield probe


@pytest.fixture(name="page", scope="module")
def _page(pair: Pair) -> Iterator[Probe]:
    """A client of nginx on the VIP."""
    with Probe(pair.client, VIP, NGINX_PORT) as probe:
        yield probe


@pytest.fixture(name="stage")
def _stage(pair: Pair, probe: Probe, page: Probe, capsys: pytest.CaptureFixture[str]) -> Stage:
    def tell(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}")
            sys.stdout.flush()

    master, backup = wait_well(pair)
    for client in (probe, page):
        client.wait_answers(20, 2)
        client.forget(client.mark())
    return Stage(pair, master, backup, probe, tell)


@pytest.mark.parametrize("program", ["vipd", "agent", "haproxy-01", "nginx", "logd"])
def test_killed_program_is_mended_in_place(
    stage: Stage, probe: Probe, page: Probe, program: str
) -> None:
    master = stage.master
    count = restarts(master, program)
    mark = probe.mark()
    pid = master.kill(program, whole=True)
    wait_back(master, program, pid, count)
    outage = max(client.outage_ms(mark) for client in (probe, page))
    moved = {record.node for record in probe.successes(mark)}
    failed = {**probe.reasons(mark), **page.reasons(mark)}
    stage.tell(f"kill -9 {program}: outage {outage:.0f} ms, failed: {failed or 'none'}")

    assert outage <= MENDED_MS
    assert moved == {master.name}
    assert stage.pair.holders() == {master.host.mac}
    # A vipd that is started again opens its door a moment after supervisord calls it running.
    wait_until(lambda: master.status()["ha"], 2, "vipd to answer")
    assert faults(master) == []


def test_all_killed_haproxies_are_mended_in_place(stage: Stage, probe: Probe) -> None:
    master = stage.master
    counts = {program: restarts(master, program) for program in haproxies(master)}
    mark = probe.mark()
    pids = {program: master.kill(program, whole=True) for program in counts}
    for program, count in counts.items():
        wait_back(master, program, pids[program], count)
    stage.tell(f"kill -9 every haproxy: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= MENDED_MS
    assert {record.node for record in probe.successes(mark)} == {master.name}
    assert faults(master) == []


# Killed, and the peer takes over.


def test_killed_ucarp_leaves_one_holder(stage: Stage, probe: Probe) -> None:
    master = stage.master
    count = restarts(master, "ucarp")
    mark = probe.mark()
    pid = master.kill("ucarp")
    watch_holders(stage, mark)
    wait_back(master, "ucarp", pid, count)
    wait_well(stage.pair)
    stage.tell(f"kill -9 ucarp: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS


def test_killed_supervisord_takes_its_node_down_and_the_peer_serves(
    stage: Stage, probe: Probe
) -> None:
    master = stage.master
    mark = probe.mark()
    master.process.signal(signal.SIGKILL)
    wait_until(
        lambda: not pids_in([master.host.ns]),
        4,
        "the end of supervisord's children",
        seen=master.dump,
    )
    ended_s = (time.monotonic_ns() - mark) / 1e9
    watch_holders(stage, mark)
    stage.tell(
        f"kill -9 supervisord: outage {probe.outage_ms(mark):.0f} ms, all gone in {ended_s:.1f} s"
    )

    assert probe.outage_ms(mark) <= OUTAGE_MS
    assert stage.pair.holders() == {stage.backup.host.mac}

    stage.pair.start_node(master)
    assert wait_well(stage.pair) == (stage.backup, master)


def test_node_that_is_killed_whole_leaves_one_holder(stage: Stage, probe: Probe) -> None:
    master = stage.master
    mark = probe.mark()
    kill_everything(master)
    watch_holders(stage, mark)
    stage.tell(f"kill -9 everything: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS
    assert stage.pair.holders() == {stage.backup.host.mac}

    stage.pair.start_node(master)
    assert wait_well(stage.pair) == (stage.backup, master)


# Stopped: there, and saying nothing.


def test_stopped_ucarp_leaves_one_holder_and_one_master_when_it_goes_on(
    stage: Stage, probe: Probe
) -> None:
    mark = probe.mark()
    pid = stage.master.kill("ucarp", signal.SIGSTOP)
    watch_holders(stage, mark)
    stage.tell(f"SIGSTOP ucarp: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS

    again = probe.mark()
    signal_all([pid], signal.SIGCONT)
    stage.pair.wait_settled(4)
    watch_holders(stage, again)
    stage.tell(f"SIGCONT ucarp: outage {probe.outage_ms(again):.0f} ms")

    assert probe.outage_ms(again) <= OUTAGE_MS


def test_stopped_vipd_is_killed_and_the_vip_answers_again(stage: Stage, probe: Probe) -> None:
    master = stage.master
    count = restarts(master, "vipd")
    mark = probe.mark()
    pid = master.kill("vipd", signal.SIGSTOP)
    wait_back(master, "vipd", pid, count, within_s=6)
    probe.wait_answers(20, 1)
    stage.tell(f"SIGSTOP vipd: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS
    assert {record.node for record in probe.successes(mark)} == {master.name}
    assert "hang" in {event["kind"] for event in master.status()["events"]}


def test_stopped_haproxy_worker_is_killed_and_clients_recover(stage: Stage, probe: Probe) -> None:
    master = stage.master
    program = haproxies(master)[0]
    count, pid = restarts(master, program), master.pid_of(program)
    mark = probe.mark()
    signal_all(children_of(pid), signal.SIGSTOP)
    wait_back(master, program, pid, count, within_s=6)
    probe.wait_answers(100, 2)
    stage.tell(f"SIGSTOP one haproxy worker: clients fail until {recovery_ms(probe, mark):.0f} ms")

    assert 300 < recovery_ms(probe, mark) <= 4000
    assert {record.node for record in probe.successes(mark)} == {master.name}


def test_stopped_haproxies_are_killed_and_clients_recover(stage: Stage, probe: Probe) -> None:
    master = stage.master
    pids = {program: master.pid_of(program) for program in haproxies(master)}
    mark = probe.mark()
    for pid in pids.values():
        signal_all([pid, *children_of(pid)], signal.SIGSTOP)
    probe.wait_answers(100, 6)
    stage.tell(f"SIGSTOP every haproxy: clients fail until {recovery_ms(probe, mark):.0f} ms")

    assert 300 < recovery_ms(probe, mark) <= 4000
    assert all(master.pid_of(program) != pid for program, pid in pids.items())


# Cannot start any more.


def moves_to(stage: Stage, node: Node, mark: int, within_s: float, what: str) -> None:
    """The VIP is at *node* in time, and its client was not without an answer for too long."""
    wait_holder(stage, node, within_s)
    stage.probe.wait_answers(20, 2)
    outage_ms = stage.probe.outage_ms(mark)
    stage.tell(f"{what}: outage {outage_ms:.0f} ms")

    assert outage_ms <= OUTAGE_MS


def listens_again(node: Node, old_pid: int) -> bool:
    """A new ucarp has run long enough to have heard a master."""
    row = row_of(node, "ucarp")
    return row["pid"] != old_pid and (row["uptime_s"] or 0) > HEARD_WITHIN_S


def test_healthy_node_holds_the_vip_and_of_two_faulty_ones_the_lesser(stage: Stage) -> None:
    one, other, probe = stage.master, stage.backup, stage.probe
    mark = probe.mark()
    break_nginx(one)
    moves_to(stage, other, mark, OUTAGE_MS / 1000, "nginx broken on the master")

    mark = probe.mark()
    break_nginx(other)
    # A broken HAProxy besides: of the two faulty nodes this is now the worse.
    break_haproxy(other, *haproxies(other))
    moves_to(stage, one, mark, OUTAGE_MS / 1000, "nginx broken on both, haproxy on one")
    assert faults(one)
    wait_until(
        lambda: one.programs()["nginx"][0] == "FATAL", GIVEN_UP_WITHIN_S, "nginx to be given up"
    )
    assert stage.pair.holders() == {one.host.mac}

    mark = probe.mark()
    mend_haproxy(other, *haproxies(other))
    mend_nginx(other)
    healed_s = REVIVED_WITHIN_S + RECOVERED_WITHIN_S
    moves_to(stage, other, mark, healed_s + OUTAGE_MS / 1000, "the healed one takes over")

    mark = probe.mark()
    faulty = one.pid_of("ucarp")
    # The next vipd must know that ucarp speaks as a faulty one's.
    one.kill("vipd")
    mend_nginx(one)
    within_s = healed_s + HEARD_WITHIN_S
    wait_until(lambda: listens_again(one, faulty), within_s, "the healed node to have listened")
    assert wait_well(stage.pair, 2) == (other, one)
    assert {record.node for record in probe.successes(mark)} == {other.name}


def test_program_that_is_given_up_is_a_fault_until_the_agent_has_revived_it(
    stage: Stage, probe: Probe
) -> None:
    master, program = stage.master, haproxies(stage.master)[-1]
    mark = probe.mark()
    break_haproxy(master, program)
    wait_until(
        lambda: faults(master) == [f"{program} is FATAL"], GIVEN_UP_WITHIN_S, "a fault", every_s=0.1
    )
    wait_holder(stage, stage.backup, OUTAGE_MS / 1000)
    stage.tell(f"{program} FATAL: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS

    mend_haproxy(master, program)
    master.wait_running(program, within_s=REVIVED_WITHIN_S)
    assert wait_well(stage.pair, RECOVERED_WITHIN_S) == (stage.backup, master)


# After all of it.


def test_nothing_piled_up(stage: Stage) -> None:
    for node in stage.pair.nodes:
        wait_until(
            lambda node=node: not superfluous(node),  # type: ignore[misc]
            2,
            f"nothing superfluous on {node.name}",
            seen=lambda node=node: superfluous(node),  # type: ignore[misc]
        )
