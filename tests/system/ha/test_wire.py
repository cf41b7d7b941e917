"""Packets between real hosts: captures, announcements, probes, and a real ucarp as the peer."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from pathlib import Path

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha import carp
from lbctl.ha.address import Addresses
from lbctl.ha.announce import Sender, announce
from lbctl.ha.arp import probe
from lbctl.ha.capture import Carp, Seen, open_capture, read_all, speaker_of
from lbctl.ha.carp import Password, Received
from tests.fakes.netns import Host, wait_until
from tests.ucarps import PASSWORD, VIP, ucarp

pytestmark = pytest.mark.system

Hosts = tuple[Host, ...]


def captured(host: Host, interface: str | None = "eth0") -> socket.socket:
    with host.entered():
        return open_capture(interface)


def next_seen(capture: socket.socket, within_s: float) -> Seen:
    waiting: list[Seen] = []

    def came() -> bool:
        waiting.extend(read_all(capture))
        return bool(waiting)

    wait_until(came, within_s=within_s)
    return waiting[-1]


def genuine(packet: bytes) -> Received:
    received = carp.decode(packet)
    assert isinstance(received, Received)
    assert carp.verify(received, vip=VIP, password=PASSWORD)
    return received


def test_a_real_ucarps_advertisements_are_seen_going_out_and_coming_in(
    hosts: Hosts, tmp_path: Path
) -> None:
    speaker, listener, _ = hosts
    with (
        ucarp(speaker, tmp_path, "--deadratio=1", "--advskew=10"),
        captured(speaker) as own,
        captured(listener, None) as foreign,
    ):
        left = next_seen(own, within_s=5)
        came = next_seen(foreign, within_s=5)

    assert (left.outgoing, left.interface) == (True, "eth0")
    assert (came.outgoing, came.interface) == (False, "eth0")
    for packet in (left.packet, came.packet):
        received = genuine(packet)
        advertisement = received.advertisement
        assert (advertisement.vhid, advertisement.advbase, advertisement.advskew) == (7, 1, 10)
        assert received.source == speaker.address
        assert speaker_of(packet) == Carp(id=7, source=speaker.address, advbase=1, advskew=10)
    assert not carp.verify(genuine(came.packet), vip=VIP, password=Password(b"other"))


def test_our_packet_is_the_one_that_ucarp_would_have_sent(hosts: Hosts, tmp_path: Path) -> None:
    """Byte for byte, the random IP identification and its checksum aside."""
    speaker, listener, _ = hosts
    with listener.entered():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    with raw, ucarp(speaker, tmp_path, "--deadratio=1"):
        raw.settimeout(5)
        frame = raw.recv(2048)
        while frame[23] != carp.PROTOCOL:
            frame = raw.recv(2048)
    theirs = genuine(frame[14:])
    ours = carp.ethernet(
        7,
        carp.ip_packet(
            speaker.address,
            carp.encode(theirs.advertisement, vip=VIP, password=PASSWORD),
            identification=int.from_bytes(frame[18:20], "big"),
        ),
    )

    assert ours == frame


def test_our_resignation_makes_a_real_backup_take_over(hosts: Hosts, tmp_path: Path) -> None:
    """Its dead time is 20 s; pcap hands it packets up to 1 s late."""
    master, backup, leaver = hosts
    with (
        ucarp(master, tmp_path, "--deadratio=1"),
        captured(leaver) as capture,
    ):
        counter = genuine(next_seen(capture, within_s=5).packet).advertisement.counter
        with ucarp(backup, tmp_path, "--deadratio=20", "--advskew=100") as log:
            assert "MASTER" not in log.read_text()
            frame = carp.resignation(
                7, counter + 1, source=leaver.address, vip=VIP, password=PASSWORD
            )
            with leaver.entered(), Sender("eth0") as sender:
                sender.send([frame] * 3)
            wait_until(lambda: "going to time out" in log.read_text(), within_s=2)


def test_ucarp_does_not_believe_a_resignation_with_another_password(
    hosts: Hosts, tmp_path: Path
) -> None:
    _, backup, leaver = hosts
    with ucarp(backup, tmp_path, "--deadratio=20") as log:
        forged = carp.resignation(7, 1, source=leaver.address, vip=VIP, password=Password(b"?"))
        with leaver.entered(), Sender("eth0") as sender:
            sender.send([forged])
        wait_until(lambda: "Bad digest" in log.read_text(), within_s=3)
        assert "MASTER" not in log.read_text()


def test_capture_passes_protocol_112_alone(hosts: Hosts) -> None:
    sender, listener, _ = hosts
    with captured(listener) as capture:
        sender.run("arping", "-q", "-c", "1", "-I", "eth0", listener.address)
        with sender.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"x", (listener.address, 9))
        frame = carp.resignation(9, 1, source=sender.address, vip=VIP, password=PASSWORD)
        tagged = frame[:12] + bytes.fromhex("81000005") + frame[12:]
        with sender.entered(), Sender("eth0") as wire:
            wire.send([tagged, frame])
        first = next_seen(capture, within_s=2)
        rest = list(read_all(capture))

    assert genuine(first.packet).advertisement.vhid == 9
    assert rest == []


def test_capture_survives_a_link_that_flaps(hosts: Hosts) -> None:
    sender, listener, _ = hosts
    with captured(listener) as capture:
        listener.run("ip", "link", "set", "eth0", "down")
        assert list(read_all(capture)) == []
        listener.run("ip", "link", "set", "eth0", "up")
        listener.run("ip", "addr", "replace", "fd00:1::12/64", "dev", "eth0", "nodad")
        frame = carp.resignation(9, 1, source=sender.address, vip=VIP, password=PASSWORD)

        def arrived() -> bool:
            with sender.entered(), Sender("eth0") as wire:
                wire.send([frame])
            return bool(list(read_all(capture)))

        wait_until(arrived, within_s=3)


def test_an_unknown_interface_is_named(hosts: Hosts) -> None:
    with hosts[0].entered():
        with pytest.raises(NetlinkError, match="listening for CARP on nosuch0: No such device"):
            open_capture("nosuch0")
        with pytest.raises(NetlinkError, match="sending on nosuch0: No such device"):
            announce("nosuch0", "02:00:00:00:00:01", [VIP])
        with pytest.raises(NetlinkError, match=f"who has {VIP} on nosuch0: No such device"):
            asyncio.run(probe("nosuch0", VIP))


@pytest.mark.parametrize("address", [VIP, "fd00:1::201"])
def test_an_announcement_moves_the_neighbours_entry(hosts: Hosts, address: str) -> None:
    holder, _, client = hosts
    mac = f"02:00:00:00:00:{holder.number:02x}"
    client.run(
        *("ip", "neigh", "replace", address, "dev", "eth0", "nud", "stale"),
        *("lladdr", "02:00:00:00:00:ee"),
    )
    with holder.entered():
        announce("eth0", mac, [f"{address}/{ipaddress.ip_address(address).max_prefixlen}"])

    wait_until(lambda: mac in client.run("ip", "neigh", "show", "to", address), within_s=2)


@pytest.mark.parametrize("cidr", ["10.0.1.201/32", "fd00:1::201/128"])
def test_probe_finds_no_one_then_one_then_two_holders(hosts: Hosts, cidr: str) -> None:
    *holders, client = hosts
    found = []
    for count in range(3):
        for holder in holders[:count]:
            with holder.entered(), Addresses("eth0") as addresses:
                addresses.hold(cidr)
        with client.entered():
            found.append(len(asyncio.run(probe("eth0", cidr, within_s=0.3))))
    for holder in holders:
        with holder.entered(), Addresses("eth0") as addresses:
            addresses.drop(cidr)

    assert found == [0, 1, 2]


def test_probe_does_not_count_this_host(hosts: Hosts) -> None:
    with hosts[0].entered(), Addresses("eth0") as addresses:
        addresses.hold(f"{VIP}/32")
        started = time.monotonic()
        found = asyncio.run(probe("eth0", VIP, source=hosts[0].address, within_s=0.2))
        spent_s = time.monotonic() - started
        addresses.drop(f"{VIP}/32")

    assert found == ()
    assert spent_s < 0.5
