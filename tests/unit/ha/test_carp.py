from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.errors import ValidationError
from lbctl.ha import carp
from lbctl.ha.carp import Advertisement, Password, Received, Refusal

VIP = "10.0.1.201"
PASSWORD = Password(b"foobar23")
ADVERTISEMENT = Advertisement(vhid=7, advbase=1, advskew=100, counter=0x0123456789ABCDEF)


def packet(advertisement: Advertisement = ADVERTISEMENT) -> bytes:
    return carp.ip_packet("10.0.1.11", carp.encode(advertisement, vip=VIP, password=PASSWORD))


def changed(offset: int, value: bytes) -> bytes:
    """The packet with other bytes, its checksums made right again."""
    raw = bytearray(packet())
    raw[offset : offset + len(value)] = value
    raw[10:12] = raw[26:28] = b"\0\0"
    raw[10:12] = carp.internet_checksum(bytes(raw[:20])).to_bytes(2, "big")
    raw[26:28] = carp.internet_checksum(bytes(raw[20:])).to_bytes(2, "big")
    return bytes(raw)


def decoded(raw: bytes) -> Received:
    received = carp.decode(raw)
    assert isinstance(received, Received)
    return received


def test_header_is_laid_out_as_ucarp_lays_it_out() -> None:
    payload = carp.encode(ADVERTISEMENT, vip=VIP, password=PASSWORD)

    assert len(payload) == 36
    assert payload[:6] == bytes((0x21, 7, 100, 7, 0, 1))
    assert payload[8:16] == ADVERTISEMENT.counter.to_bytes(8, "big")
    assert carp.internet_checksum(payload) == 0


def test_digest_is_hmac_sha1_with_the_key_padded_to_the_block() -> None:
    """Worked out by hand as carp_hmac_prepare and carp_hmac_generate do it."""
    import hashlib

    key = b"foobar23".ljust(64, b"\0")
    signed = bytes((2, 1, 7, 10, 0, 1, 201)) + ADVERTISEMENT.counter.to_bytes(8, "big")
    inner = hashlib.sha1(bytes(byte ^ 0x36 for byte in key) + signed).digest()
    expected = hashlib.sha1(bytes(byte ^ 0x5C for byte in key) + inner).digest()

    assert expected == decoded(packet()).digest


def test_ip_header_has_ucarps_fields() -> None:
    raw = packet()

    assert raw[:2] == b"\x45\x10"
    assert raw[6:10] == bytes((0x40, 0, 255, 112))
    assert carp.internet_checksum(raw[:20]) == 0


def test_frame_goes_from_the_virtual_mac_to_the_group() -> None:
    frame = carp.resignation(7, 1, source="10.0.1.11", vip=VIP, password=PASSWORD)
    received = decoded(frame[14:])

    assert frame[:14].hex() == "01005e00001200005e0000070800"
    assert received.advertisement == Advertisement(7, 255, 0, 1)
    assert carp.verify(received, vip=VIP, password=PASSWORD)


def test_a_packet_to_a_peer_is_read_by_that_peer_alone() -> None:
    payload = carp.encode(ADVERTISEMENT, vip=VIP, password=PASSWORD)
    unicast = carp.ip_packet("10.0.1.11", payload, destination="10.0.1.12")
    received = carp.decode(unicast, destination="10.0.1.12")

    assert isinstance(received, Received)
    assert received.destination == "10.0.1.12"
    assert carp.decode(unicast) is Refusal.WRONG_DESTINATION
    assert carp.decode(packet(), destination="10.0.1.12") is Refusal.WRONG_DESTINATION


@pytest.mark.parametrize(
    ("vhid", "vip", "password", "refusal"),
    [
        (8, VIP, PASSWORD, Refusal.WRONG_VHID),
        (7, "10.0.1.202", PASSWORD, Refusal.BAD_DIGEST),
        (7, VIP, Password(b"other"), Refusal.BAD_DIGEST),
    ],
)
def test_what_is_not_of_this_group_is_not_genuine(
    vhid: int, vip: str, password: Password, refusal: Refusal
) -> None:
    assert carp.genuine(packet(), vhid=vhid, vip=vip, password=password) is refusal


def test_what_is_of_this_group_is_genuine_and_what_is_malformed_keeps_its_reason() -> None:
    received = carp.genuine(packet(), vhid=7, vip=VIP, password=PASSWORD)

    assert isinstance(received, Received)
    assert received.advertisement == ADVERTISEMENT
    assert carp.genuine(b"", vhid=7, vip=VIP, password=PASSWORD) is Refusal.TRUNCATED


