"""
What this node says in CARP when vipd itself speaks: advertisements and resignations, each signed,
each with a counter of its own, to the group or to each peer.
"""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
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
#: So many advertisements are signed in one go, and none earlier than so many seconds.
_AHEAD_WORDS = 10
_AHEAD_S = 0.25


class Way(Protocol):
    """How a word gets out."""

    def sign(self, advertisement: carp.Advertisement) -> bytes:
        """What is to be sent."""

    def send(self, signed: bytes) -> None:
        """
        Raises:
            NetlinkError: it does not leave.
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

    def sign(self, advertisement: carp.Advertisement) -> bytes:
        source, vip = self._group.source, self._group.vip
        return carp.frame(advertisement, source=source, vip=vip, password=self._password)

    def send(self, signed: bytes) -> None:
        self._frames.send([signed])


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

    def sign(self, advertisement: carp.Advertisement) -> bytes:
        return carp.encode(advertisement, vip=self._group.vip, password=self._password)

    def send(self, signed: bytes) -> None:
        lost = []
        for peer in self._group.peers:
            try:
                self._socket.sendto(signed, (peer, 0))
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


@dataclass(frozen=True, slots=True)
class Word:
    """
    Signed, and good for one moment.

    Attributes:
        ticks: its time on the wire.
        due: monotonic seconds when it is to leave.
    """

    ticks: int
    counter: int
    signed: bytes
    due: float


class Mouth:
    """
    One group's.

    Advertisements are signed a few at a time: after a sleep of 25 ms signing takes twenty times
    what it takes in a row, most of all that vipd costs. One that missed its moment, or claims what
    this node no longer claims, is thrown away.

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
        self._period_s = group.interval_s / 2
        self._ahead = max(1, min(_AHEAD_WORDS, int(_AHEAD_S / self._period_s)))
        self._ready: deque[Word] = deque()
        self._ready_advskew = -1
        self.sent = 0
        self.left_at = _NEVER
        self.on_counter: Callable[[int], None] = _nobody

    @property
    def position(self) -> int:
        """This node's time: every word that has left is earlier, every one to come is later."""
        if self._ready:
            return self._ready[0].ticks - 1
        return self._clockwork.position(self._clock())

    def advertise(self, advskew: int) -> None:
        """This node is MASTER."""
        now = self._clock()
        ready = self._ready
        if not ready or advskew != self._ready_advskew or abs(ready[0].due - now) > self._period_s:
            ready.clear()
            ready.extend(
                self._word(now + number * self._period_s, self._group.advbase_s, advskew)
                for number in range(self._ahead)
            )
            self._ready_advskew = advskew
        self._say(ready.popleft(), now)

    def resign(self) -> None:
        """This node gives the addresses away: whoever is BACKUP takes over now."""
        self._call(is_resignation=True)

    def nudge(self) -> None:
        """Have a ucarp that is MASTER count on from here; no native node acts on it."""
        self._call(is_resignation=False)

    def _call(self, *, is_resignation: bool) -> None:
        # Its time is later than that of the words made ready, so none of them may follow it.
        self._ready.clear()
        now = self._clock()
        word = self._word(now, carp.RESIGNATION_ADVBASE, 0, is_resignation=is_resignation)
        self._say(word, now)

    def _word(
        self, due: float, advbase: int, advskew: int, *, is_resignation: bool = False
    ) -> Word:
        group = self._group
        ticks = self._clockwork.next(due)
        drawn = counter.make(
            NativeWord(ticks, is_resignation, group.interval_s),
            vhid=group.vhid,
            advbase=advbase,
            advskew=advskew,
            source=group.source,
            key=self._key,
        )
        said = carp.Advertisement(group.vhid, advbase, advskew, drawn)
        return Word(ticks, drawn, self._way.sign(said), due)

    def _say(self, word: Word, now: float) -> None:
        try:
            self._way.send(word.signed)
        except NetlinkError as error:
            if str(error) != self._trouble:
                log.warning("%s; the peer waits for the dead time", error)
            self._trouble = str(error)
            return
        self._trouble = ""
        self.sent += 1
        self.left_at = now
        self.on_counter(word.counter)


def _nobody(_counter: int) -> None:
    """Nobody asked."""
