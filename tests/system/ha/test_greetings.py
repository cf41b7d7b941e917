"""Greetings between real hosts: real sockets, links that fail, and a flood."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.ha.carp import GROUP
from tests.fakes.greeting_hosts import (
    all_know_each_other,
    greeter_on,
    kinds,
    play,
    running,
    until,
    without_multicast,
)
from tests.fakes.greeting_segment import PORT, VIP
from tests.fakes.netns import Host

pytestmark = pytest.mark.system

Hosts = tuple[Host, ...]
Change = Callable[[], object]


def test_two_hosts_know_each_other_within_a_tenth_of_a_second(hosts: Hosts) -> None:
    a, b = (greeter_on(host) for host in hosts[:2])

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: all_know_each_other(a, b), 0.1)
        assert [one.address for one in a.peers()] == [hosts[1].address]
        assert [one.address for one in b.peers()] == [hosts[0].address]

    play(scene)


def test_a_greeting_comes_from_the_hosts_own_address_and_never_from_the_vip(hosts: Hosts) -> None:
    hosts[0].run("ip", "addr", "add", f"{VIP}/24", "dev", "eth0")
    hosts[0].run("ip", "addr", "del", f"{hosts[0].address}/24", "dev", "eth0")
    hosts[0].run("ip", "addr", "replace", f"{VIP}/24", "dev", "eth0")
    hosts[0].run("ip", "addr", "add", f"{hosts[0].address}/24", "dev", "eth0")
    a, b = (greeter_on(host) for host in hosts[:2])

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: all_know_each_other(a, b), 2.0)
        assert [one.address for one in b.peers()] == [hosts[0].address]

    try:
        play(scene)
    finally:
        hosts[0].run("ip", "addr", "flush", "dev", "eth0", "to", VIP)
        hosts[0].run("ip", "addr", "replace", f"{hosts[0].address}/24", "dev", "eth0")


def test_multicast_that_is_lost_on_the_way_is_named_within_3_s(hosts: Hosts) -> None:
    a, b = (greeter_on(host) for host in hosts[:2])

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: all_know_each_other(a, b), 1.0)
            without_multicast(hosts[0], is_lost=True)
            await until(lambda: kinds(a) == ["multicast is lost"], 3.0)
            assert all_know_each_other(a, b)
            assert kinds(b) == []
            without_multicast(hosts[0], is_lost=False)
            await until(lambda: kinds(a) == [], 3.0)

    try:
        play(scene)
    finally:
        without_multicast(hosts[0], is_lost=False)


def test_a_host_that_starts_where_multicast_is_lost_is_known_all_the_same(hosts: Hosts) -> None:
    a, b = (greeter_on(host) for host in hosts[:2])
    without_multicast(hosts[1], is_lost=True)

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: all_know_each_other(a, b), 1.5)
            await until(lambda: kinds(b) == ["multicast is lost"], 3.5)

    try:
        play(scene)
    finally:
        without_multicast(hosts[1], is_lost=False)


def link_down(host: Host) -> tuple[Change, Change]:
    def down() -> None:
        host.run("ip", "link", "set", "eth0", "down")

    def up() -> None:
        host.run("ip", "link", "set", "eth0", "up")

    return down, up


def renamed(host: Host) -> tuple[Change, Change]:
    def away() -> None:
        host.run("sh", "-c", "ip link set eth0 down; ip link set eth0 name eth9 up")

    def back() -> None:
        host.run("sh", "-c", "ip link set eth9 down; ip link set eth9 name eth0 up")

    return away, back


def made_anew(host: Host) -> tuple[Change, Change]:
    """eth0 is deleted, and another interface has its name and address."""
    switch = ("ip", "-n", f"{host.namespace[:-1]}s")

    def away() -> None:
        host.run("ip", "link", "del", "eth0")

    def back() -> None:
        port, inside = f"port{host.number}", host.namespace
        peer = ("peer", "name", "eth0", "netns", inside)
        _run(*switch, "link", "add", port, "type", "veth", *peer)
        _run(*switch, "link", "set", port, "master", "br0", "up")
        host.run("ip", "link", "set", "eth0", "address", f"02:00:00:00:00:{host.number:02x}", "up")
        host.run("ip", "addr", "add", f"{host.address}/24", "dev", "eth0")
        host.run("ip", "addr", "add", f"fd00:1::{host.number}/64", "dev", "eth0", "nodad")

    return away, back


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, timeout=10)


@pytest.mark.parametrize("trouble", [link_down, renamed, made_anew])
def test_a_link_that_goes_and_comes_back_ends_no_greetings(
    hosts: Hosts, trouble: Callable[[Host], tuple[Change, Change]]
) -> None:
    a, b = (greeter_on(host) for host in hosts[:2])
    away, back = trouble(hosts[0])

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: all_know_each_other(a, b), 1.0)
            away()
            await until(lambda: not (a.healthy_peer()[0] or b.healthy_peer()[0]), 4.5)
            assert a.as_dict()["greetings"]["trouble"]
            back()
            await until(lambda: all_know_each_other(a, b), 3.0)
            assert not a.as_dict()["greetings"]["trouble"]

    play(scene)


def test_two_bundles_share_a_host_and_the_port(hosts: Hosts) -> None:
    first = [greeter_on(host) for host in hosts[:2]]
    second = [greeter_on(host, vhid=8, vip="10.0.1.203") for host in hosts[:2]]

    async def scene() -> None:
        async with running(*first, *second):
            await until(lambda: all_know_each_other(*first, *second), 3.0)
            for greeter in (*first, *second):
                assert len(greeter.peers()) == 1
                assert kinds(greeter) == []

    play(scene)


def test_listed_peers_greet_without_multicast(hosts: Hosts) -> None:
    a = greeter_on(hosts[0], peers=(hosts[1].address,))
    b = greeter_on(hosts[1], peers=(hosts[0].address,))
    for host in hosts[:2]:
        without_multicast(host, is_lost=True)

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: all_know_each_other(a, b), 1.5)
            assert kinds(a) == kinds(b) == []

    try:
        play(scene)
    finally:
        for host in hosts[:2]:
            without_multicast(host, is_lost=False)


def test_a_port_that_is_taken_is_told_and_taken_once_it_is_free(hosts: Hosts) -> None:
    a = greeter_on(hosts[0], peers=(hosts[1].address,))
    b = greeter_on(hosts[1], peers=(hosts[0].address,))
    with hosts[0].entered():
        squatter = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("", PORT))

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: a.as_dict()["greetings"]["trouble"], 1.0)
            assert a.as_dict()["greetings"]["trouble"] == (
                f"on eth0, UDP port {PORT}: Address already in use"
            )
            squatter.close()
            await until(lambda: all_know_each_other(a, b), 3.0)

    with squatter:
        play(scene)


FLOOD = f"""
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(0, socket.IP_MULTICAST_TTL, 255)
sock.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
until = time.monotonic() + 3
while time.monotonic() < until:
    sock.sendto(b"lbctl\\x01" + bytes(1300), ("{GROUP}", {PORT}))
