"""Native on both sides: the VIP moves on purpose, with the cable, and with the interface."""

from __future__ import annotations

from lbctl.lab.hosts import INTERFACE, run
from lbctl.lab.pair import VIP
from lbctl.lab.probe import SlowRequest
from lbctl.lab.process import pids_in
from lbctl.lab.wait import wait_until
from tests.natives import (
    BUSY_MS,
    DEAD_S,
    PLANNED_MS,
    SILENT_MS,
    START_S,
    Stage,
    ha,
    knows_the_other,
)
from tests.pairs import Tell, double_s, lbctl, wait_connections
from tests.system.native.conftest import Started

OTHER_NAME = "wan7"


def test_nodes_started_at_once_end_as_one_master_in_time(started: Started, tell: Tell) -> None:
    doubled_s = double_s(started.doubled_ns)
    tell(f"start: first answer after {started.first_s:.2f} s, two masters for {doubled_s:.3f} s")

    assert started.first_s <= START_S
    assert doubled_s <= DEAD_S + BUSY_MS / 1000


def test_handover_is_refused_by_a_backup_and_takes_milliseconds(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    refused = lbctl(backup, "handover")

    assert refused.returncode == 15, refused.stderr

    mark = probe.mark()
    done = lbctl(master, "handover")
    told = probe.mark()
    assert done.returncode == 0, done.stderr
    assert f"{backup.host.address} has the addresses" in done.stdout
    assert pair.wait_settled(2) == (backup, master)
    probe.wait_answers(20, 1)
    assert stage.outage(mark, PLANNED_MS, "handover")
    assert stage.is_single(mark, PLANNED_MS / 1000, "handover")
    assert stage.reached(told) == {backup.name}


def test_sigterm_moves_the_vip_and_the_node_returns_as_backup(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    short = SlowRequest(pair.client, VIP, ms=700)
    wait_connections(master, 1)
    mark, said = probe.mark(), len(backup.text())
    assert master.stop() == 0
    stopped_s = (probe.mark() - mark) / 1e9
    probe.wait_answers(20, 1)
    assert stage.outage(mark, PLANNED_MS, f"SIGTERM, ended after {stopped_s:.1f} s")
    assert short.result()[0] == "answer"
    assert not pids_in([master.host.ns])

    back = probe.mark()
    pair.start_node(master)
    master.wait_role("BACKUP", START_S)
    assert pair.wait_settled(2) == (backup, master)  # equal advskew: no failing back
    assert stage.outage(back, PLANNED_MS, "the node returns")
    assert "both MASTER" not in backup.text()[said:]


def test_host_cut_off_is_replaced_and_one_of_two_masters_gives_way_when_healed(
    stage: Stage,
) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    pair.lab.cut(master.host)
    try:
        wait_until(lambda: probe.failures(mark), 2, "the outage")
        probe.wait_answers(20, 2)
        assert stage.outage(mark, SILENT_MS, "host cut off")
        assert ha(backup)["role"] == ha(master)["role"] == "MASTER"
        assert "silent for" in ha(backup)["why"]
    finally:
        healed = probe.mark()
        pair.lab.heal(master.host)
    stays, _ = pair.wait_settled(2)
    assert stage.is_single(healed, DEAD_S, f"healed, {stays.name} stays")
    assert stage.reached(healed) == {stays.name}
    assert stage.outage(healed, SILENT_MS, "healed")


def test_link_down_moves_the_vip_and_back_up_the_node_listens(stage: Stage) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    pair.lab.link_down(master.host)
    try:
        probe.wait_answers(20, 2)
        wait_until(lambda: not master.holds(VIP), 0.5, "no address on the node without a link")
        assert stage.outage(mark, SILENT_MS, "link down")
        assert not ha(master)["link_up"]
    finally:
        up = probe.mark()
        pair.lab.link_up(master.host)
    assert pair.wait_settled(2) == (backup, master)
    assert stage.outage(up, PLANNED_MS, "link up")
    assert stage.is_single(mark, DEAD_S, "link down and up")


def test_interface_that_is_renamed_gives_the_vip_away_and_named_back_it_listens(
    stage: Stage,
) -> None:
    pair, master, backup, probe = stage.pair, stage.master, stage.backup, stage.probe
    mark = probe.mark()
    rename(stage, INTERFACE, OTHER_NAME)
    try:
        probe.wait_answers(20, 2)
        assert stage.outage(mark, SILENT_MS, "interface renamed")
        wait_until(lambda: not ha(master)["link_up"], 1, "vipd to have noticed")
        said = master.host.run(["ip", "addr", "show", "dev", OTHER_NAME]).stdout
        assert VIP not in said
        assert f"renamed to {OTHER_NAME}" in lbctl(master, "events").stdout
    finally:
        rename(stage, OTHER_NAME, INTERFACE)
    wait_until(lambda: ha(master)["link_up"], 2, "the interface to be back")
    assert pair.wait_settled(2) == (backup, master)
    wait_until(lambda: knows_the_other(master), 4, "greetings on the interface again")


def rename(stage: Stage, old: str, new: str) -> None:
    lines = f"link set {old} down\nlink set {old} name {new}\nlink set {new} up\n"
    run(["ip", "-n", stage.master.host.ns, "-batch", "-"], input=lines)
