"""
CARP as UCARP 1.5.2 speaks it: bytes to values and back. Pure; opens no socket, reads no clock.

An advertisement is a 36-byte payload of IP protocol 112, sent to 224.0.0.18 (or, by the native
engine, to each peer) with a TTL of 255. Its HMAC covers version, type, vhid, the virtual address
and the counter, *not* advbase and advskew: a verified digest proves that somebody with the password
sent this counter, not at which interval.

Source: UCARP src/ip_carp.h and src/carp.c (carp_hmac_prepare, carp_send_ad, packethandler).
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from socket import AF_INET, inet_ntop, inet_pton

from lbctl.errors import Problem, ValidationError

PROTOCOL = 112
GROUP = "224.0.0.18"
TTL = 255
PASSWORD_MAX_BYTES = 19
#: What a leaving master advertises: longer than any dead time, so a backup takes over at once.
RESIGNATION_ADVBASE = 255

_GROUP_MAC = bytes.fromhex("01005e000012")
_VERSION = 2
_ADVERTISEMENT = 1
_VERSION_TYPE = _VERSION << 4 | _ADVERTISEMENT
_AUTHLEN = 7
_TOS_LOWDELAY = 0x10
_DONT_FRAGMENT = 0x4000
_FRAGMENT_BITS = 0x3FFF
_ETHERTYPE_IPV4 = 0x0800

_HEADER = struct.Struct("!BBBBBBHQ20s")
_IP_HEADER = struct.Struct("!BBHHHBBH4s4s")
_ETHERNET = struct.Struct("!6s6sH")


class Refusal(StrEnum):
    """Why a packet is not believed; the value is what counters and events say."""

    TRUNCATED = "truncated"
    NOT_IPV4 = "not IPv4"
    WRONG_PROTOCOL = "wrong protocol"
    FRAGMENT = "fragment"
    WRONG_TTL = "wrong ttl"
    WRONG_VERSION = "wrong version"
    WRONG_AUTHLEN = "wrong authlen"
    WRONG_LENGTH = "wrong length"
    BAD_CHECKSUM = "bad checksum"
    WRONG_DESTINATION = "wrong destination"
    WRONG_VHID = "wrong vhid"
    BAD_DIGEST = "bad digest"
    REPLAYED = "replayed"
    NOT_NATIVE = "not native"
    OWN_SOURCE = "own source"
    NOT_A_PEER = "not a peer"


class Password:
    """
    What both hosts sign with: 1 to 19 bytes. It shows itself to nobody but :meth:`reveal`'s caller.

    Raises:
        ValidationError: empty, too long, or with a NUL or a newline, where ucarp would cut it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes, *, where: str = "PASSWORD") -> None:
        what = _password_problem(value)
        if what:
            raise ValidationError([Problem(where, what)])
        self._value = value

    @classmethod
    def read(cls, path: Path) -> Password:
        """
        The password in *path*; one trailing newline is not part of it.

        Raises:
            ValidationError: as above, or the file cannot be read.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            problem = Problem(str(path), f"the CARP password cannot be read: {reason}")
            raise ValidationError([problem]) from error
        return cls(content.removesuffix(b"\n"), where=str(path))

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return "Password(***)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Password):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)


def _password_problem(value: bytes) -> str:
    if not value:
        return f"the CARP password is empty: 1 to {PASSWORD_MAX_BYTES} bytes"
    if len(value) > PASSWORD_MAX_BYTES:
        return f"the CARP password has {len(value)} bytes: at most {PASSWORD_MAX_BYTES}"
    if b"\0" in value or b"\n" in value:
        return "the CARP password holds a NUL or a newline: ucarp would cut it there"
    return ""


@dataclass(frozen=True, slots=True)
class Advertisement:
    """
    What a master says.

    Attributes:
        vhid: 0..255 on the wire, 1..255 in use.
        advbase: seconds, 0..255.
        advskew: 1/256 s, 0..255.
        counter: 64 bits; ucarp draws it at random until it has heard a peer.
    """

    vhid: int
    advbase: int
    advskew: int
    counter: int

    @property
    def interval_s(self) -> float:
        return self.advbase + self.advskew / 256


@dataclass(frozen=True, slots=True)
class Received:
    """A well-formed advertisement; whether it is genuine says :func:`verify`."""

    source: str
    destination: str
    ttl: int
    advertisement: Advertisement
    digest: bytes = field(repr=False)


def encode(advertisement: Advertisement, *, vip: str, password: Password) -> bytes:
    """The signed 36-byte payload for the group whose first address is *vip* (IPv4)."""
    digest = _digest(advertisement.vhid, advertisement.counter, vip, password)
    return _pack(advertisement, digest)


def _pack(advertisement: Advertisement, digest: bytes) -> bytes:
    def packed(checksum: int) -> bytes:
        return _HEADER.pack(
            _VERSION_TYPE,
            advertisement.vhid,
            advertisement.advskew,
            _AUTHLEN,
            0,
            advertisement.advbase,
            checksum,
            advertisement.counter,
            digest,
        )

    return packed(internet_checksum(packed(0)))


def _digest(vhid: int, counter: int, vip: str, password: Password) -> bytes:
    # The key is the password padded with zeros, which is what HMAC does with a short key anyway.
    signed = struct.pack(
        "!BBB4sQ", _VERSION, _ADVERTISEMENT, vhid, inet_pton(AF_INET, vip), counter
    )
    return hmac.digest(password.reveal(), signed, "sha1")


def internet_checksum(data: bytes) -> int:
    """RFC 1071 over *data*; 0 when *data* holds its own correct checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ip_packet(
    source: str, payload: bytes, *, destination: str = GROUP, identification: int = 0
) -> bytes:
    """*payload* from *source* to the CARP group or a peer, with ucarp's own IP header fields."""

    def header(checksum: int) -> bytes:
        return _IP_HEADER.pack(
            0x45,
            _TOS_LOWDELAY,
            _IP_HEADER.size + len(payload),
            identification,
            _DONT_FRAGMENT,
            TTL,
            PROTOCOL,
            checksum,
            inet_pton(AF_INET, source),
            inet_pton(AF_INET, destination),
        )

    return header(internet_checksum(header(0))) + payload


