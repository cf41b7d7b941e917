from __future__ import annotations

import select

import pytest

from lbctl.errors import ValidationError
from lbctl.ha import interfaces
from lbctl.ha.address import Addresses
from lbctl.ha.interfaces import Change, Interface
from tests.fakes.netns import Host

pytestmark = pytest.mark.system

VIP = "10.0.1.201"
Hosts = tuple[Host, ...]


@pytest.mark.parametrize("name", ["auto", "eth0"])
def test_the_subnet_of_the_vip_says_which_interface(hosts: Hosts, name: str) -> None:
    with hosts[0].entered():
        found = interfaces.find(VIP, name)

    assert found == Interface(
        name="eth0",
        index=found.index,
        mac="02:00:00:00:00:0b",
        source="10.0.1.11",
        prefix=24,
        is_up=True,
        has_carrier=True,
    )


def test_the_longest_prefix_wins_and_the_vip_itself_is_no_source(hosts: Hosts) -> None:
    host = hosts[0]
    host.run("ip", "link", "add", "near0", "type", "bridge")
    try:
        host.run("ip", "addr", "add", "10.0.1.193/27", "dev", "near0")
        host.run("ip", "link", "set", "near0", "up")
        host.run("ip", "addr", "add", f"{VIP}/32", "dev", "eth0")
        host.run("ip", "addr", "add", "10.0.1.202/32", "dev", "eth0")
        with host.entered():
            near = interfaces.find(VIP)
            named = interfaces.find("192.0.2.1", "eth0", others=["10.0.1.202/32"])
    finally:
        host.run("ip", "addr", "del", f"{VIP}/32", "dev", "eth0")
        host.run("ip", "addr", "del", "10.0.1.202/32", "dev", "eth0")
        host.run("ip", "link", "del", "near0")

    assert (near.name, near.source, near.prefix) == ("near0", "10.0.1.193", 27)
    assert (named.name, named.source) == ("eth0", "10.0.1.11")


def test_what_does_not_fit_is_told_with_what_there_is(hosts: Hosts) -> None:
    with hosts[0].entered():
        with pytest.raises(
            ValidationError, match=r"VIP: 192\.0\.2\.1 is in no .*\(10\.0\.1\.11/24 on eth0\)"
        ):
            interfaces.find("192.0.2.1")
        with pytest.raises(ValidationError, match="wlan0: no such interface; this host has: eth0"):
            interfaces.find(VIP, "wlan0")
    hosts[0].run("ip", "link", "add", "bare0", "type", "bridge")
    try:
        with hosts[0].entered(), pytest.raises(ValidationError, match="bare0 has no IPv4 address"):
            interfaces.find(VIP, "bare0")
    finally:
        hosts[0].run("ip", "link", "del", "bare0")


def test_an_interface_that_is_down_is_refused_and_seen(hosts: Hosts) -> None:
    host = hosts[1]
    host.run("ip", "link", "set", "eth0", "down")
    try:
        with host.entered():
            link = interfaces.link_state("eth0")
            with pytest.raises(ValidationError, match="interface: eth0 is down: set it up"):
                interfaces.find(VIP)
    finally:
        host.run("ip", "link", "set", "eth0", "up")

    assert link is not None
    assert (link.is_up, link.has_carrier, link.mac) == (False, False, "02:00:00:00:00:0c")


def test_watch_tells_what_kind_of_thing_changed(hosts: Hosts) -> None:
    host = hosts[2]
    with host.entered(), interfaces.open_watch() as watch, Addresses("eth0") as addresses:

        def news() -> frozenset[Change]:
            assert select.select([watch], [], [], 2)[0]
            return interfaces.read_changes(watch)

        assert interfaces.read_changes(watch) == frozenset()
        addresses.hold(f"{VIP}/32")
        assert news() == {Change.ADDRESS_SET}
        addresses.drop(f"{VIP}/32")
        assert news() == {Change.ADDRESS_GONE}
        host.run("ip", "link", "add", "new0", "type", "bridge")
        assert Change.LINK in news()
        host.run("ip", "link", "del", "new0")


def test_lost_news_count_as_every_change(hosts: Hosts) -> None:
    with hosts[2].entered(), interfaces.open_watch() as watch, Addresses("eth0") as addresses:
        for _ in range(3000):
            addresses.hold(f"{VIP}/32")
        addresses.drop(f"{VIP}/32")

        assert interfaces.read_changes(watch) == set(Change)
        assert interfaces.read_changes(watch) == frozenset()
