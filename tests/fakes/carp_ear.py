"""
What a neighbour of the balancers hears of protocol 112, from whomever.

Run as a program in the listener's namespace it prints ``NS SOURCE ID ADVSKEW
ADVBASE`` for each packet. Standard library alone, and no code of lbctl: a judge must not be the
judged. :class:`Ear` starts it and reads it.
"""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from lbctl.lab.hosts import Host
    from lbctl.lab.process import Process

_ETHERTYPE_IPV4, _PROTOCOL = 0x0800, 112
_RESIGNATION = 255


@dataclass(frozen=True, slots=True)
class Said:
    """
    One packet.

    Attributes:
        at_ns: CLOCK_MONOTONIC, which all namespaces share.
        source: IPv4 address.
    """

    at_ns: int
    source: str
    id: int
    advskew: int
    advbase: int

    @property
    def is_resignation(self) -> bool:
        return self.advbase == _RESIGNATION


class Ear:
    """A listener on *host*."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._process: Process | None = None

    def __enter__(self) -> Self:
        argv = [sys.executable, "-I", __file__, "eth0"]
        self._process = self._host.spawn(argv, log=f"ear-{time.monotonic_ns()}.log")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.popen.kill()
        self._process.popen.wait()

    def said(self, source: str, since: int = 0) -> list[Said]:
        """What came from an address since a mark (monotonic nanoseconds)."""
        assert self._process is not None
        text = self._process.text()
        lines = [line.split(" ") for line in text[: text.rfind("\n") + 1].splitlines()]
        found = [Said(int(at), who, *map(int, rest)) for at, who, *rest in lines]
        return [one for one in found if one.source == source and one.at_ns >= since]


def listen(interface: str) -> None:
    """Print, for ever."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETHERTYPE_IPV4))
    raw.bind((interface, _ETHERTYPE_IPV4))
    while True:
        packet = raw.recv(2048)
        at = (packet[0] & 0xF) * 4
        if packet[9] == _PROTOCOL and len(packet) >= at + 6:
            words = (packet[at + 1], packet[at + 2], packet[at + 5])
            source = socket.inet_ntoa(packet[12:16])
            sys.stdout.write(f"{time.monotonic_ns()} {source} {' '.join(map(str, words))}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    listen(sys.argv[1])
