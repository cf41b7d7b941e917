"""A real third host with our address, on a real link; and a link that is flooded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha.announce import Sender, announcement
from lbctl.ha.claims import READ, Claim, Line
from lbctl.ha.duplicate import ANSWERS_OVER_S, Duplicates
from lbctl.ha.journal import Journal
from tests.fakes.netns import Host
from tests.loops import in_a_loop, until

pytestmark = pytest.mark.system

V4, V6, FREE = "10.0.1.201", "fd00:1::201", "10.0.1.202"
CIDR = {V4: "10.0.1.201/32", V6: "fd00:1::201/128"}
OWN_MAC, THIRD_MAC, VLAN_MAC = (f"02:00:00:00:00:{last}" for last in ("0b", "0d", "aa"))
Hosts = tuple[Host, ...]


@dataclass
class Master:
    """Hosts[0], a calm MASTER of both addresses and a free one; turns once in 0.1 s."""

    duplicates: Duplicates
    announced: list[str] = field(default_factory=list)

    @property
    def found(self) -> set[str]:
        return {one["about"] for one in self.duplicates.findings()}


@asynccontextmanager
async def mastering(host: Host) -> AsyncIterator[Master]:
    announced: list[str] = []
    with host.entered():
        line = Line("eth0", (*CIDR.values(), FREE))
        duplicates = Duplicates(line, Journal(), announced.extend, lambda: True)
        duplicates.open()
    turning = asyncio.create_task(_turn(host, duplicates))
    try:
        yield Master(duplicates, announced)
    finally:
        turning.cancel()
        with suppress(asyncio.CancelledError):
            await turning
        duplicates.close()


async def _turn(host: Host, duplicates: Duplicates) -> None:
    while True:
        with host.entered():
            duplicates.tick()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("address", [V4, V6])
@in_a_loop
async def test_a_third_host_with_our_address_is_found_by_asking_and_lost_when_it_lets_go(
    hosts: Hosts, address: str
) -> None:
    """Nothing announces it there: only the question brings it to light."""
    ours, _, third = hosts
    third.run("ip", "addr", "add", CIDR[address], "dev", "eth0", "nodad")
    try:
        async with mastering(ours) as master:
            await until(lambda: master.found == {address}, "found", within_s=2)
            text = master.duplicates.findings()[0]["text"]
            await until(lambda: len(master.announced) >= 2, "announced again", within_s=3)
            third.run("ip", "addr", "del", CIDR[address], "dev", "eth0")
            await until(lambda: not master.found, "over", within_s=ANSWERS_OVER_S + 3)
    finally:
        with suppress(Exception):
            third.run("ip", "addr", "del", CIDR[address], "dev", "eth0")

    assert THIRD_MAC in text
    assert set(master.announced) == {address}


@pytest.mark.parametrize("address", [V4, V6])
@in_a_loop
async def test_an_announcement_is_overheard(hosts: Hosts, address: str) -> None:
    """The third host does not hold it, so no question brings it to light."""
    ours, _, third = hosts
    async with mastering(ours) as master:
        with third.entered(), Sender("eth0") as sender:
            sender.announce(THIRD_MAC, [CIDR[address]])
        await until(lambda: master.found == {address}, "found", within_s=2)

    assert master.announced == [address]


@in_a_loop
async def test_our_own_announcements_and_those_of_others_addresses_are_nothing(
    hosts: Hosts,
) -> None:
    ours, _, third = hosts
    claims: list[Claim] = []
    with ours.entered():
        line = Line("eth0", CIDR.values())
        line.open(lambda: claims.extend(line.claims()))
    with ours.entered(), Sender("eth0") as sender:
        sender.announce(OWN_MAC, CIDR.values())
    with third.entered(), Sender("eth0") as sender:
        # Its own words come back by a loop in the network; another VLAN's, a stranger's, the real.
        sender.announce(OWN_MAC, CIDR.values())
        for frame in (*announcement(VLAN_MAC, V4), *announcement(VLAN_MAC, V6)):
            sender.send([frame[:12] + bytes.fromhex("81000005") + frame[12:]])
        sender.announce(THIRD_MAC, [FREE, "fd00:1::202"])
        sender.announce(THIRD_MAC, CIDR.values())
    await until(lambda: len(claims) >= 3, "the real one heard", within_s=2)
    line.close()

    assert set(claims) == {Claim(V4, THIRD_MAC), Claim(V6, THIRD_MAC)}


@in_a_loop
async def test_a_second_interface_in_the_same_segment_is_this_host(hosts: Hosts) -> None:
    """It answers for the first one's addresses, with a MAC of its own: Linux does by default."""
    ours, _, third = hosts
    ours.run("ip", "addr", "add", CIDR[V4], "dev", "eth0")
    ours.run(
        *("ip", "link", "add", "link", "eth0", "name", "side0"),
        *("type", "macvlan", "mode", "bridge"),
    )
    try:
        ours.run("ip", "link", "set", "side0", "up")
        side = ours.run("cat", "/sys/class/net/side0/address").strip()
        async with mastering(ours) as master:
            with third.entered(), Sender("eth0") as sender:
                sender.send(announcement(side, V4))
                sender.announce(THIRD_MAC, [FREE])
            with ours.entered():
                await until(lambda: master.found == {FREE}, "the stranger found", within_s=2)
    finally:
        ours.run("ip", "link", "del", "side0")
        ours.run("ip", "addr", "del", CIDR[V4], "dev", "eth0")

    assert master.found == {FREE}


