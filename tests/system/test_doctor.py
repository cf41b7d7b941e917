"""``lbctl doctor`` on hosts that were hurt on purpose, and on one that is well."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Lab
from lbctl.lab.pair import HAPROXY_CFG, PASSWORD, VIP
from lbctl.lab.wait import wait_until

pytestmark = pytest.mark.system

#: Checks beside three seconds of listening, and a lease that runs out before an address is held.
LIMIT_S = 8.0
#: What the machine that the hosts are on says of itself, whatever was broken.
OF_THE_MACHINE = {"clock", "services", "cloud", "open files"}

Verdicts = dict[str, tuple[str, str]]


@pytest.fixture(name="lab")
def _lab() -> Iterator[Lab]:
    with Lab(("a", "b", "c")) as lab:
        yield lab


@pytest.fixture(name="a")
def _a(lab: Lab) -> Node:
    node = Node(lab, lab["a"])
    node.configure(haproxy_cfg=HAPROXY_CFG)
    return node


def examined(node: Node, *arguments: str) -> Verdicts:
    """By check the worst verdict and what was found, and that it did not take too long."""
    begun = time.monotonic()
    said = json.loads(node.command("doctor", "--json", *arguments, check=False))
    took_s = time.monotonic() - begun
    order = ("ok", "unknown", "warn", "bad")
    rows = sorted(said["checks"], key=lambda row: order.index(row["verdict"]))
    # Interpreter and imports come on top on a busy machine.
    assert took_s < LIMIT_S + 4

    return {row["check"]: (row["verdict"], row["found"]) for row in rows}


def troubles(found: Verdicts) -> set[str]:
    """Checks that are not ok, the machine's own aside."""
    return {check for check, (verdict, _) in found.items() if verdict != "ok"} - OF_THE_MACHINE


def test_each_fault_of_a_hurt_host_is_found(lab: Lab, a: Node) -> None:
    host = a.host
    a.configure(haproxy_cfg=HAPROXY_CFG.replace("bind :80", f"bind :80\n    bind {VIP}:81"))
    host.spawn([sys.executable, "-m", "http.server", "80"], log="rival.log")
    host.run(["ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth2"])
    host.run(["ip", "addr", "add", "10.0.1.99/24", "dev", "eth1"])
    host.run(["ip", "link", "set", "eth0", "multicast", "off"])
    lab["c"].run(["ip", "addr", "add", f"{VIP}/32", "dev", "eth0"])
    script = """
        echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6
        echo 1 >/proc/sys/net/ipv4/conf/eth0/rp_filter
        echo 0 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries
        echo 0 >/proc/sys/net/ipv4/conf/all/promote_secondaries
        nft 'add table inet f
             add chain inet f i { type filter hook input priority 0; policy drop; }
             add rule inet f i iif lo accept
             add rule inet f i tcp dport { 22, 80-90, 8001-8002 } accept'
    """
    host.run(["sh", "-ec", script])
    wait_until(lambda: ":80 " in host.run(["ss", "-ltnH"]).stdout, 5.0, "the rival to listen")
    found = examined(a, VIP, PASSWORD, "10.0.1.202/24", "fd00:1::c9")

    assert troubles(found) == {
        *("arp_ignore", "arp_announce", "rp_filter", "promote_secondaries", "IPv6"),
        *("firewall", "ip_nonlocal_bind", "multicast", "ports", "addresses"),
    }
    assert "UDP 8112" in found["firewall"][1]
    assert "pid" in found["ports"][1]
    assert lab["c"].mac in found["addresses"][1]


def test_the_other_host_is_compared_and_strangers_are_told(lab: Lab, a: Node) -> None:
    b = Node(lab, lab["b"])
    b.start(VIP, PASSWORD, haproxy_cfg=HAPROXY_CFG)
    b.wait_role("MASTER", within_s=20)
    copy = Node(lab, lab["c"])
    copy.configure(haproxy_cfg=HAPROXY_CFG)
    shutil.copy(b.state_dir.node_id, copy.state_dir.node_id)
    # Two at a time: a node answers so many questions a second, and no more.
    with ThreadPoolExecutor() as pool:
        well = pool.submit(examined, a, VIP, PASSWORD)
        strange = pool.submit(examined, a, VIP, "other")
    with ThreadPoolExecutor() as pool:
        cloned = pool.submit(examined, copy, VIP, PASSWORD)
        running = pool.submit(examined, b)
    stranger = strange.result()

    assert troubles(well.result()) == set()
    assert well.result()["peer"][1].startswith("b (10.0.1.12), MASTER")
    assert "both directions" in well.result()["multicast"][1]
    assert troubles(cloned.result()) == {"node id"}
    assert troubles(running.result()) == set()
    assert stranger["CARP"][0] == "bad"
    assert "another password" in stranger["peer"][1]
