"""Packets of one group: genuine ones, and what a stranger without the password makes of them."""

from __future__ import annotations

from dataclasses import replace
from socket import AF_INET, inet_pton

from lbctl.ha import carp, counter
from lbctl.ha.carp import Advertisement, Password

VHID = 7
VIP = "10.0.1.201"
PASSWORD = Password(b"foobar23")
KEY = counter.TagKey(PASSWORD)


def packet(source: str, advertisement: Advertisement) -> bytes:
    """A signed IP packet of the group."""
    return carp.ip_packet(source, carp.encode(advertisement, vip=VIP, password=PASSWORD))


def changed(raw: bytes, **fields: int) -> bytes:
    """A genuine packet with other advbase, advskew, vhid or ttl; its checksums made right again."""
    received = carp.decode(raw)
    assert isinstance(received, carp.Received)
    body = bytearray(raw)
    body[8] = fields.pop("ttl", raw[8])
    said = replace(received.advertisement, **fields)
    body[21], body[22], body[25] = said.vhid, said.advskew, said.advbase
    return _checked(body)


def from_elsewhere(raw: bytes, source: str) -> bytes:
    """The packet as if *source* had sent it."""
    return _checked(bytearray(raw[:12] + inet_pton(AF_INET, source) + raw[16:]))


def _checked(body: bytearray) -> bytes:
    body[10:12] = body[26:28] = b"\0\0"
    body[10:12] = carp.internet_checksum(bytes(body[:20])).to_bytes(2, "big")
    body[26:28] = carp.internet_checksum(bytes(body[20:])).to_bytes(2, "big")
    return bytes(body)