@given(
    vhid=st.integers(0, 255),
    advbase=st.integers(0, 255),
    advskew=st.integers(0, 255),
    counter=st.integers(0, 2**64 - 1),
    padding=st.binary(max_size=20),
)
def test_what_is_encoded_is_decoded_whatever_pads_the_frame(
    vhid: int, advbase: int, advskew: int, counter: int, padding: bytes
) -> None:
    advertisement = Advertisement(vhid, advbase, advskew, counter)
    received = decoded(packet(advertisement) + padding)

    assert advertisement == received.advertisement
    assert received.source == "10.0.1.11"
    assert received.destination == "224.0.0.18"
    assert carp.verify(received, vip=VIP, password=PASSWORD)


@pytest.mark.parametrize(
    ("vip", "password"),
    [(VIP, Password(b"other")), ("10.0.1.202", PASSWORD)],
    ids=["password", "vip"],
)
def test_another_password_or_vip_does_not_verify(vip: str, password: Password) -> None:
    assert not carp.verify(decoded(packet()), vip=vip, password=password)


def test_another_counter_or_vhid_does_not_verify() -> None:
    for offset in (21, 28, 35):
        received = decoded(changed(offset, b"\x09"))

        assert not carp.verify(received, vip=VIP, password=PASSWORD)


def test_interval_is_not_signed() -> None:
    """A weakness of the protocol that callers must know: advbase can be forged by replay."""
    received = decoded(changed(25, b"\xff"))

    assert received.advertisement.advbase == 255
    assert carp.verify(received, vip=VIP, password=PASSWORD)


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (b"", Refusal.TRUNCATED),
        (packet()[:19], Refusal.TRUNCATED),
        (packet()[:-1], Refusal.TRUNCATED),
        (changed(0, b"\x65"), Refusal.NOT_IPV4),
        (changed(0, b"\x44"), Refusal.TRUNCATED),
        (changed(9, b"\x06"), Refusal.WRONG_PROTOCOL),
        (changed(6, b"\x20"), Refusal.FRAGMENT),
        (changed(8, b"\xfe"), Refusal.WRONG_TTL),
        (changed(20, b"\x31"), Refusal.WRONG_VERSION),
        (changed(20, b"\x22"), Refusal.WRONG_VERSION),
        (changed(23, b"\x05"), Refusal.WRONG_AUTHLEN),
        (changed(19, b"\x13"), Refusal.WRONG_DESTINATION),
        (packet()[:-1] + b"\0", Refusal.BAD_CHECKSUM),
        (changed(2, b"\x00\x37"), Refusal.TRUNCATED),
        (changed(2, b"\x00\x14"), Refusal.TRUNCATED),
        (changed(2, b"\x00\x39") + b"\0", Refusal.WRONG_LENGTH),
        (packet()[:1] + b"\x11" + packet()[2:], Refusal.BAD_CHECKSUM),
    ],
)
def test_malformed_packet_is_refused_with_its_reason(raw: bytes, refusal: Refusal) -> None:
    assert refusal is carp.decode(raw)


def test_100_000_random_and_mutated_packets_raise_nothing() -> None:
    dice = random.Random(20)
    genuine = packet()
    outcomes = set()
    for _ in range(50_000):
        outcomes.add(type(carp.decode(dice.randbytes(dice.randrange(80)))))
        mutant = bytearray(genuine[: dice.randrange(40, 57)])
        for _ in range(dice.randrange(4)):
            mutant[dice.randrange(len(mutant))] = dice.randrange(256)
        outcomes.add(type(carp.decode(bytes(mutant))))

    assert outcomes == {Received, Refusal}


@given(st.binary(max_size=100))
def test_a_known_start_with_any_rest_raises_nothing(rest: bytes) -> None:
    assert isinstance(carp.decode(packet()[:24] + rest), (Received, Refusal))


def test_password_does_not_show() -> None:
    assert "foobar23" not in f"{PASSWORD!r} {PASSWORD} {[PASSWORD]}"
    assert decoded(packet()).digest.hex() not in repr(decoded(packet()))


@pytest.mark.parametrize("value", [b"", b"x" * 20, b"a\0b", b"a\nb", "ä".encode() * 10])
def test_password_that_ucarp_would_not_take_is_refused_unshown(value: bytes) -> None:
    with pytest.raises(ValidationError) as caught:
        Password(value)

    assert not value or value.decode() not in str(caught.value)


def test_password_of_19_bytes_is_taken() -> None:
    assert Password(b"x" * 19).reveal() == b"x" * 19


@pytest.mark.parametrize(
    ("content", "value"), [(b"foobar23\n", b"foobar23"), (b"foo bar", b"foo bar")]
)
def test_password_file_loses_one_newline(tmp_path: Path, content: bytes, value: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)

    assert Password.read(path).reveal() == value


def test_unreadable_password_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"missing: .*cannot be read: No such file"):
        Password.read(tmp_path / "missing")
