"""
Several virtual addresses of both families: they live on the master alone, as leases, move together,
are announced, and are put back or taken away when somebody meddles.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lbctl.lab.bundle import Node
from lbctl.lab.hosts import INTERFACE, Lab
from lbctl.lab.pair import HAPROXY_CFG, PASSWORD, VIP, Pair, make_pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from tests.fakes.wire import Heard, Wire
from tests.pairs import Tell, lbctl, own_lab, wait_well

pytestmark = pytest.mark.system

MORE = ("10.0.1.202", "10.0.1.203", "fd00:1::c9")
ALL = (VIP, *MORE)
CIDRS = tuple(f"{one}/{128 if ':' in one else 32}" for one in ALL)
LEASE_S = 3
#: Somebody else's change of an address is undone within this.
MENDED_S = 1.0
#: From the change of the role to the announcement of its last address.
ANNOUNCED_MS = 200.0

Two = tuple[Node, Node]


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    """One lab for all tests of this file; its name brings its dump into the report of a failure."""
    with Lab() as lab:
        yield lab


@pytest.fixture(name="pair", scope="module")
def _pair(lab: Lab) -> Pair:
    pair = make_pair(lab, ips=MORE)
    both_families = HAPROXY_CFG.replace("bind :80\n", "bind :80\n    bind :::80 v6only\n")
    pair.start(haproxy_cfg=both_families)
    return pair


@pytest.fixture(name="two")
def _two(pair: Pair) -> Two:
    """(master, backup), both well."""
    return wait_well(pair)


def held(node: Node) -> dict[str, dict[str, Any]]:
    """The group's addresses on the node's interface as ``ip`` shows them, whatever their prefix."""
    said = json.loads(node.host.run(["ip", "-j", "addr", "show", "dev", INTERFACE]).stdout)
    return {
        f"{one['local']}/{one['prefixlen']}": one
        for link in said
        for one in link["addr_info"]
        if one["local"] in ALL
    }


def test_master_holds_every_address_as_a_lease_and_backup_none(two: Two) -> None:
    master, backup = two
    leases = held(master)

    assert sorted(leases) == sorted(CIDRS)
    assert all(0 < one["valid_life_time"] <= LEASE_S for one in leases.values())
    # Never the source of this host's own connections.
    assert leases["fd00:1::c9/128"]["preferred_life_time"] == 0
    assert held(backup) == {}

    told = {one["address"]: one for one in master.status()["ha"]["addresses"]}
    assert tuple(told) == CIDRS
    assert all(one["present"] and 0 < one["lease_s"] <= LEASE_S for one in told.values())
    assert "10.0.1.203/32" in lbctl(master, "status").stdout
    assert not any(one["present"] for one in backup.status()["ha"]["addresses"])


def test_all_move_at_once_and_each_is_announced_twice(pair: Pair, two: Two, tell: Tell) -> None:
    master, backup = two
    with Wire(pair.client, VIP) as wire:
        wait_until(wire.heard, 2, "an answer for the VIP")
        mark = time.monotonic_ns()
        assert lbctl(master, "handover").returncode == 0
        wait_until(lambda: sorted(held(backup)) == sorted(CIDRS), 1, "every address on the other")
        wait_until(lambda: held(master) == {}, 0.5, "no address on the node that left")
        became_ns = _role_since_ns(backup)
        for address in ALL:
            first, again = _announced_twice(wire, address, backup.host.mac, mark)
            first_ms = (first.at_ns - became_ns) / 1e6
            again_s = (again.at_ns - first.at_ns) / 1e9
            tell(f"{address}: announced after {first_ms:.0f} ms, again {again_s:.2f} s later")
            assert first_ms <= ANNOUNCED_MS
            assert 0.8 <= again_s <= 1.4
    for address in ALL:
        with Probe(pair.client, address) as probe:
            probe.wait_answers(3, 1)
            assert {record.node for record in probe.records()} == {backup.name}


def _role_since_ns(node: Node) -> int:
    """When the node's role changed, in CLOCK_MONOTONIC."""
    to_monotonic = time.monotonic() - time.time()
    return int((node.status()["ha"]["since"] + to_monotonic) * 1e9)


def _announced_twice(wire: Wire, address: str, mac: str, since: int) -> tuple[Heard, Heard]:
    """The first announcement, and the next that is not part of the same burst."""

    def again() -> tuple[Heard, Heard] | None:
        heard = wire.announced(address, mac, since)
        later = [one for one in heard if one.at_ns - heard[0].at_ns > 500_000_000]
        return (heard[0], later[0]) if later else None

    what = f"two announcements of {address}"
    both = wait_until(again, 2, what, seen=lambda: wire.heard(since)[-20:])
    assert both is not None
    return both


@pytest.mark.parametrize(
    "change",
    [
        "addr del 10.0.1.202/32 dev eth0",
        "-6 addr del fd00:1::c9/128 dev eth0",
        "-4 addr flush dev eth0 to 10.0.1.200/29",
        "addr change 10.0.1.202/32 dev eth0 valid_lft forever preferred_lft forever",
    ],
)
def test_what_is_done_to_the_masters_addresses_is_undone(two: Two, change: str, tell: Tell) -> None:
    master, _ = two

    def is_whole() -> bool:
        now = held(master)
        return sorted(now) == sorted(CIDRS) and all(
            one["valid_life_time"] <= LEASE_S for one in now.values()
        )

    began = time.monotonic()
    master.host.run(["ip", *change.split()])
    wait_until(is_whole, MENDED_S, "every address, leased", seen=lambda: held(master))
    tell(f"ip {change}: undone after {(time.monotonic() - began) * 1000:.0f} ms")


@pytest.mark.parametrize("stray", ["10.0.1.202/32", "10.0.1.203/24", "fd00:1::c9/128"])
def test_stray_address_on_the_backup_is_taken_away(two: Two, stray: str, tell: Tell) -> None:
    _, backup = two
    began = time.monotonic()
    backup.host.run(["ip", "addr", "add", stray, "dev", INTERFACE])
    wait_until(lambda: not held(backup), MENDED_S, "no address", seen=lambda: held(backup))
    tell(f"stray {stray}: gone after {(time.monotonic() - began) * 1000:.0f} ms")


def test_prefix_given_is_the_one_that_the_master_holds() -> None:
    with own_lab("a") as lab:
        node = Node(lab, lab["a"])
        given = ("10.0.1.203/24", "fd00:1::c9/64", "10.0.1.202")
        node.start(f"{VIP}/24", PASSWORD, *given, haproxy_cfg=HAPROXY_CFG)
        node.wait_role("MASTER", 12)
        cidrs = [f"{VIP}/24", *given[:2], "10.0.1.202/32"]
        wait_until(lambda: sorted(held(node)) == sorted(cidrs), 2, "every address", seen=node.text)
        node.stop()

        assert held(node) == {}
