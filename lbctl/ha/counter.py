"""
What a native speaker of CARP writes into the 64-bit counter of its advertisements. Pure.

CARP signs the counter, but neither advbase, advskew nor the sender. A native speaker therefore
uses the counter to say what ucarp cannot, without leaving the wire format. From the top:

====  ====================================================================================
bits  meaning
====  ====================================================================================
1     set. ucarp built without arc4random (Debian 11) never draws it.
38    time in ticks of 4 ms since 2026: enough until 2060. It grows with each packet.
1     resignation: a stranger who changes advbase to 255 cannot set it.
8     the sender's interval, an index into :data:`INTERVALS_MS`.
16    tag: HMAC-SHA256 over the 48 bits above, vhid, advbase, advskew and source address.
====  ====================================================================================

The tag covers what CARP's digest leaves out, and tells a native sender from a ucarp that goes on
counting from a native's counter (+1 with each packet). Guessing it once takes 65,536 packets; the
time and the resignation do not rest on it, but on CARP's own HMAC of 160 bits.
"""

from __future__ import annotations

import hmac
import struct
from bisect import bisect_left
from dataclasses import dataclass
from socket import AF_INET, inet_pton

from lbctl.ha.carp import Advertisement, Password

#: 2026-01-01T00:00:00Z, wall clock, seconds.
EPOCH_S = 1_767_225_600
#: 2056-01-01T00:00:00Z: a wall clock beyond it is wrong, and leaves no room to count in.
LATEST_S = 2_713_910_400
TICK_S = 0.004
#: What an earlier life may have used beyond the position that it wrote down last: 2 minutes.
MARGIN_TICKS = 30_000
#: What an interval can be said to be, milliseconds; others are rounded up.
INTERVALS_MS = (*range(20, 100), *range(100, 500, 5), *range(500, 2551, 25))

_MARK = 1 << 63
_TICKS_MAX = (1 << 38) - 1
_RESIGNATION = 1 << 24
_TAG_MASK = 0xFFFF
_DERIVATION = b"lbctl native 1"
_TAGGED = struct.Struct("!QBBB4s")


class TagKey:
    """Signs tags; made of the CARP password, and shows neither itself nor that."""

    __slots__ = ("_key",)

    def __init__(self, password: Password) -> None:
        self._key = hmac.digest(password.reveal(), _DERIVATION, "sha256")

    def tag(self, word: int, advertisement: Advertisement, source: str) -> int:
        """16 bits over the upper 48 of *word* and what CARP does not sign."""
        message = _TAGGED.pack(
            word & ~_TAG_MASK,
            advertisement.vhid,
            advertisement.advbase,
            advertisement.advskew,
            inet_pton(AF_INET, source),
        )
        return int.from_bytes(hmac.digest(self._key, message, "sha256")[:2], "big")

    def __repr__(self) -> str:
        return "TagKey(***)"


@dataclass(frozen=True, slots=True)
class NativeWord:
    """
    What a counter says.

    Attributes:
        ticks: the sender's time, :data:`TICK_S` each, since :data:`EPOCH_S`.
        is_resignation: the sender gives the addresses away.
        interval_s: from one of its advertisements to the next, seconds; each is sent twice.
    """

    ticks: int
    is_resignation: bool
    interval_s: float


def make(
    word: NativeWord, *, vhid: int, advbase: int, advskew: int, source: str, key: TagKey
) -> int:
    """
    The counter for an advertisement of these values from *source* (IPv4).

    An interval that cannot be said is rounded up, at most to 2.55 s.
    """
    index = bisect_left(INTERVALS_MS, round(word.interval_s * 1000))
    upper = (
        _MARK
        | min(word.ticks, _TICKS_MAX) << 25
        | (_RESIGNATION if word.is_resignation else 0)
        | min(index, len(INTERVALS_MS) - 1) << 16
    )
    return upper | key.tag(upper, Advertisement(vhid, advbase, advskew, upper), source)


def read(advertisement: Advertisement, source: str, key: TagKey) -> NativeWord | None:
    """What a native speaker at *source* said; None: none did, or not with these values."""
    counter = advertisement.counter
    index = counter >> 16 & 0xFF
    if not counter & _MARK or index >= len(INTERVALS_MS):
        return None
    if key.tag(counter, advertisement, source) != counter & _TAG_MASK:
        return None
    return NativeWord(
        ticks=ticks_of(counter),
        is_resignation=bool(counter & _RESIGNATION),
        interval_s=INTERVALS_MS[index] / 1000,
    )


def ticks_of(counter: int) -> int:
    """The time in a counter, whoever drew it."""
    return counter >> 25 & _TICKS_MAX


def looks_native(counter: int, now_ticks: int) -> bool:
    """
    Whether a native speaker may have used *counter* up to now, or counted on from such a one.

    Of ucarp's random counters about one in a hundred does, for each year since 2026.
    """
    return bool(counter & _MARK) and ticks_of(counter) <= now_ticks


def ticks_at(wall_s: float) -> int:
    """The tick of a wall clock; 0 for one that is wrong: before the epoch, or after 2055."""
    return int((wall_s - EPOCH_S) / TICK_S) if EPOCH_S <= wall_s < LATEST_S else 0


class Clockwork:
    """
    This node's own time on the wire: it grows with each packet and never goes back.

    It follows the wall clock once, at the start, and then the monotonic clock alone, so that a
    wall clock set back or forth changes nothing. One that is wrong by decades counts as none: the
    time must have room to grow, or every packet would be the last one again. A peer that has heard
    later ones believes this node as soon as a greeting has said where it stands.

    Args:
        position: the highest one that an earlier life may have used (the last one written down and
            :data:`MARGIN_TICKS`); 0: there was none. One beyond :data:`LATEST_S` is taken so.
        wall_s: wall clock now, seconds.
        now: monotonic clock now, seconds.
    """

    def __init__(self, *, position: int, wall_s: float, now: float) -> None:
        has_room = position < (LATEST_S - EPOCH_S) / TICK_S
        self._base = max(ticks_at(wall_s), position + 1 if has_room else 1)
        self._started = now
        self._last = self._base

    def position(self, now: float) -> int:
        """The time at *now*, monotonic seconds: no tick given away so far is above it."""
        return max(self._last, self._base + int((now - self._started) / TICK_S))

    def next(self, now: float) -> int:
        """A tick never given away before, for a packet that leaves *now*."""
        self._last = max(self._last + 1, self.position(now))
        return self._last
