"""
What comes in of CARP on one interface, handed to the group that it is for.

A BACKUP hears the same words of its master all the time, and only their end counts. These wait in
the socket until somebody reads; a second socket, the bell, gets a copy of everything else (a
resignation, another master, another advskew), and rings at once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from lbctl.errors import NetlinkError
from lbctl.ha import capture
from lbctl.ha.arrivals import Arrivals
from lbctl.ha.capture import Seen, Usual
from lbctl.ha.election_words import Heard

log = logging.getLogger(__name__)

#: So many packets in one turn: in a flood this node still has to speak in time.
AT_ONCE = 64
#: A flood must not push out what waits; the kernel's default holds some 250 packets.
_WAITING_BYTES = 1 << 20
_SO_RCVBUFFORCE = 33
#: The bell and the packet that it rings for come by two sockets.
_AGAIN_S = 0.002

Hear = Callable[[Seen], None]


class Ears:
    """
    One capture for all groups on an interface.

    Raises:
        NetlinkError: no NET_RAW, or no such interface; from :meth:`open`.
    """

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._socket: socket.socket | None = None
        self._bell: socket.socket | None = None
        self._arrivals: Arrivals | None = None
        self._hears: dict[int, Hear] = {}
        self._usuals: dict[int, Usual] = {}

    def open(self, vhid: int, hear: Hear) -> None:
        """Hand to *hear* what bears *vhid*, and what bears no id that is known here."""
        self._hears[vhid] = hear
        if self._socket is None:
            # The kernel serves the younger one first: what the bell rings for is there by then.
            self._bell = capture.open_capture(self._interface, incoming_only=True)
            self._socket = capture.open_capture(self._interface, incoming_only=True)
            with suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _WAITING_BYTES)
            self._arrivals = Arrivals(self._socket)
            self._listen()

    def expect(self, vhid: int, usual: Heard | None) -> None:
        """*usual* may wait until somebody reads; None: all that bears *vhid* is read at once."""
        if usual is None:
            if self._usuals.pop(vhid, None) is None:
                return
        else:
            known = Usual(vhid, usual.source, usual.advbase, usual.advskew)
            if self._usuals.get(vhid) == known:
                return
            self._usuals[vhid] = known
        if self._socket is not None:
            self._listen()

    def read(self) -> None:
        """Take in what waits, now."""
        if self._socket is not None:
            self._readable(self._socket)

    def close(self) -> None:
        """Hear nothing any more."""
        loop = asyncio.get_running_loop()
        for sock in (self._socket, self._bell):
            if sock is not None:
                loop.remove_reader(sock)
                sock.close()
        self._socket = self._bell = None

    def _listen(self) -> None:
        main, bell, loop = self._socket, self._bell, asyncio.get_running_loop()
        assert main is not None
        assert bell is not None
        capture.attach_filter(bell, capture.all_but(self._usuals.values()))
        if self._usuals:
            loop.add_reader(bell, self._rings, bell)
            loop.remove_reader(main)
        else:
            loop.remove_reader(bell)
            loop.add_reader(main, self._readable, main)
        # Something may have come before the filter was in place.
        loop.call_later(_AGAIN_S, self.read)

    def _rings(self, bell: socket.socket) -> None:
        with suppress(OSError):
            for _ in range(AT_ONCE):
                bell.recv(1)
        self.read()
        asyncio.get_running_loop().call_later(_AGAIN_S, self.read)

    def _readable(self, sock: socket.socket) -> None:
        arrivals = self._arrivals
        if arrivals is not None:
            arrivals.begin()
        clock = arrivals or time.monotonic
        try:
            for seen in islice(capture.read_all(sock, clock=clock), AT_ONCE):
                self._hand_on(seen)
        except NetlinkError as error:
            log.warning("%s; listening goes on", error)

    def _hand_on(self, seen: Seen) -> None:
        hear = self._hears.get(vhid_of(seen.packet))
        for one in (hear,) if hear else self._hears.values():
            one(seen)


def vhid_of(packet: bytes) -> int:
    """Where CARP and VRRP have their id; -1: *packet* is too short."""
    at = (packet[0] & 0xF) * 4 + 1 if packet else 0
    return packet[at] if at < len(packet) else -1
