from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Iterator

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha.address import Addresses, InterfaceGoneError, Stray
from tests.fakes.netns import Host, wait_until

pytestmark = pytest.mark.system

V4 = "10.0.1.201/32"
V6 = "fd00:1::201/128"


@pytest.fixture
def eth0(hosts: tuple[Host, ...]) -> Iterator[Addresses]:
    with hosts[0].entered(), Addresses("eth0") as addresses:
        yield addresses
        addresses.drop(V4)
        addresses.drop(V6)


@pytest.mark.parametrize("cidr", [V4, V6])
def test_a_held_address_is_there_at_once_and_gone_when_nobody_renews(
    eth0: Addresses, cidr: str
) -> None:
    eth0.hold(cidr, lease_s=1)

    lease_s = eth0.present()[cidr]
    assert lease_s is not None
    assert 0 <= lease_s <= 1
    wait_until(lambda: cidr not in eth0.present(), within_s=2.5)


@pytest.mark.parametrize("cidr", [V4, V6])
def test_renewing_keeps_it(eth0: Addresses, cidr: str) -> None:
    eth0.hold(cidr, lease_s=1)
    end = time.monotonic() + 1.6
    while time.monotonic() < end:
        eth0.hold(cidr, lease_s=2)
        assert cidr in eth0.present()
        time.sleep(0.05)

    assert eth0.present()[cidr] in (1.0, 2.0)


def test_holding_and_dropping_are_idempotent(eth0: Addresses) -> None:
    for cidr in (V4, V6):
        eth0.hold(cidr)
        eth0.hold(cidr)
        eth0.drop(cidr)
        eth0.drop(cidr)

        assert cidr not in eth0.present()


def test_the_hosts_own_addresses_are_for_ever(eth0: Addresses, hosts: tuple[Host, ...]) -> None:
    present = eth0.present()

    assert present[f"{hosts[0].address}/24"] is None
    assert present["fd00:1::11/64"] is None


def test_a_held_ipv6_address_is_usable_at_once_and_never_a_source(
    eth0: Addresses, hosts: tuple[Host, ...]
) -> None:
    hosts[0].run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1")
    eth0.hold(V6)
    shown = hosts[0].run("ip", "-6", "-o", "addr", "show", "to", V6)

    assert "deprecated" in shown
    assert "nodad" in shown
    assert "tentative" not in shown
    assert "src fd00:1::11" in hosts[0].run("ip", "-6", "route", "get", "fd00:1::12")


def test_an_address_on_another_interface_is_a_stray(
    eth0: Addresses, hosts: tuple[Host, ...]
) -> None:
    hosts[0].run("ip", "addr", "add", "10.0.1.201/24", "dev", "lo")
    try:
        assert eth0.elsewhere([V4, V6]) == (Stray("10.0.1.201/24", "lo"),)
    finally:
        hosts[0].run("ip", "addr", "del", "10.0.1.201/24", "dev", "lo")

    eth0.hold(V4)
    assert eth0.elsewhere([V4, V6]) == ()


def test_an_interface_that_went_away_is_a_typed_error(hosts: tuple[Host, ...]) -> None:
    with hosts[0].entered(), Addresses("nosuch0") as gone:
        with pytest.raises(InterfaceGoneError, match=f"setting {V4} on nosuch0: there is no such"):
            gone.hold(V4)
        with pytest.raises(InterfaceGoneError):
            gone.present()
        gone.drop(V4)


def test_a_renamed_interface_is_gone_until_it_has_its_name_again(
    eth0: Addresses, hosts: tuple[Host, ...]
) -> None:
    eth0.hold(V4)
    hosts[0].run("ip", "link", "set", "eth0", "down")
    hosts[0].run("ip", "link", "set", "eth0", "name", "other0")
    with pytest.raises(InterfaceGoneError):
        eth0.hold(V4)
    hosts[0].run("ip", "link", "set", "other0", "name", "eth0")
    hosts[0].run("ip", "link", "set", "eth0", "up")
    hosts[0].run("ip", "addr", "replace", "fd00:1::11/64", "dev", "eth0", "nodad")

    eth0.hold(V4)
    assert V4 in eth0.present()


def test_without_net_admin_the_message_names_the_capability(hosts: tuple[Host, ...]) -> None:
    with hosts[0].entered():
        child = os.fork()
        if child == 0:
            os._exit(_hold_as_nobody())

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _hold_as_nobody() -> int:
    try:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        Addresses("eth0").hold(V4)
    except NetlinkError as error:
        text = f"setting {V4} on eth0: Operation not permitted: the capability NET_ADMIN is missing"
        return 0 if str(error) == text else 2
    return 1


def test_an_address_the_kernel_will_not_have_says_so_with_its_words(eth0: Addresses) -> None:
    with pytest.raises(NetlinkError, match=r"setting 10\.0\.1\.201/40 on eth0: Invalid argument"):
        eth0.hold("10.0.1.201/40")


def test_disabled_ipv6_is_not_mistaken_for_a_missing_capability(hosts: tuple[Host, ...]) -> None:
    host = hosts[2]
    host.run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
    with (
        host.entered(),
        Addresses("eth0") as addresses,
        pytest.raises(NetlinkError, match=r"IPv6 is disabled on this device\)$"),
    ):
        addresses.hold(V6)


def test_works_inside_a_running_loop_in_less_than_2_ms(eth0: Addresses) -> None:
    async def renewals() -> list[float]:
        spent = []
        for _ in range(200):
            start = time.perf_counter()
            eth0.hold(V4)
            spent.append(time.perf_counter() - start)
        eth0.drop(V4)
        return spent

    spent = asyncio.run(renewals())

    assert statistics.median(spent) < 0.002
