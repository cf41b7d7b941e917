"""
Who speaks IP protocol 112 on this host's links: CARP or VRRP, coming in or going out.

One packet socket with a filter in the kernel, so that other traffic costs nothing. It sees what
ucarp itself sends, which is the only proof that its advertisements leave. Frames with a VLAN tag
are passed over here: they are seen on the VLAN's own interface.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from lbctl.errors import NetlinkError
from lbctl.ha import carp

_ETH_P_ALL = 0x0003
_SO_ATTACH_FILTER = 26
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_MULTICAST = 0
_PACKET_IGNORE_OUTGOING = 23
_GROUP_MAC = bytes.fromhex("01005e000012")
_MAX_PACKET_BYTES = 2048

# Offsets into the kernel's ancillary data (linux/filter.h, SKF_AD_OFF + SKF_AD_...).
_AD_PROTOCOL = 0xFFFFF000
_AD_VLAN_TAG_PRESENT = 0xFFFFF000 + 48
_LD_W_ABS = 0x20
_LD_B_ABS = 0x30
_LD_B_IND = 0x50
_LDX_MSH = 0xB1
_JEQ = 0x15
_RET = 0x06

#: IPv4, no VLAN tag, protocol 112. On a SOCK_DGRAM socket offset 0 is the IP header.
_FILTER = (
    (_LD_W_ABS, 0, 0, _AD_PROTOCOL),
    (_JEQ, 0, 5, 0x0800),
    (_LD_W_ABS, 0, 0, _AD_VLAN_TAG_PRESENT),
    (_JEQ, 0, 3, 0),
    (_LD_B_ABS, 0, 0, 9),
    (_JEQ, 0, 1, carp.PROTOCOL),
    (_RET, 0, 0, 0xFFFF),
    (_RET, 0, 0, 0),
)

Filter = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Usual:
    """
    A master's advertisements, as they come all the time.

    Attributes:
        source: IPv4.
    """

    vhid: int
    source: str
    advbase: int
    advskew: int


@dataclass(frozen=True, slots=True)
class Seen:
    """
    One packet.

    Attributes:
        outgoing: this host sent it.
        interface: where.
        packet: from the IP header on.
        at: monotonic clock, seconds, when it was read.
    """

    outgoing: bool
    interface: str
    packet: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Carp:
    """A CARP speaker; nothing is said about whose password it has."""

    id: int
    source: str
    advbase: int
    advskew: int


@dataclass(frozen=True, slots=True)
class Vrrp:
    """A VRRP speaker."""

    id: int
    source: str
    version: int
    priority: int


def attach_filter(sock: socket.socket, program: Filter) -> None:
    """Give *sock* a classic BPF program of (code, jt, jf, k)."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    instructions = array("B", code)  # outlives the call: the kernel copies it
    sock.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("@HP", len(program), instructions.buffer_info()[0]),
    )


def all_but(usuals: Iterable[Usual]) -> Filter:
    """A program that passes protocol 112 without *usuals*."""
    blocks = (one for usual in usuals for one in _pass_over(usual))
    return (*blocks, *_FILTER)


def _pass_over(usual: Usual) -> Filter:
    source = int.from_bytes(socket.inet_aton(usual.source), "big")
    return (
        (_LD_W_ABS, 0, 0, 12),
        (_JEQ, 0, 8, source),
        (_LDX_MSH, 0, 0, 0),
        (_LD_B_IND, 0, 0, 1),
        (_JEQ, 0, 5, usual.vhid),
        (_LD_B_IND, 0, 0, 2),
        (_JEQ, 0, 3, usual.advskew),
        (_LD_B_IND, 0, 0, 5),
        (_JEQ, 0, 1, usual.advbase),
        (_RET, 0, 0, 0),
    )


def open_capture(interface: str | None, *, incoming_only: bool = False) -> socket.socket:
    """
    A non-blocking packet socket that passes protocol 112 alone, both directions.

    Args:
        interface: listen there alone; None: on every interface that this host has now or will have
            (the multicast group is joined on those it has now).
        incoming_only: what this host sends is of no interest.

    Raises:
        NetlinkError: no NET_RAW, or no such interface.
    """
    where = interface or "every interface"
    # Python binds to a named interface alone; a protocol given at birth means every one.
    protocol = 0 if interface else socket.htons(_ETH_P_ALL)
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
    except PermissionError as error:
        reason = f"{error.strerror}: the capability NET_RAW is missing"
        message = f"listening for CARP on {where}: {reason}"
        raise NetlinkError(message) from error
    try:
        attach_filter(sock, _FILTER)
        if incoming_only:
            sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        _discard_waiting(sock)
        if interface:
            sock.bind((interface, _ETH_P_ALL))
        _join_group(sock, interface)
    except OSError as error:
        sock.close()
        message = f"listening for CARP on {where}: {error.strerror or error}"
        raise NetlinkError(message) from error
    return sock


def _discard_waiting(sock: socket.socket) -> None:
    # What came before the filter was in place.
    with suppress(BlockingIOError):
        while True:
            sock.recv(1)


def _join_group(sock: socket.socket, interface: str | None) -> None:
    # Without this a network card may filter the group out before ucarp has joined it.
    names = [interface] if interface else [name for _, name in socket.if_nameindex()]
    for name in names:
        with suppress(OSError):
            membership = struct.pack(
                "=iHH8s", socket.if_nametoindex(name), _PACKET_MR_MULTICAST, 6, _GROUP_MAC
            )
            sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)


def read_all(
    capture: socket.socket, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Seen]:
    """
    What waits in *capture*, oldest first; ends when nothing does.

    Raises:
        NetlinkError: the socket is of no more use.
    """
    while True:
        try:
            packet, address = capture.recvfrom(_MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ENETDOWN:  # said once when a link goes down; it goes on after
                continue
            message = f"reading captured CARP packets: {error.strerror or error}"
            raise NetlinkError(message) from error
        yield Seen(address[2] == socket.PACKET_OUTGOING, address[0], packet, clock())


def speaker_of(packet: bytes) -> Carp | Vrrp | None:
    """Who sent this IPv4 packet of protocol 112; None when it is neither CARP nor VRRP."""
    split = carp.split_ip(packet)
    if isinstance(split, carp.Refusal):
        return None
    header, payload = split
    source = socket.inet_ntop(socket.AF_INET, header[12:16])
    if carp.is_carp_payload(payload):
        return Carp(id=payload[1], source=source, advbase=payload[5], advskew=payload[2])
    if len(payload) >= 8 and payload[0] in (0x21, 0x31):
        return Vrrp(id=payload[1], source=source, version=payload[0] >> 4, priority=payload[2])
    return None
