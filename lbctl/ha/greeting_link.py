"""
The greetings' socket kept open: through links that go down, interfaces that vanish, and floods.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from lbctl.ha.greeting_socket import Datagram, GreetingSocket
from lbctl.spec import GroupSpec

log = logging.getLogger(__name__)

#: How often it looks whether the interface is there.
LOOK_S = 0.9
#: More than this at one time is a flood: the kernel drops it while this loop does its work.
_AT_ONCE = 32
_REST_S = 0.05


class Link(Protocol):
    """What a greeter sends through; what comes in is handed to a callback."""

    @property
    def is_open(self) -> bool: ...

    @property
    def trouble(self) -> str:
        """Why nothing can be sent; empty: all is well."""

    def keep_open(self, now: float) -> bool:
        """
        To be called again and again; *now* is monotonic seconds.

        Returns:
            Whether it has been opened right now.
        """

    def send(self, content: bytes, address: str, port: int) -> bool:
        """Whether it left; never raises."""

    def close(self) -> None: ...


class GreetingLink:
    """
    The :class:`Link` of a real interface: sends while it can, and hands over what comes in.

    Args:
        group: its interface, source, port and peers.
        on_datagram: called with each.
    """

    def __init__(self, group: GroupSpec, on_datagram: Callable[[Datagram], None]) -> None:
        self._group = group
        self._on_datagram = on_datagram
        self._socket: GreetingSocket | None = None
        self._look_at = float("-inf")
        self._trouble = ""

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    @property
    def trouble(self) -> str:
        return self._trouble

    def keep_open(self, now: float) -> bool:
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_S
        if self._socket is not None:
            if self._socket.is_there():
                return False
            self.close()
        group = self._group
        try:
            self._socket = GreetingSocket(
                group.interface, group.source, group.greeting_port, multicast=not group.peers
            )
        except OSError as error:
            port = group.greeting_port
            self._tell(f"on {group.interface}, UDP port {port}: {error.strerror or error}")
            return False
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        return True

    def send(self, content: bytes, address: str, port: int) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.send(content, address, port)
        except OSError as error:
            # To one host of several it may still go.
            self._tell(f"{address} on {self._group.interface}: {error.strerror or error}")
            return False
        self._trouble = ""
        return True

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        opened = self._socket
        if opened is None:
            return
        read = 0
        for datagram in islice(opened.read(), _AT_ONCE):
            read += 1
            self._on_datagram(datagram)
        if read == _AT_ONCE:
            loop = asyncio.get_running_loop()
            loop.remove_reader(opened)
            loop.call_later(_REST_S, self._listen_again, opened)

    def _listen_again(self, opened: GreetingSocket) -> None:
        if opened is self._socket:
            asyncio.get_running_loop().add_reader(opened, self._read)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("greeting %s; tried again every second", trouble)
        self._trouble = trouble
