"""
What the link says of who holds an address: frames that name one of ours, and questions about it.

The kernel picks the frames, and a flood of them costs no more than so many a second: the rest is
left to it, unread.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lbctl.errors import NetlinkError
from lbctl.ha.announce import mac_text
from lbctl.ha.arp import claim_in, packed, question
from lbctl.ha.capture import Filter, attach_filter
from lbctl.ha.interfaces import macs

log = logging.getLogger(__name__)

#: So many frames are read between two calls of :meth:`Line.go_on`, a second apart.
READ = 64

_ETH_P_ARP = 0x0806
_ETH_P_IPV6 = 0x86DD
_FRAME_BYTES = 128

# linux/filter.h: SKF_AD_OFF + SKF_AD_PKTTYPE; linux/if_packet.h: a frame for another machine, or
# of a VLAN that this host is not in.
_AD_PKTTYPE = 0xFFFFF000 + 4
_OTHERHOST = 3
_LD_W_ABS = 0x20
_LD_B_ABS = 0x30
_JEQ = 0x15
_RET = 0x06
_PASS = (_RET, 0, 0, _FRAME_BYTES)
_DROP = (_RET, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that *address* (without prefix) is at *mac*, not this interface's own."""

    address: str
    mac: str


class Line:
    """
    Packet sockets on one interface, one for each family of *addresses* (with or without prefix).

    They stay open: closing one waits for an RCU grace period (milliseconds).
    """

    def __init__(self, interface: str, addresses: Iterable[str]) -> None:
        hosts = (address.partition("/")[0] for address in addresses)
        self._interface = interface
        self._host_of = {packed(host): host for host in hosts}
        self._sockets: dict[int, socket.socket] = {}
        self._left = READ
        self._is_muted = False
        self._on_frames: Callable[[], None] = _nothing

    @property
    def hosts(self) -> tuple[str, ...]:
        """What it is about, without prefix."""
        return tuple(self._host_of.values())

    def open(self, on_frames: Callable[[], None]) -> None:
        """
        Listen; *on_frames* is called when :meth:`claims` may have something.

        Raises:
            NetlinkError: no NET_RAW, no such interface, or more addresses than a filter may have.
        """
        self._on_frames = on_frames
        for size, protocol, program in ((4, _ETH_P_ARP, _arp), (16, _ETH_P_IPV6, _advertisement)):
            words = [int.from_bytes(one[-4:], "big") for one in self._host_of if len(one) == size]
            if words:
                self._sockets[size] = self._listening(protocol, program(words))
        self._listen()

    def close(self) -> None:
        self._mute()
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()

    def claims(self) -> Iterator[Claim]:
        """What others have said and nobody has read yet."""
        for sock in self._sockets.values():
            while self._left and (frame := _frame(sock)) is not None:
                self._left -= 1
                claim = self._claim(frame, mac_text(sock.getsockname()[4]))
                if claim is not None:
                    yield claim
        if not self._left and not self._is_muted:
            log.debug("%s: more claims to our addresses than are read", self._interface)
            self._mute()

    def go_on(self) -> None:
        """A second has passed: as many frames again may be read."""
        self._left = READ
        if self._is_muted:
            self._listen()

    def ask(self, host: str) -> None:
        """Who has it? Asked as nobody, which changes no table; whoever holds it answers."""
        sock = self._sockets.get(len(packed(host)))
        if sock is None:
            return
        try:
            sock.send(question(sock.getsockname()[4], host))
        except OSError as error:
            # A link that is down: told elsewhere, and asked again when it is due.
            log.debug("asking who has %s on %s: %s", host, self._interface, error)

    def is_own(self, mac: str) -> bool:
        """
        Whether it is this host's: another interface in the same segment answers for the addresses
        of this one (arp_ignore). Where the kernel does not tell: yes.
        """
        try:
            return mac in macs()
        except NetlinkError as error:
            log.debug("%s; a claim from %s is passed over", error, mac)
            return True

    def _claim(self, frame: bytes, own: str) -> Claim | None:
        address, mac = claim_in(frame) or (b"", "")
        host = self._host_of.get(address)
        return None if host is None or mac == own else Claim(host, mac)

    def _listening(self, protocol: int, program: Filter) -> socket.socket:
        where = f"listening for duplicate addresses on {self._interface}"
        try:
            # Protocol 0: nothing is received before the filter is in place.
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        except PermissionError as error:
            message = f"{where}: {error.strerror}: the capability NET_RAW is missing"
            raise NetlinkError(message) from error
        try:
            attach_filter(sock, program)
            sock.bind((self._interface, protocol))
        except OSError as error:
            sock.close()
            message = f"{where}: {error.strerror or error}"
            raise NetlinkError(message) from error
        return sock

    def _listen(self) -> None:
        self._is_muted = False
        loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            loop.add_reader(sock, self._on_frames)

    def _mute(self) -> None:
        self._is_muted = True
        loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            loop.remove_reader(sock)


def _frame(sock: socket.socket) -> bytes | None:
    """The next that waits; None: there is none."""
    try:
        return sock.recv(_FRAME_BYTES)
    except OSError:
        # None waits, or the link went down: said once, and it goes on after that.
        return None


def _arp(words: Iterable[int]) -> Filter:
    """The sender's protocol address is one of *words*."""
    return (*_for_us(), (_LD_W_ABS, 0, 0, 28), *_one_of(words))


def _advertisement(words: Iterable[int]) -> Filter:
    """A neighbour advertisement whose target ends in one of *words*."""
    return (
        *_for_us(),
        (_LD_B_ABS, 0, 0, 20),
        (_JEQ, 1, 0, 58),
        _DROP,
        (_LD_B_ABS, 0, 0, 54),
        (_JEQ, 1, 0, 136),
        _DROP,
        (_LD_W_ABS, 0, 0, 74),
        *_one_of(words),
    )


def _for_us() -> Filter:
    return ((_LD_W_ABS, 0, 0, _AD_PKTTYPE), (_JEQ, 0, 1, _OTHERHOST), _DROP)


def _one_of(words: Iterable[int]) -> Filter:
    # An answer after each: a jump reaches no further than 255 instructions.
    return (*(one for word in words for one in ((_JEQ, 0, 1, word), _PASS)), _DROP)


def _nothing() -> None:
    """Nobody asked."""
