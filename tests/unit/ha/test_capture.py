from __future__ import annotations

import pytest

from lbctl.ha import carp
from lbctl.ha.capture import Carp, Vrrp, speaker_of
from lbctl.ha.carp import Advertisement, Password


def ip(payload: bytes) -> bytes:
    return carp.ip_packet("10.0.1.11", payload)


def test_carp_speaker_is_known_whatever_its_password() -> None:
    advertisement = Advertisement(9, 1, 20, 5)
    payload = carp.encode(advertisement, vip="10.0.9.9", password=Password(b"?"))

    assert speaker_of(ip(payload)) == Carp(id=9, source="10.0.1.11", advbase=1, advskew=20)


@pytest.mark.parametrize("addresses", [1, 5, 7])
def test_vrrp_2_speaker_is_no_carp_speaker_even_at_the_same_length(addresses: int) -> None:
    """With five addresses a VRRPv2 packet has 36 bytes too."""
    header = bytes((0x21, 51, 100, addresses, 0, 1, 0, 0))
    payload = header + bytes(4 * addresses) + bytes(8)

    assert speaker_of(ip(payload)) == Vrrp(id=51, source="10.0.1.11", version=2, priority=100)


def test_vrrp_3_speaker_is_known() -> None:
    payload = bytes((0x31, 51, 254, 1, 0, 100, 0, 0)) + bytes(4)

    assert speaker_of(ip(payload)) == Vrrp(id=51, source="10.0.1.11", version=3, priority=254)


@pytest.mark.parametrize("packet", [b"", ip(b""), ip(b"\x99" * 36), ip(b"\x21\x01")])
def test_anything_else_is_nobody(packet: bytes) -> None:
    assert speaker_of(packet) is None
