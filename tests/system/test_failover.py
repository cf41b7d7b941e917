"""
The VIP moves: by itself, on purpose, and by accident, as a client sees it.

One pair goes through most of it; each test begins with both nodes well and says which of them is
master. The bounds are those of the ucarp engine. Figures are printed.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator

import pytest

from lbctl.lab.arp import holders
from lbctl.lab.backend import serve
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Host, Lab
from lbctl.lab.pair import HAPROXY_CFG, PASSWORD, VIP, Pair, make_pair
from lbctl.lab.probe import KeptAlive, Probe, SlowRequest
from lbctl.lab.process import pids_in
from lbctl.lab.wait import wait_until
from tests.fakes.wire import Wire
from tests.pairs import (
    DEAD_TIME_S,
    OUTAGE_MS,
    TWO_MASTERS_S,
    Stage,
    Tell,
    double_s,
    lbctl,
    own_lab,
    wait_connections,
    wait_well,
)

pytestmark = pytest.mark.system

#: Listening, dead time, and a second for everything else.
START_S = 3.0 + DEAD_TIME_S + 1.0
#: A planned move; stock ucarp takes 3.27 s. ucarp's pcap alone holds packets back for up to 1 s.
PLANNED_MS = 1300.0
#: ARP caches of the clients follow the winner within this.
REACHED_S = 1.0
DRAIN_S = 2.0


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    """One lab for all tests of this file; its name brings its dump into the report of a failure."""
    with Lab() as lab:
        yield lab


@pytest.fixture(name="pair", scope="module")
def _pair(lab: Lab) -> Pair:
    """Both nodes, not yet started, with the same advskew."""
    return make_pair(lab)


@pytest.fixture(name="probe", scope="module")
def _probe(pair: Pair) -> Iterator[Probe]:
    with pair.probe() as probe:
        yield probe


@pytest.fixture(name="wire", scope="module")
def _wire(pair: Pair) -> Iterator[Wire]:
    with Wire(pair.client, VIP) as wire:
        yield wire


@pytest.fixture(name="stage")
def _stage(pair: Pair, probe: Probe, tell: Tell) -> Stage:
    master, backup = wait_well(pair)
    probe.wait_answers(20, 2)
    probe.forget(probe.mark())
    return Stage(pair, master, backup, probe, tell)


def test_nodes_started_at_once_end_as_one_master_in_time(
    pair: Pair, probe: Probe, wire: Wire, tell: Tell
) -> None:
    began = probe.mark()
    pair.start()
    first = _first_answer(probe, began, tell)
    master, _ = pair.wait_settled(TWO_MASTERS_S + 2)
    _assert_one_master(wire, probe, master, first, tell)


def _first_answer(probe: Probe, began: int, tell: Tell) -> int:
    """When it came, monotonic nanoseconds; in time."""
    wait_until(lambda: probe.successes(began), START_S + 5, "a first answer")
    first = probe.successes(began)[0].end_ns
    first_s = (first - began) / 1e9
    tell(f"start: the VIP answers after {first_s:.2f} s")
    # Two seconds are for a busy machine; the figure above is the one to hold against START_S.
    assert first_s <= START_S + 2.0
    return first


def _assert_one_master(wire: Wire, probe: Probe, master: Node, since: int, tell: Tell) -> None:
    """Two masters for at most 2.2 s, and a second later every client is at the one that stays."""
    doubled = wire.doubled(since)
    tell(f"two masters for {double_s(doubled):.2f} s")
    assert double_s(doubled) <= TWO_MASTERS_S

    single = doubled[1] if doubled else since
    reached = single + int(REACHED_S * 1e9)
    wait_until(lambda: len(probe.records(reached)) > 20, REACHED_S + 1, "a second later")
    assert {record.node for record in probe.records(reached)} == {master.name}
    assert probe.outage_ms(since) <= (TWO_MASTERS_S + REACHED_S) * 1000


def test_handover_moves_the_vip_and_the_node_that_left_stays_backup(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    refused = lbctl(backup, "handover")

    assert refused.returncode == 15, refused.stderr

    mark = probe.mark()
    done = lbctl(master, "handover")
    assert done.returncode == 0, done.stderr
    assert f"{backup.host.address} took over" in done.stdout
    assert f"{backup.host.address} has the addresses" in done.stdout

    assert pair.wait_settled(2) == (backup, master)
    probe.wait_answers(20, 1)
    stage.tell(f"handover: {_outage(probe, mark)}")
    assert probe.outage_ms(mark) <= PLANNED_MS


def test_host_cut_off_is_replaced_and_gives_way_when_healed(stage: Stage, wire: Wire) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    pair.lab.cut(master.host)
    try:
        wait_until(lambda: probe.failures(mark), 2, "the outage")
        probe.wait_answers(20, OUTAGE_MS / 1000 + 1)
        stage.tell(f"host cut off: {_outage(probe, mark)}")
        assert probe.outage_ms(mark) <= OUTAGE_MS
        backup.wait_role("MASTER", 1)
    finally:
        healed = probe.mark()
        pair.lab.heal(master.host)
    stays, _ = pair.wait_settled(TWO_MASTERS_S + REACHED_S)
    stage.tell(f"healed: {_outage(probe, healed)}")
    _assert_one_master(wire, probe, stays, healed, stage.tell)


def test_sigterm_moves_the_vip_and_no_client_hangs(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    short = SlowRequest(pair.client, VIP, ms=700)
    long = SlowRequest(pair.client, VIP, ms=12_000)
    idle = Idle(pair.client)
    wait_connections(master, 3)
    mark = probe.mark()
    status = master.stop()
    stopped_s = (probe.mark() - mark) / 1e9
    probe.wait_answers(20, 1)
    stage.tell(f"SIGTERM: {_outage(probe, mark)}; the bundle ended after {stopped_s:.2f} s")

    assert status == 0
    assert probe.outage_ms(mark) <= PLANNED_MS
    assert short.result()[0] == "answer"
    outcome, took_s = long.result()
    stage.tell(f"request longer than drain_s: {outcome} after {took_s:.2f} s")
    assert outcome == "reset"
    assert took_s <= DRAIN_S + 3
    assert idle.closed_s(mark) <= DRAIN_S
    assert not pids_in([master.host.ns])

    pair.start_node(master)
    assert wait_well(pair) == (backup, master)  # equal advskew: no failing back
    probe.wait_answers(20, 1)
    assert probe.outage_ms(mark) <= PLANNED_MS


class Idle:
    """A kept-alive connection on which nothing is asked any more."""

    _SCRIPT = """