def ethernet(vhid: int, packet: bytes) -> bytes:
    """The frame as ucarp sends it: from the group's virtual MAC to the multicast MAC."""
    return _ETHERNET.pack(_GROUP_MAC, virtual_mac(vhid), _ETHERTYPE_IPV4) + packet


def virtual_mac(vhid: int) -> bytes:
    return bytes((0x00, 0x00, 0x5E, 0x00, 0x00, vhid))


def resignation(vhid: int, counter: int, *, source: str, vip: str, password: Password) -> bytes:
    """A whole frame that makes every backup of the group take over at once."""
    leaving = Advertisement(vhid, RESIGNATION_ADVBASE, 0, counter)
    return frame(leaving, source=source, vip=vip, password=password)


def frame(advertisement: Advertisement, *, source: str, vip: str, password: Password) -> bytes:
    """A whole Ethernet frame to the CARP group."""
    return _front(advertisement.vhid, source) + encode(advertisement, vip=vip, password=password)


@lru_cache
def _front(vhid: int, source: str) -> bytes:
    """What stands before the payload: always the same."""
    packet = ip_packet(source, bytes(_HEADER.size))
    return ethernet(vhid, packet)[: -_HEADER.size]


def genuine(
    packet: bytes, *, vhid: int, vip: str, password: Password, destination: str = GROUP
) -> Received | Refusal:
    """
    Read a packet that somebody with *password* signed for this group.

    Never raises, whatever *packet* holds. Neither its age nor its interval is proven.
    """
    received = decode(packet, destination=destination)
    if isinstance(received, Refusal):
        return received
    if received.advertisement.vhid != vhid:
        return Refusal.WRONG_VHID
    if not verify(received, vip=vip, password=password):
        return Refusal.BAD_DIGEST
    return received


def decode(packet: bytes, *, destination: str = GROUP) -> Received | Refusal:
    """
    Read an IPv4 packet, from its first header byte on; link-layer padding at its end is ignored.

    Args:
        packet: the bytes.
        destination: where it must be addressed to: the group, or this node's own address.

    Never raises, whatever *packet* holds. The digest is not looked at.
    """
    split = split_ip(packet)
    if isinstance(split, Refusal):
        return split
    header, payload = split
    refusal = _header_refusal(header, destination) or _payload_refusal(payload)
    if refusal:
        return refusal
    _, vhid, advskew, _, _, advbase, _, counter, digest = _HEADER.unpack(payload)
    return Received(
        source=inet_ntop(AF_INET, header[12:16]),
        destination=inet_ntop(AF_INET, header[16:20]),
        ttl=header[8],
        advertisement=Advertisement(vhid, advbase, advskew, counter),
        digest=digest,
    )


def split_ip(packet: bytes) -> tuple[bytes, bytes] | Refusal:
    """Header and payload of a whole IPv4 packet of protocol 112."""
    if len(packet) < _IP_HEADER.size:
        return Refusal.TRUNCATED
    if packet[0] >> 4 != 4:
        return Refusal.NOT_IPV4
    header_length = (packet[0] & 0xF) * 4
    total_length = int.from_bytes(packet[2:4], "big")
    if not _IP_HEADER.size <= header_length <= total_length <= len(packet):
        return Refusal.TRUNCATED
    if packet[9] != PROTOCOL:
        return Refusal.WRONG_PROTOCOL
    if int.from_bytes(packet[6:8], "big") & _FRAGMENT_BITS:
        return Refusal.FRAGMENT
    return packet[:header_length], packet[header_length:total_length]


def _header_refusal(header: bytes, destination: str) -> Refusal | None:
    if header[8] != TTL:
        return Refusal.WRONG_TTL
    if internet_checksum(header):
        return Refusal.BAD_CHECKSUM
    if header[16:20] != inet_pton(AF_INET, destination):
        return Refusal.WRONG_DESTINATION
    return None


def _payload_refusal(payload: bytes) -> Refusal | None:
    if len(payload) < 4:
        return Refusal.TRUNCATED
    if payload[0] != _VERSION_TYPE:
        return Refusal.WRONG_VERSION
    if payload[3] != _AUTHLEN:
        return Refusal.WRONG_AUTHLEN
    if len(payload) != _HEADER.size:
        return Refusal.TRUNCATED if len(payload) < _HEADER.size else Refusal.WRONG_LENGTH
    if internet_checksum(payload):
        return Refusal.BAD_CHECKSUM
    return None


def is_carp_payload(payload: bytes) -> bool:
    """CARP rather than VRRP: a VRRPv2 packet of 36 bytes lists five addresses, not seven."""
    return len(payload) == _HEADER.size and payload[0] == _VERSION_TYPE and payload[3] == _AUTHLEN


def verify(received: Received, *, vip: str, password: Password) -> bool:
    """Whether somebody with *password* signed it for *vip*. Neither age nor interval is proven."""
    advertisement = received.advertisement
    expected = _digest(advertisement.vhid, advertisement.counter, vip, password)
    return hmac.compare_digest(expected, received.digest)
