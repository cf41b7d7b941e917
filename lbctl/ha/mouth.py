"""
What this node says in CARP when vipd itself speaks: advertisements and resignations, each signed,
each with a counter of its own, to the group or to each peer.
"""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Callable
from typing import Protocol

from lbctl.errors import NetlinkError
from lbctl.ha import carp, counter
from lbctl.ha.capture import attach_filter
from lbctl.ha.counter import Clockwork, NativeWord, TagKey
from lbctl.spec import GroupSpec

log = logging.getLogger(__name__)

_NOTHING = ((0x06, 0, 0, 0),)
_LOW_DELAY = 0x10
_NEVER = float("-inf")


class Way(Protocol):
    """How a payload gets out."""

    def send(self, advertisement: carp.Advertisement) -> None:
        """
        Raises:
            NetlinkError: it does not.
        """


class Frames(Protocol):
    """Puts whole Ethernet frames on the wire; :class:`lbctl.ha.announce.Sender` is the real one."""

    def send(self, frames: list[bytes]) -> None: ...


class Multicast:
    """To everybody in the segment, from the virtual MAC, as ucarp does."""

    def __init__(self, group: GroupSpec, password: carp.Password, frames: Frames) -> None:
        self._group = group
        self._password = password
        self._frames = frames

    def send(self, advertisement: carp.Advertisement) -> None:
        source, vip = self._group.source, self._group.vip
        frame = carp.frame(advertisement, source=source, vip=vip, password=self._password)
        self._frames.send([frame])


class Unicast:
    """
    To each peer, through the host's own routes.

    Raises:
        NetlinkError: no NET_RAW, or the source is not this host's.
    """

    def __init__(self, group: GroupSpec, password: carp.Password) -> None:
        self._group = group
        self._password = password
        where = f"speaking CARP from {group.source}"
        try:
            self._socket = _raw(group.source)
        except PermissionError as error:
            message = f"{where}: {error.strerror}: the capability NET_RAW is missing"
            raise NetlinkError(message) from error
        except OSError as error:
            message = f"{where}: {error.strerror or error}"
            raise NetlinkError(message) from error

    def send(self, advertisement: carp.Advertisement) -> None:
        payload = carp.encode(advertisement, vip=self._group.vip, password=self._password)
        lost = []
        for peer in self._group.peers:
            try:
                self._socket.sendto(payload, (peer, 0))
            except OSError as error:
                lost.append(f"to {peer}: {error.strerror or error}")
        if len(lost) == len(self._group.peers):
            message = f"sending CARP {', '.join(lost)}"
            raise NetlinkError(message)


def _raw(source: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, carp.PROTOCOL)
    # It only sends; but as long as it is there the kernel refuses no packet of the peer's.
    attach_filter(sock, _NOTHING)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, carp.TTL)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _LOW_DELAY)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, struct.pack("i", 6))
    sock.bind((source, 0))
    return sock


class Mouth:
    """
    One group's.

    Attributes:
        sent: words that have left.
        left_at: monotonic seconds, when the last one did.
        on_counter: told of each counter that was used.
    """

    def __init__(
        self,
        group: GroupSpec,
        way: Way,
        key: TagKey,
        clockwork: Clockwork,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._way = way
        self._key = key
        self._clockwork = clockwork
        self._clock = clock
        self._trouble = ""
        self.sent = 0
        self.left_at = _NEVER
        self.on_counter: Callable[[int], None] = _nobody

    @property
    def position(self) -> int:
        """This node's time: none of its words is later."""
        return self._clockwork.position(self._clock())

    def advertise(self, advskew: int) -> None:
        """This node is MASTER."""
        self._say(self._group.advbase_s, advskew, is_resignation=False)

    def resign(self) -> None:
        """This node gives the addresses away: whoever is BACKUP takes over now."""
        self._say(carp.RESIGNATION_ADVBASE, 0, is_resignation=True)

    def nudge(self) -> None:
        """Have a ucarp that is MASTER count on from here; no native node acts on it."""
        self._say(carp.RESIGNATION_ADVBASE, 0, is_resignation=False)

    def _say(self, advbase: int, advskew: int, *, is_resignation: bool) -> None:
        now = self._clock()
        drawn = counter.make(
            NativeWord(self._clockwork.next(now), is_resignation, self._group.interval_s),
            vhid=self._group.vhid,
            advbase=advbase,
            advskew=advskew,
            source=self._group.source,
            key=self._key,
        )
        try:
            self._way.send(carp.Advertisement(self._group.vhid, advbase, advskew, drawn))
        except NetlinkError as error:
            if str(error) != self._trouble:
                log.warning("%s; the peer waits for the dead time", error)
            self._trouble = str(error)
            return
        self._trouble = ""
        self.sent += 1
        self.left_at = now
        self.on_counter(drawn)


def _nobody(_counter: int) -> None:
    """Nobody asked."""
