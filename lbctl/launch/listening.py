"""
The listening before a node speaks: three seconds of IP protocol 112.

The socket is opened before anything heavy is imported, and the kernel keeps what comes in, so that
the time runs while everything else is checked and rendered.
"""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass

from lbctl.errors import NetlinkError
from lbctl.ha.capture import Seen, open_capture, read_all

log = logging.getLogger(__name__)

LISTEN_S = 3.0
_RECEIVE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Listening:
    """
    Attributes:
        opened: monotonic seconds.
    """

    capture: socket.socket
    opened: float

    def left_s(self) -> float:
        """Seconds until it has lasted long enough."""
        return max(0.0, self.opened + LISTEN_S - time.monotonic())

    def heard(self) -> tuple[Seen, ...]:
        """Everything so far that was not asked for before, own packets included."""
        return tuple(read_all(self.capture))

    def close(self) -> None:
        self.capture.close()


def begin() -> Listening | None:
    """Start to listen on every interface; None without NET_RAW, which the checks then name."""
    opened = time.monotonic()
    try:
        capture = open_capture(None)
    except NetlinkError as error:
        log.debug("not listening: %s", error)
        return None
    capture.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    return Listening(capture, opened)
