"""
When a packet arrived, not when it was read: the kernel's stamp, told in monotonic seconds.

The stamp is of the wall clock. Where that was set between two batches, and for packets without a
stamp, it is the time of reading: later than the truth, never earlier.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from collections.abc import Callable

_SIOCGSTAMPNS = 0x8907
_TIMESPEC = struct.Struct("@qq")
#: More than the two clocks drift apart between two batches.
_SET_S = 0.001


class Arrivals:
    """Of one socket; :meth:`begin` comes before each batch, a call after each packet."""

    def __init__(
        self,
        sock: socket.socket,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        stamp: Callable[[socket.socket], float] | None = None,
    ) -> None:
        self._socket = sock
        self._clock = clock
        self._wall = wall
        self._stamp = stamp or stamp_of
        self._apart_s = wall() - clock()
        self._latest = clock()
        self._is_trusted = True
        # The kernel stamps from the first question on.
        self._stamp(sock)

    def begin(self) -> None:
        """Packets are about to be read."""
        apart_s = self._wall() - self._clock()
        self._is_trusted = abs(apart_s - self._apart_s) < _SET_S
        self._apart_s = apart_s

    def __call__(self) -> float:
        """Monotonic seconds of the packet that was read last; they never go back."""
        now = self._clock()
        stamp = self._stamp(self._socket) if self._is_trusted else 0.0
        at = min(now, stamp - self._apart_s) if stamp else now
        self._latest = max(self._latest, at)
        return self._latest


def stamp_of(sock: socket.socket) -> float:
    """Wall clock seconds when the kernel got the packet read last from *sock*; 0: unknown."""
    try:
        answer = fcntl.ioctl(sock, _SIOCGSTAMPNS, bytes(_TIMESPEC.size))
    except OSError:
        return 0.0
    seconds, nanoseconds = _TIMESPEC.unpack(answer)
    return float(seconds + nanoseconds / 1e9)
