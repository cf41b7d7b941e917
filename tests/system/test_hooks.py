"""
The hooks of ucarp: how long the warm and the cold path take, and what a hook costs that is slow,
hangs or fails.

The hooks of both nodes are real ones behind a door: a file of the node says whether the door lets
through, waits, hangs or fails.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from lbctl.lab import local
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import INTERFACE, Lab
from lbctl.lab.pair import VIP, Pair, make_pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from lbctl.layout import share
from tests.doors import door, put_door
from tests.pairs import (
    OUTAGE_MS,
    Stage,
    Tell,
    faults,
    lbctl,
    wait_well,
)

pytestmark = pytest.mark.system

#: The budget of a hook that vipd answers: ucarp neither sends nor reads meanwhile.
WARM_MS = 25.0
#: A hook ends itself after this, whatever happens.
HOOK_LIMIT_S = 1.0

#: Runs a hook again and again as ucarp would; prints how long each took, in milliseconds.
STOPWATCH = """
import subprocess, sys, time
for _ in range(int(sys.argv[1])):
    began = time.monotonic()
    subprocess.run(sys.argv[2:], check=True)
    print((time.monotonic() - began) * 1000, flush=True)
"""


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    """One lab for all tests of this file; its name brings its dump into the report of a failure."""
    with Lab() as lab:
        yield lab


@pytest.fixture(name="pair", scope="module")
def _pair(lab: Lab) -> Pair:
    pair = make_pair(lab)
    for node in pair.nodes:
        put_door(node)
    pair.start()
    return pair


@pytest.fixture(name="probe", scope="module")
def _probe(pair: Pair) -> Iterator[Probe]:
    with pair.probe() as probe:
        yield probe


@pytest.fixture(name="stage")
def _stage(pair: Pair, probe: Probe, tell: Tell) -> Stage:
    master, backup = wait_well(pair)
    probe.wait_answers(20, 2)
    probe.forget(probe.mark())
    return Stage(pair, master, backup, probe, tell)


@contextmanager
def paused(node: Node, program: str) -> Iterator[None]:
    pid = node.kill(program, signal.SIGSTOP)
    try:
        yield
    finally:
        # The agent may have had it killed.
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGCONT)


def timed_ms(node: Node, runs: int) -> list[float]:
    """
    How long ``vip-up`` takes on *node*, which is MASTER, so that it changes nothing.

    The caller of the hook counts as the speaker; in the end ucarp is that again.
    """
    hook = [str(share("hooks") / "vip-up"), INTERFACE, VIP, str(node.run_dir.root)]
    try:
        said = node.host.run([sys.executable, "-Ic", STOPWATCH, str(runs), *hook]).stdout
    finally:
        ucarp = {"role": "MASTER", "at_ns": time.monotonic_ns(), "ucarp_pid": node.pid_of("ucarp")}
        if not _is_stopped(node.pid_of("vipd")):
            local.ask_line(node.run_dir.vipd_socket, {"op": "role", **ucarp})
    return [float(line) for line in said.split()]


def _is_stopped(pid: int) -> bool:
    return "\nState:\tT" in Path(f"/proc/{pid}/status").read_text()


def test_warm_hook_is_within_its_budget_and_changes_nothing(stage: Stage) -> None:
    mark = stage.probe.mark()
    took = timed_ms(stage.master, 50)
    stage.probe.wait_answers(20, 1)
    slowest = max(took)
    stage.tell(f"vip-up, warm: median {median(took):.1f} ms of {len(took)}, slowest {slowest:.1f}")

    assert median(took) <= WARM_MS
    assert stage.probe.failures(mark) == []
    assert stage.pair.wait_settled(2) == (stage.master, stage.backup)


def test_hook_sets_the_addresses_itself_when_vipd_is_stopped(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    with paused(backup, "vipd"):
        moved = lbctl(master, "handover")
        assert moved.returncode == 0, moved.stderr
        wait_until(lambda: backup.holds(VIP), HOOK_LIMIT_S + 0.5, "the VIP on the other node")
        probe.wait_answers(20, 1)
    stage.tell(f"takeover by the cold hook: no answer for {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= HOOK_LIMIT_S * 1000
    # vipd knows the role although it slept when the hook brought it.
    assert pair.wait_settled(3) == (backup, master)
    wait_until(lambda: _lease_s(backup) > 0, 3, "a lease")
    probe.wait_answers(300, 5)
    assert probe.outage_ms(mark) <= HOOK_LIMIT_S * 1000


def _lease_s(node: Node) -> float:
    return float(node.status()["ha"]["addresses"][0]["lease_s"] or 0.0)


def test_cold_hook_ends_in_time(stage: Stage) -> None:
    with paused(stage.master, "vipd"):
        (took,) = timed_ms(stage.master, 1)
    stage.tell(f"vip-up, cold: {took:.0f} ms")
    assert took <= HOOK_LIMIT_S * 1000


def test_slow_hook_costs_what_it_takes(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    with door(backup, "slow"):
        pair.lab.cut(master.host)
        try:
            wait_until(lambda: probe.failures(mark), 2, "the outage")
            probe.wait_answers(20, OUTAGE_MS / 1000 + 1.5)
        finally:
            pair.lab.heal(master.host)
    stage.tell(f"host cut off, hook 0.5 s late: no answer for {probe.outage_ms(mark):.0f} ms")
    assert probe.outage_ms(mark) <= OUTAGE_MS + 500


@pytest.mark.parametrize("what", ["hang", "fail"])
def test_up_hook_that_does_not_work_demotes_its_node(stage: Stage, what: str) -> None:
    """The other way round it would serve: the node that left is healthy, and takes over again."""
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    with door(backup, what):
        lbctl(master, "handover")
        wait_until(lambda: any("hook" in one for one in faults(backup)), 5, "the fault")
        assert backup.status()["ha"]["advskew"] >= 240
        assert pair.wait_settled(OUTAGE_MS / 1000) == (master, backup)
        probe.wait_answers(20, 1)
    stage.tell(f"up hook would {what}: no answer for {probe.outage_ms(mark):.0f} ms")
    assert probe.outage_ms(mark) <= OUTAGE_MS
