from __future__ import annotations

import socket

from lbctl.ha.announce import announcement
from lbctl.ha.arp import holder_in
from lbctl.ha.carp import internet_checksum

MAC = "02:00:00:00:00:0b"


def test_ipv4_is_announced_in_both_forms() -> None:
    request, reply = announcement(MAC, "10.0.1.201/32")
    head = "ffffffffffff02000000000b0806" + "0001080006040001"
    claim = "02000000000b0a0001c9" * 2

    assert request.hex() == head + claim
    assert reply.hex() == head[:-1] + "2" + claim


def test_ipv6_is_announced_to_all_nodes_with_override() -> None:
    (frame,) = announcement(MAC, "fd00:1::201/128")
    source, destination = frame[22:38], frame[38:54]
    pseudo = source + destination + bytes((0, 0, 0, 32, 0, 0, 0, 58))

    assert frame[:14].hex() == "33330000000102000000000b86dd"
    assert frame[18:22] == bytes((0, 32, 58, 255))
    assert source == socket.inet_pton(socket.AF_INET6, "fd00:1::201")
    assert destination == socket.inet_pton(socket.AF_INET6, "ff02::1")
    assert frame[54:56] == bytes((136, 0))
    assert frame[58] == 0x20
    assert frame[78:] == bytes((2, 1)) + bytes.fromhex("02000000000b")
    assert internet_checksum(pseudo + frame[54:]) == 0


def test_a_probe_reads_announcements_as_claims_to_that_address_alone() -> None:
    for address, other in [("10.0.1.201", "10.0.1.202"), ("fd00:1::201", "fd00:1::202")]:
        for frame in announcement(MAC, address):
            assert holder_in(frame, address) == MAC
            assert holder_in(frame, other) is None
            assert holder_in(frame[:41], address) is None
