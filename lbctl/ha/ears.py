"""What comes in of CARP on one interface, handed to the group that it is for."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from lbctl.errors import NetlinkError
from lbctl.ha import capture
from lbctl.ha.capture import Seen

log = logging.getLogger(__name__)

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
        self._hears: dict[int, Hear] = {}

    def open(self, vhid: int, hear: Hear) -> None:
        """Hand to *hear* what bears *vhid*, and what bears no id that is known here."""
        self._hears[vhid] = hear
        if self._socket is None:
            self._socket = capture.open_capture(self._interface, incoming_only=True)
            asyncio.get_running_loop().add_reader(self._socket, self._readable, self._socket)

    def _readable(self, sock: socket.socket) -> None:
        try:
            for seen in capture.read_all(sock):
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
