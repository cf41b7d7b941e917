"""
Telling the neighbours where an address lives now: gratuitous ARP and neighbour advertisements.

The frames are built purely; :class:`Sender` puts them, or any other frame, on the wire.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterable
from typing import Self

from lbctl.errors import NetlinkError
from lbctl.ha.carp import internet_checksum

BROADCAST = b"\xff" * 6

_ETHERTYPE_ARP = 0x0806
_ETHERTYPE_IPV6 = 0x86DD
_ARP_REQUEST = 1
_ARP_REPLY = 2
_ALL_NODES = "ff02::1"
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ICMPV6 = 58
_NEIGHBOUR_ADVERTISEMENT = 136
_OVERRIDE = 0x20000000
_TARGET_LINK_LAYER = 2
_SIOCGIFHWADDR = 0x8927


class Sender:
    """
    A packet socket on one interface that only sends.

    Kept open, since closing a packet socket waits for an RCU grace period (milliseconds).

    Raises:
        NetlinkError: no NET_RAW, or no such interface.
    """

    __slots__ = ("_socket", "interface")

    def __init__(self, interface: str) -> None:
        self.interface = interface
        try:
            # Protocol 0: nothing is ever received.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            message = f"sending on {interface}: {error.strerror}: the capability NET_RAW is missing"
            raise NetlinkError(message) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, frames: Iterable[bytes]) -> None:
        """
        Put whole Ethernet frames on the wire, in order.

        Raises:
            NetlinkError: the interface is down or gone; frames before the failed one have left.
        """
        try:
            for frame in frames:
                self._socket.sendto(frame, (self.interface, 0))
        except OSError as error:
            message = f"sending on {self.interface}: {error.strerror or error}"
            raise NetlinkError(message) from error

    def mac(self) -> str:
        """
        The interface's own, as it is now.

        Raises:
            NetlinkError: there is no such interface.
        """
        request = struct.pack("16s16x", self.interface.encode())
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFHWADDR, request)
        except OSError as error:
            message = f"looking at {self.interface}: {error.strerror or error}"
            raise NetlinkError(message) from error
        return mac_text(answer[18:24])

    def announce(self, mac: str, addresses: Iterable[str]) -> None:
        """
        Tell every neighbour that *addresses* (with or without prefix) are at *mac*.

        Raises:
            NetlinkError: as :meth:`send`.
        """
        self.send(frame for address in addresses for frame in announcement(mac, address))


def announce(interface: str, mac: str, addresses: Iterable[str]) -> None:
    """:meth:`Sender.announce` on a socket opened for it; same errors."""
    with Sender(interface) as sender:
        sender.announce(mac, addresses)


def announcement(mac: str, address: str) -> tuple[bytes, ...]:
    """The frames that announce one address, with or without prefix."""
    host = address.partition("/")[0]
    if ":" in host:
        return (neighbour_advertisement(mac_bytes(mac), host),)
    # Some hosts believe only the request form, some only the reply (arping -U and -A).
    return tuple(
        gratuitous_arp(mac_bytes(mac), host, operation) for operation in (_ARP_REQUEST, _ARP_REPLY)
    )


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(mac: bytes) -> str:
    return mac.hex(":")


def gratuitous_arp(mac: bytes, address: str, operation: int) -> bytes:
    """Sender and target are the same: ``arping -U`` (operation 1) or ``arping -A`` (2)."""
    packed = socket.inet_pton(socket.AF_INET, address)
    return arp_frame(operation, mac, packed, mac, packed)


def arp_frame(
    operation: int, sender_mac: bytes, sender: bytes, target_mac: bytes, target: bytes
) -> bytes:
    """A broadcast ARP frame (RFC 826)."""
    return (
        struct.pack("!6s6sH", BROADCAST, sender_mac, _ETHERTYPE_ARP)
        + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
        + struct.pack("!6s4s6s4s", sender_mac, sender, target_mac, target)
    )


def neighbour_advertisement(mac: bytes, address: str) -> bytes:
    """Unsolicited, to all nodes, with the override flag (RFC 4861, 7.2.6)."""
    packed = socket.inet_pton(socket.AF_INET6, address)
    body = struct.pack("!I16sBB6s", _OVERRIDE, packed, _TARGET_LINK_LAYER, 1, mac)
    return icmpv6_frame(_NEIGHBOUR_ADVERTISEMENT, body, mac, packed, _ALL_NODES_MAC, _ALL_NODES)


def icmpv6_frame(
    kind: int, body: bytes, mac: bytes, source: bytes, target_mac: bytes, target: str
) -> bytes:
    """An ICMPv6 message of code 0 and hop limit 255, with its checksum."""
    destination = socket.inet_pton(socket.AF_INET6, target)
    length = 4 + len(body)
    pseudo = source + destination + struct.pack("!II", length, _ICMPV6)
    checksum = internet_checksum(pseudo + struct.pack("!BBH", kind, 0, 0) + body)
    return (
        struct.pack("!6s6sH", target_mac, mac, _ETHERTYPE_IPV6)
        + struct.pack("!IHBB16s16s", 6 << 28, length, _ICMPV6, 255, source, destination)
        + struct.pack("!BBH", kind, 0, checksum)
        + body
    )
