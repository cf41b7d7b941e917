"""Native on both sides: strangers in the network segment, and what they can do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lbctl.lab.hosts import INTERFACE, Host
from lbctl.lab.pair import VIP
from lbctl.lab.wait import wait_until
from tests.fakes import carp_flood
from tests.natives import (
    NAMED_S,
    PLANNED_MS,
    SILENT_MS,
    Stage,
    ha,
    is_ever,
    kinds,
    quieted,
    transitions,
    wait_found,
)
from tests.pairs import lbctl

FLOOD = 100_000
#: Aimed at; two cores for everybody take up to twice as long.
FLOOD_S = 12.0
SEED = 20260104

# Without addresses: it is the packets that are to harm.
_KEEPALIVED = """\
global_defs {{
    router_id stranger
}}
vrrp_instance stranger {{
    state MASTER
    interface {interface}
    virtual_router_id {vhid}
    version 2
    priority 200
    advert_int 1
    virtual_ipaddress {{
        10.0.1.222/32
    }}
}}
"""


@pytest.fixture(name="stage")
def _stage(stage: Stage) -> Stage:
    return quieted(stage)


def test_100_000_forged_and_replayed_packets_change_nothing_and_are_counted(stage: Stage) -> None:
    pair, probe = stage.pair, stage.probe
    before = transitions(pair.nodes)
    pids = [node.pid_of("vipd") for node in pair.nodes]
    mark = probe.mark()
    words = [INTERFACE, FLOOD, ha(stage.master)["vhid"], SEED, FLOOD_S]
    argv = [sys.executable, "-I", carp_flood.__file__, *map(str, words)]
    sent, took_s = pair.client.run(argv, timeout=60).stdout.split()
    stage.tell(f"{sent} packets in {float(took_s):.1f} s; refused: {refused(stage)}")

    assert int(sent) == FLOOD
    assert transitions(pair.nodes) == before
    assert [node.pid_of("vipd") for node in pair.nodes] == pids
    assert pair.wait_settled(1) == (stage.master, stage.backup)
    # Two vipds that read it all leave HAProxy little of two cores.
    assert stage.outage(mark, SILENT_MS, "flooded")
    # He has overheard the master: these are words of its own to it, and old ones to the other.
    for node, what in ((stage.master, "own source"), (stage.backup, "replayed")):
        counted = ha(node)["refused"]
        assert {what, "bad digest", "wrong ttl", "truncated"} <= set(counted), counted
        assert min(counted[what], counted["bad digest"], counted["wrong ttl"]) > FLOOD / 50
        assert sum(counted.values()) > FLOOD / 2


def refused(stage: Stage) -> str:
    return "; ".join(f"{node.name} {ha(node)['refused']}" for node in stage.pair.nodes)


def test_a_foreign_vrrp_router_with_the_same_id_is_named_and_moves_nothing(stage: Stage) -> None:
    pair, probe = stage.pair, stage.probe
    stranger = pair.lab["c"]
    before = transitions(pair.nodes)
    mark = probe.mark()
    with keepalived(stranger, ha(stage.master)["vhid"]):
        for node in pair.nodes:
            # It listens for three of its intervals before it speaks.
            text = wait_found(node, "clashing vhid", 5 + NAMED_S)
            assert f"{stranger.address} speaks VRRP" in text
            assert "clashing vhid" in lbctl(node, "status").stdout
            assert f"{stranger.address} speaks VRRP" in lbctl(node, "events").stdout
        assert not is_ever(lambda: transitions(pair.nodes) != before, 1.0)
    assert stage.outage(mark, PLANNED_MS, "a foreign VRRP router")
    wait_until(lambda: not (kinds(stage.master) | kinds(stage.backup)), 12, "the end of it")


@contextmanager
def keepalived(host: Host, vhid: int) -> Iterator[None]:
    where = host.directory / "keepalived"
    where.mkdir()
    conf = where / "keepalived.conf"
    conf.write_text(_KEEPALIVED.format(interface=INTERFACE, vhid=vhid))
    files = [f"--{name}={where / name}" for name in ("pid", "vrrp_pid", "checkers_pid")]
    argv = ["/usr/sbin/keepalived", "--vrrp", "--dont-fork", "--log-console", "--no-syslog"]
    process = host.spawn([*argv, "--use-file", str(conf), *files], log="keepalived.log")
    try:
        yield
    finally:
        process.stop(5.0)


def test_a_third_host_with_the_vip_is_named(stage: Stage) -> None:
    pair, master = stage.pair, stage.master
    stranger = pair.lab["c"]
    before = transitions(pair.nodes)
    stranger.run(["ip", "addr", "add", f"{VIP}/32", "dev", INTERFACE])
    try:
        text = wait_found(master, "duplicate address", NAMED_S)
        assert VIP in text
        assert stranger.mac in text
        assert "duplicate address" in lbctl(master, "status").stdout
        assert transitions(pair.nodes) == before
        assert master.role() == "MASTER"
    finally:
        stranger.run(["ip", "addr", "del", f"{VIP}/32", "dev", INTERFACE])
    wait_until(lambda: not kinds(master), 15, "the end of it", seen=lambda: kinds(master))
