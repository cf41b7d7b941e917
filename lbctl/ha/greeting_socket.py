"""
The UDP socket of the greetings: one interface, told apart what came by multicast.

Everything leaves with a TTL of 255. A router counts it down, so what arrives with 255 comes from
this very link (RFC 5082), whatever source it claims.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lbctl.ha.carp import GROUP
from lbctl.ha.greeting import MAX_BYTES

TTL = 255
_IP_PKTINFO = 8
_IP_RECVTTL = 12
_IP_MULTICAST_ALL = 49
_PKTINFO = struct.Struct("@I4s4s")
_MREQN = struct.Struct("@4s4si")
_CONTROL_BYTES = socket.CMSG_SPACE(_PKTINFO.size) + socket.CMSG_SPACE(4)


@dataclass(frozen=True, slots=True)
class Datagram:
    """
    Attributes:
        content: one byte longer than any greeting when it was longer than that.
        source: IPv4 address.
        by_multicast: it was sent to the group, not to this host.
    """

    content: bytes
    source: str
    port: int
    ttl: int
    by_multicast: bool


class GreetingSocket:
    """
    Non-blocking, bound to one interface for as long as that exists.

    Args:
        interface: its name; a renamed one stays the same, one made anew is another.
        source: this host's own address there: never a virtual one.
        port: to listen on; 0: any.
        multicast: hear what is sent to the group, too. Other bundles on this host may listen
            beside.
        only_group: hear nothing else: what is sent to this host is for another process.

    Raises:
        OSError: no such interface, no NET_RAW, or the port is taken.
    """

    __slots__ = ("_pktinfo", "_socket", "index", "interface")

    def __init__(
        self, interface: str, source: str, port: int, *, multicast: bool, only_group: bool = False
    ) -> None:
        self.interface = interface
        self.index = socket.if_nametoindex(interface)
        own = socket.inet_aton(source)
        self._pktinfo = _PKTINFO.pack(self.index, own, bytes(4))
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = sock = socket.socket(socket.AF_INET, kind)
        try:
            ip = socket.IPPROTO_IP
            name = interface.encode() + b"\0"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            # Of two sockets on one port a multicast reaches both, a unicast the later one alone.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(multicast))
            sock.setsockopt(ip, socket.IP_TTL, TTL)
            sock.setsockopt(ip, socket.IP_MULTICAST_TTL, TTL)
            sock.setsockopt(ip, socket.IP_MULTICAST_LOOP, 0)
            sock.setsockopt(ip, _IP_MULTICAST_ALL, 0)
            sock.setsockopt(ip, _IP_RECVTTL, 1)
            sock.setsockopt(ip, _IP_PKTINFO, 1)
            group = _MREQN.pack(socket.inet_aton(GROUP), own, self.index)
            sock.setsockopt(ip, socket.IP_MULTICAST_IF, group)
            if multicast:
                sock.setsockopt(ip, socket.IP_ADD_MEMBERSHIP, group)
            sock.bind((GROUP if only_group else "", port))
        except OSError:
            sock.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def is_there(self) -> bool:
        """Whether its interface still exists, under the same name."""
        try:
            return socket.if_nametoindex(self.interface) == self.index
        except OSError:
            return False

    def send(self, content: bytes, address: str, port: int) -> None:
        """
        To one host, or to the group.

        Raises:
            OSError: the link is down, the own address is gone, nobody has that address ...
        """
        control = [(socket.IPPROTO_IP, _IP_PKTINFO, self._pktinfo)]
        self._socket.sendmsg([content], control, 0, (address, port))

    def read(self) -> Iterator[Datagram]:
        """What waits, oldest first. Errors that came back for what was sent are passed over."""
        while True:
            try:
                content, control, _, sender = self._socket.recvmsg(MAX_BYTES + 1, _CONTROL_BYTES)
            except OSError:
                # Nothing waits; or refused, unreachable, link down: what lasts, sending tells.
                return
            ttl, target = _control(control)
            yield Datagram(content, sender[0], sender[1], ttl, target == GROUP)


def _control(control: list[tuple[int, int, bytes]]) -> tuple[int, str]:
    ttl, target = 0, ""
    for _, kind, value in control:
        if kind == socket.IP_TTL:
            ttl = struct.unpack("=i", value[:4])[0]
        elif kind == _IP_PKTINFO:
            target = socket.inet_ntoa(_PKTINFO.unpack(value[: _PKTINFO.size])[2])
    return ttl, target
