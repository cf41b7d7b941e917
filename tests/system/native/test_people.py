"""Native on both sides: what people do to a pair, and what the nodes say of each other."""

from __future__ import annotations

import asyncio

import pytest

from lbctl.bundle.rpc import SupervisorClient
from lbctl.lab.bundle import Node
from lbctl.lab.pair import HAPROXY_CFG, PASSWORD, VIP
from lbctl.lab.process import pids_in
from lbctl.lab.wait import wait_until
from lbctl.spec import read_spec
from tests.faults import kill_everything
from tests.natives import (
    BUSY_MS,
    PLANNED_MS,
    SILENT_MS,
    Stage,
    ha,
    is_ever,
    quieted,
    transitions,
    wait_found,
)
from tests.pairs import lbctl

WRONG = "not-" + PASSWORD
#: Listening, and the words about it.
REFUSED_S = 8.0
SPREAD_S = 1.5
STARTED_S = 8.0


@pytest.fixture(name="stage")
def _stage(stage: Stage) -> Stage:
    return quieted(stage)


def test_a_pause_keeps_the_vip_where_it_is_until_it_is_ended(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    before = transitions([backup])
    assert lbctl(backup, "pause", "new switch").returncode == 0
    try:
        wait_until(lambda: all(map(is_paused, pair.nodes)), SPREAD_S, "both to be paused")
        assert "new switch" in lbctl(master, "status").stdout
        refused = lbctl(master, "handover")
        assert refused.returncode == 14, refused.stdout
        assert "paused" in refused.stderr

        mark = probe.mark()
        pair.lab.cut(master.host)
        assert not is_ever(lambda: transitions([backup]) != before, 1.0)
        pair.lab.heal(master.host)
        assert pair.wait_settled(1) == (master, backup)
        kill_everything(master)
        assert not is_ever(lambda: transitions([backup]) != before, 1.0)
        assert probe.outage_ms(mark) >= 1000
    finally:
        pair.lab.heal(master.host)
        resumed = probe.mark()
        ended = lbctl(backup, "resume")
    assert ended.returncode == 0, ended.stderr
    backup.wait_role("MASTER", 1)
    probe.wait_answers(20, 2)
    served_ms = (probe.successes(resumed)[0].end_ns - resumed) / 1e6
    stage.tell(f"resume to the first answer: {served_ms:.0f} ms, the command's own start included")
    assert served_ms <= SILENT_MS + 2000

    pair.start_node(master)


def is_paused(node: Node) -> bool:
    return ha(node)["paused"] is not None


def test_another_haproxy_cfg_on_one_node_is_named_on_both(stage: Stage) -> None:
    pair, master, backup = stage.pair, stage.master, stage.backup
    backup.stop()
    backup.configure(haproxy_cfg=HAPROXY_CFG + "# other\n")
    try:
        pair.start_node(backup)
        backup.wait_role("BACKUP", STARTED_S)
        for node in (master, backup):
            assert "haproxy.cfg" in wait_found(node, "configuration differs")
            assert "configuration differs" in lbctl(node, "status").stdout
            assert "haproxy.cfg" in lbctl(node, "events").stdout
        assert master.role() == "MASTER"
    finally:
        backup.configure(haproxy_cfg=HAPROXY_CFG)
        backup.stop()


def test_files_that_are_read_again_differ_for_as_long_as_they_do(stage: Stage) -> None:
    pair, other = stage.pair, HAPROXY_CFG + "# other\n"
    began = [node.programs() for node in pair.nodes]
    try:
        stage.backup.configure(haproxy_cfg=other)
        read_again(stage.backup)
        for node in pair.nodes:
            assert "haproxy.cfg" in wait_found(node, "configuration differs")
        stage.master.configure(haproxy_cfg=other)
        read_again(stage.master)
        wait_until(lambda: not any(map(differs, pair.nodes)), SPREAD_S, "both to be alike")
        assert [node.programs() for node in pair.nodes] == began
    finally:
        for node in pair.nodes:
            node.configure(haproxy_cfg=HAPROXY_CFG)
            read_again(node)


def read_again(node: Node) -> None:
    """As the agent has it done; returns when it is."""
    client = SupervisorClient(node.run_dir.supervisor_socket)
    before = read_spec(node.run_dir.spec).digests
    asyncio.run(client.start("stage"))
    wait_until(lambda: read_spec(node.run_dir.spec).digests != before, 10, "other digests")


def differs(node: Node) -> bool:
    return "configuration differs" in str(ha(node)["findings"])


def test_a_node_with_another_password_is_refused_at_its_start(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    backup.stop()
    before, mark = transitions([master]), probe.mark()
    try:
        process = backup.start(VIP, WRONG)
        status = process.popen.wait(REFUSED_S)
        assert status == 13
        assert "CARP with another password" in process.text()
        assert not pids_in([backup.host.ns])
        assert transitions([master]) == before
        assert stage.outage(mark, PLANNED_MS, "a start with another password")
    finally:
        pair.start_node(backup)


def test_another_password_that_comes_with_a_cable_is_named_on_both(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    backup.stop()
    pair.lab.cut(backup.host)
    try:
        backup.start(VIP, WRONG)
        backup.wait_role("MASTER", REFUSED_S)
        before, mark = transitions([master]), probe.mark()
        pair.lab.heal(backup.host)
        for node in (master, backup):
            wait_found(node, "wrong password")
        assert "wrong password" in lbctl(master, "status").stdout
        assert "another password" in lbctl(backup, "events").stdout
        assert transitions([master]) == before
        assert ha(master)["role"] == "MASTER"
        # Each believes to be alone: clients are answered by the one or by the other.
        assert stage.outage(mark, PLANNED_MS + BUSY_MS, "two passwords")
    finally:
        pair.lab.heal(backup.host)
        backup.stop()
        pair.start_node(backup)