import socket, time
kept = socket.create_connection(("%s", 80))
kept.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
kept.recv(65536)
try:
    end = "closed" if not kept.recv(1) else "spoken to"
except ConnectionResetError:
    end = "reset"
print(time.monotonic_ns(), end, flush=True)
"""

    def __init__(self, client: Host) -> None:
        argv = [sys.executable, "-Ic", self._SCRIPT % VIP]
        self._process = client.spawn(argv, log=f"idle-{time.monotonic_ns()}.log")

    def closed_s(self, since: int) -> float:
        """Seconds from a mark until the server closed it, in the orderly way."""
        self._process.popen.wait(10)
        at_ns, end = self._process.text().split(maxsplit=1)
        assert end.strip() == "closed"
        return (int(at_ns) - since) / 1e9


def test_link_down_moves_the_vip_and_ucarp_runs_again_when_it_is_up(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    pair.lab.link_down(master.host)
    try:
        wait_until(lambda: probe.failures(mark), 2, "the outage")
        probe.wait_answers(20, OUTAGE_MS / 1000 + 1)
        stage.tell(f"link down: {_outage(probe, mark)}")
        assert probe.outage_ms(mark) <= OUTAGE_MS
        wait_until(lambda: not master.holds(VIP), 0.5, "no address on the node without a link")
    finally:
        up = probe.mark()
        pair.lab.link_up(master.host)
    master.wait_running("ucarp", within_s=2.5)
    assert pair.wait_settled(2) == (backup, master)
    assert probe.outage_ms(up) <= 300


def test_link_that_flaps_leaves_one_master(stage: Stage, wire: Wire) -> None:
    pair, master, probe = stage.pair, stage.master, stage.probe
    mark = probe.mark()
    for tick in range(10):
        (pair.lab.link_up if tick % 2 else pair.lab.link_down)(master.host)
        due = mark + (tick + 1) * 200_000_000
        wait_until(lambda due=due: time.monotonic_ns() >= due, 1, "the clock")  # type: ignore[misc]
    steady = probe.mark()
    stays, _ = pair.wait_settled(DEAD_TIME_S + 1)
    master.wait_running("ucarp", within_s=2)
    probe.wait_answers(20, 1)
    stage.tell(f"link flaps for 2 s, then: {_outage(probe, steady)}, {stays.name} stays")

    assert probe.outage_ms(steady) <= OUTAGE_MS
    served = probe.successes(steady)[0].end_ns
    _assert_one_master(wire, probe, stays, served, stage.tell)


def _outage(probe: Probe, mark: int) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in probe.reasons(mark).items())
    stall_ms = probe.stall_ms(mark)
    return f"no answer for {probe.outage_ms(mark):.0f} ms ({reasons}; probe held up {stall_ms:.0f})"


def test_lower_advskew_fails_back_but_not_after_a_handover(tell: Tell) -> None:
    with own_lab() as lab:
        pair = make_pair(lab)
        with pair.probe() as probe:
            began = probe.mark()
            for node, advskew in ((pair.a, 0), (pair.b, 20)):
                node.configure(settings={"ha": {"advskew": advskew}}, haproxy_cfg=HAPROXY_CFG)
                pair.start_node(node)
            _first_answer(probe, began, tell)
            assert wait_well(pair) == (pair.a, pair.b)

            mark = probe.mark()
            assert lbctl(pair.a, "handover").returncode == 0
            # Longer than the dead time: a node that wanted it back would have it by now.
            left = time.monotonic()
            wait_until(lambda: time.monotonic() > left + DEAD_TIME_S + 1, 6, "the clock")
            assert pair.wait_settled(2) == (pair.b, pair.a)
            tell(f"handover to the higher advskew: {_outage(probe, mark)}")
            assert probe.outage_ms(mark) <= PLANNED_MS

            pair.a.stop()
            back = probe.mark()
            pair.start_node(pair.a)
            pair.a.wait_role("MASTER", START_S + 2)
            assert pair.wait_settled(TWO_MASTERS_S) == (pair.a, pair.b)
            probe.wait_answers(20, 1)
            tell(f"failing back: {_outage(probe, back)}")
            assert probe.outage_ms(back) <= PLANNED_MS


def test_lone_node_keeps_the_vip_and_its_16_processes_end_in_time(tell: Tell) -> None:
    with own_lab("a", "client", "web1", "web2") as lab:
        for web in ("web1", "web2"):
            serve(lab[web])
        node = Node(lab, lab["a"])
        with Probe(lab["client"], VIP) as probe:
            began = probe.mark()
            settings = {"haproxy": {"processes": 16}}
            node.start(VIP, PASSWORD, settings=settings, haproxy_cfg=HAPROXY_CFG)
            wait_until(lambda: probe.successes(began), START_S + 5, "a first answer")
            first_s = (probe.successes(began)[0].end_ns - began) / 1e9
            tell(f"start with 16 HAProxy processes: the VIP answers after {first_s:.2f} s")
            probe.wait_answers(20, 3)

            mark = probe.mark()
            with KeptAlive(lab["client"], VIP):  # somebody to drain: 16 processes reload
                refused = lbctl(node, "handover")
            assert refused.returncode == 14, refused.stdout + refused.stderr
            assert "no other node has greeted" in refused.stderr
            probe.wait_answers(20, 1)
            assert probe.reasons(mark) == {}

        assert len([name for name in node.programs() if name.startswith("haproxy-")]) == 16
        stopped = time.monotonic()
        node.process.signal(signal.SIGTERM)
        status = node.process.popen.wait(15)
        took_s = time.monotonic() - stopped
        tell(f"SIGTERM with 16 HAProxy processes: gone after {took_s:.2f} s")

        assert status == 0
        assert took_s <= 10
        assert pids_in([lab["a"].ns]) == set()
        assert not node.holds(VIP)
        assert holders(lab["client"], VIP) == set()