@in_a_loop
async def test_a_flood_of_claims_is_read_to_a_bound_and_left_to_the_kernel(hosts: Hosts) -> None:
    ours, _, third = hosts
    calls, claims = [0], list[Claim]()
    with ours.entered():
        line = Line("eth0", CIDR.values())

    def read() -> None:
        calls[0] += 1
        claims.extend(line.claims())

    with ours.entered():
        line.open(read)
    with third.entered(), Sender("eth0") as sender:
        sender.send(announcement(THIRD_MAC, V4) * (READ * 4))
    await until(lambda: len(claims) >= READ, "a second's worth read", within_s=2)
    woken = calls[0]
    for _ in range(100):
        await asyncio.sleep(0)
    at_rest = calls[0], len(claims)
    line.go_on()
    await until(lambda: len(claims) == 2 * READ, "as many again", within_s=2)
    line.close()

    assert at_rest == (woken, READ)


@in_a_loop
async def test_a_link_that_goes_down_ends_nothing(hosts: Hosts) -> None:
    ours, _, third = hosts
    async with mastering(ours) as master:
        ours.run("ip", "link", "set", "eth0", "down")
        with ours.entered():
            master.duplicates.tick()
        ours.run("ip", "link", "set", "eth0", "up")
        ours.run("ip", "addr", "replace", "fd00:1::11/64", "dev", "eth0", "nodad")

        def heard() -> bool:
            with third.entered(), Sender("eth0") as sender:
                sender.announce(THIRD_MAC, [CIDR[V4]])
            return master.found == {V4}

        await until(heard, "found after the link came back", within_s=3)


@in_a_loop
async def test_an_interface_that_is_not_there_is_named(hosts: Hosts) -> None:
    with (
        hosts[0].entered(),
        pytest.raises(NetlinkError, match="duplicate addresses on nosuch0: No such device"),
    ):
        Line("nosuch0", CIDR.values()).open(lambda: None)


@in_a_loop
async def test_thousands_of_addresses_are_said_not_to_be_watched(
    hosts: Hosts, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel takes a filter of 4096 instructions at most."""
    many = [f"10.1.{number // 250}.{number % 250}" for number in range(5000)]
    with hosts[0].entered():
        Duplicates(Line("eth0", many), Journal(), lambda _: None, lambda: True).open()

    assert "will not be found" in caplog.text
