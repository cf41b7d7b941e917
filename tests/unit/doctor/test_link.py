"""The interface of the virtual addresses, from facts and from trees as they are under /sys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.doctor.link import LinkFacts, judge_link, read_link
from lbctl.doctor.row import Row, Verdict
from lbctl.spec import GroupSpec

GROUP = GroupSpec(
    vhid=7,
    interface="eth0",
    source="10.0.1.11",
    vip="10.0.1.201",
    addresses=("10.0.1.201/32",),
    engine="native",
    advbase_s=1,
    advskew=0,
    dead_ratio=3,
    drain_s=2.0,
    track=("haproxy",),
)


def rows(facts: LinkFacts, group: GroupSpec = GROUP, *, carrier: bool = True) -> dict[str, Row]:
    return {row.check: row for row in judge_link(facts, group, has_carrier=carrier)}


def test_an_ordinary_interface_is_well() -> None:
    assert {row.verdict for row in rows(LinkFacts()).values()} == {Verdict.OK}


@pytest.mark.parametrize(
    ("facts", "check", "verdict"),
    [
        (LinkFacts(arp=False), "link", Verdict.BAD),
        (LinkFacts(multicast=False), "multicast", Verdict.WARN),
        (LinkFacts(is_flooded=(("p1", True), ("p2", False))), "multicast", Verdict.WARN),
        (LinkFacts(is_flooded=(("p1", True),)), "multicast", Verdict.OK),
        (LinkFacts(networkd="/etc/x.network"), "systemd-networkd", Verdict.WARN),
    ],
)
def test_what_an_interface_lacks_is_told(facts: LinkFacts, check: str, verdict: Verdict) -> None:
    assert rows(facts)[check].verdict is verdict


def test_a_cable_that_is_out_is_a_warning() -> None:
    assert rows(LinkFacts(), carrier=False)["link"].verdict is Verdict.WARN


def test_named_peers_need_no_multicast() -> None:
    group = replace(GROUP, peers=("10.0.1.12",))

    assert rows(LinkFacts(multicast=False), group)["multicast"].verdict is Verdict.OK


@pytest.mark.parametrize("keep", ["yes", "static", "true"])
def test_networkd_that_keeps_foreign_addresses_is_well(keep: str) -> None:
    assert "systemd-networkd" not in rows(LinkFacts(networkd="/etc/x.network", keep=keep))


@pytest.mark.parametrize("keep", ["", "no", "dhcp", "dhcp-on-stop"])
def test_networkd_that_keeps_leases_alone_is_not(keep: str) -> None:
    assert "systemd-networkd" in rows(LinkFacts(networkd="/etc/x.network", keep=keep))


def test_the_loopback_of_this_host_can_be_read(tmp_path: Path) -> None:
    network = tmp_path / "lo.network"
    network.write_text("[Network]\nKeepConfiguration=no\nKeepConfiguration = static\n")
    netif = tmp_path / "links"
    netif.mkdir()
    (netif / "1").write_text(f"ADMIN_STATE=configured\nNETWORK_FILE={network}\n")
    port = tmp_path / "net/lo/brif/p1"
    port.mkdir(parents=True)
    (port / "multicast_flood").write_text("0\n")
    facts = read_link("lo", tmp_path / "net", netif)

    assert not facts.multicast
    assert facts.mtu > 0
    assert facts.is_flooded == (("p1", False),)
    assert (facts.networkd, facts.keep) == (str(network), "static")


def test_an_interface_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="No such device"):
        read_link("nosuch0")
