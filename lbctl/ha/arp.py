"""
Asking the link who holds an address: ARP for IPv4, neighbour solicitation for IPv6.

Asks as a stranger (ARP from 0.0.0.0), which changes nobody's tables, and collects every answer:
two of them are two holders.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from lbctl.errors import NetlinkError
from lbctl.ha.announce import arp_frame, icmpv6_frame, mac_text
from lbctl.ha.capture import Filter, attach_filter

_ETH_P_ARP = 0x0806
_ETH_P_IPV6 = 0x86DD
_ARP_REQUEST = 1
_NEIGHBOUR_SOLICITATION = 135
_NEIGHBOUR_ADVERTISEMENT = 136
_HOP_LIMIT = 255
_QUESTIONS = 3
_FRAME_BYTES = 256

#: On a SOCK_RAW socket offset 0 is the Ethernet header; 20 is IPv6's next header, 54 ICMPv6's type.
_ADVERTISEMENTS_ONLY: Filter = (
    (0x30, 0, 0, 20),
    (0x15, 0, 3, 58),
    (0x30, 0, 0, 54),
    (0x15, 0, 1, _NEIGHBOUR_ADVERTISEMENT),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


async def probe(
    interface: str, address: str, source: str | None = None, within_s: float = 0.5
) -> tuple[str, ...]:
    """
    The distinct MACs of those on the link, this host aside, that say they hold *address*.

    Asks three times, spread over *within_s*, and always waits that long: a second holder may be
    slower than the first.

    Args:
        interface: where to ask.
        address: IPv4 or IPv6, with or without prefix.
        source: the IPv4 address to ask from; None: from nobody (0.0.0.0, RFC 5227).
        within_s: seconds.

    Raises:
        NetlinkError: no NET_RAW, no such interface, or it is down.
    """
    host = address.partition("/")[0]
    try:
        with _open(interface, is_ipv6=":" in host) as sock:
            asked = question(sock.getsockname()[4], host, source)
            return await _ask(sock, asked, host, within_s)
    except PermissionError as error:
        message = f"asking who has {host} on {interface}: {error.strerror}: NET_RAW is missing"
        raise NetlinkError(message) from error
    except OSError as error:
        message = f"asking who has {host} on {interface}: {error.strerror or error}"
        raise NetlinkError(message) from error


def _open(interface: str, *, is_ipv6: bool) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        if is_ipv6:
            attach_filter(sock, _ADVERTISEMENTS_ONLY)
        sock.bind((interface, _ETH_P_IPV6 if is_ipv6 else _ETH_P_ARP))
    except OSError:
        sock.close()
        raise
    return sock


async def _ask(sock: socket.socket, question: bytes, host: str, within_s: float) -> tuple[str, ...]:
    holders: dict[str, None] = {}
    loop = asyncio.get_running_loop()
    for _ in range(_QUESTIONS):
        sock.send(question)
        try:
            async with asyncio.timeout(within_s / _QUESTIONS):
                while True:
                    frame, sender = await loop.sock_recvfrom(sock, _FRAME_BYTES)
                    mac = holder_in(frame, host)
                    if mac and sender[2] != socket.PACKET_OUTGOING:
                        holders[mac] = None
        except TimeoutError:
            continue
    return tuple(holders)


def question(mac: bytes, host: str, source: str | None = None) -> bytes:
    """The frame that asks who has *host*, from *mac*; *source* as in :func:`probe`."""
    return _solicitation(mac, host) if ":" in host else _who_has(mac, host, source)


def holder_in(frame: bytes, host: str) -> str | None:
    """The MAC that *frame* says *host* is at; None when it says nothing of it."""
    claim = claim_in(frame)
    return claim[1] if claim is not None and claim[0] == packed(host) else None


def claim_in(frame: bytes) -> tuple[bytes, str] | None:
    """The address, packed, that *frame* says somebody holds, and their MAC; None: it says none."""
    if len(frame) < 42:
        return None
    kind = int.from_bytes(frame[12:14], "big")
    if kind == _ETH_P_ARP:
        # Replies, and gratuitous requests: whoever names the address as its own holds it.
        return frame[28:32], mac_text(frame[22:28])
    if kind == _ETH_P_IPV6 and len(frame) >= 78:
        is_genuine = frame[21] == _HOP_LIMIT and frame[54] == _NEIGHBOUR_ADVERTISEMENT
        return (frame[62:78], mac_text(frame[6:12])) if is_genuine else None
    return None


def packed(host: str) -> bytes:
    """As it stands in a packet."""
    return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)


def _who_has(mac: bytes, host: str, source: str | None) -> bytes:
    return arp_frame(_ARP_REQUEST, mac, packed(source or "0.0.0.0"), bytes(6), packed(host))


def _solicitation(mac: bytes, host: str) -> bytes:
    # As duplicate address detection asks: from nobody, so the answer goes to all nodes.
    target = packed(host)
    group = bytes.fromhex("ff0200000000000000000001ff") + target[13:]
    return icmpv6_frame(
        _NEIGHBOUR_SOLICITATION,
        struct.pack("!I16s", 0, target),
        mac,
        bytes(16),
        b"\x33\x33" + group[12:],
        socket.inet_ntop(socket.AF_INET6, group),
    )