"""


def test_a_flood_neither_holds_the_loop_up_nor_hides_the_peer(hosts: Hosts, tmp_path: Path) -> None:
    a, b = (greeter_on(host) for host in hosts[:2])

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: all_know_each_other(a, b), 1.0)
            spent = time.process_time()
            with hosts[2].spawned(
                tmp_path / "flood", [sys.executable, "-c", FLOOD, hosts[2].address]
            ) as flood:
                late_s = await longest_wait_s(3.0)
                assert flood.wait(5) == 0
            spent = time.process_time() - spent
        refused = a.as_dict()["greetings"]["refused"]
        # Read are 32 each 50 ms, and what arrives in between is left to the kernel.
        assert 1000 < refused["too many"] < 3.0 * 32 / 0.05 * 1.2
        assert all_know_each_other(a, b)
        assert late_s < 0.1
        assert spent < 0.3 * 3.0

    play(scene)


async def longest_wait_s(seconds: float) -> float:
    """How late this loop was at worst when it wanted to wake up every millisecond."""
    until_s, longest = time.monotonic() + seconds, 0.0
    while (now := time.monotonic()) < until_s:
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - now)
    return longest


def test_status_is_plain_json(hosts: Hosts) -> None:
    a, b = (greeter_on(host) for host in hosts[:2])

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: all_know_each_other(a, b), 1.0)
        assert json.loads(json.dumps(a.as_dict()))["peers"][0]["hostname"] == "host12"

    play(scene)
