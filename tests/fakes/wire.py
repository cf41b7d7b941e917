"""
What a neighbour of the balancers hears: who answers for an address, and who announces one.

Run as a program in the listener's namespace it asks for ADDRESS (RFC 5227's probe) every 20 ms and
prints what it hears, ``NS KIND ADDRESS MAC``: ``answer`` to its question, or the announcements
``arp-request``, ``arp-reply`` and ``na``. Standard library alone, and no code of lbctl: a judge
must not be the judged. :class:`Wire` starts it and reads it.
"""

from __future__ import annotations

import array
import socket
import struct
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from lbctl.lab.hosts import Host
    from lbctl.lab.process import Process

EVERY_S = 0.02
#: Answers to one question lie closer together than this; answers to different ones do not matter.
TOGETHER_NS = 40_000_000

_ALL, _ARP, _IPV6, _ICMPV6, _NA = 0x0003, 0x0806, 0x86DD, 58, 136
#: BPF: IPv4 itself is of no interest, and there may be a flood of it.
_NO_IPV4 = ((0x28, 0, 0, 12), (0x15, 0, 1, 0x0800), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFF))
_SO_ATTACH_FILTER = 26
_BODY = struct.Struct("!HHBBH6s4s6s4s")


@dataclass(frozen=True, slots=True)
class Heard:
    """
    One frame.

    Attributes:
        at_ns: CLOCK_MONOTONIC, which all namespaces share.
        kind: see the module.
        address: the one that is answered for or announced.
        mac: where it is said to be.
    """

    at_ns: int
    kind: str
    address: str
    mac: str


class Wire:
    """A listener on *host*, which asks for *address* all the time."""

    def __init__(self, host: Host, address: str) -> None:
        self._host = host
        self._address = address
        self._process: Process | None = None

    def __enter__(self) -> Self:
        argv = [sys.executable, "-I", __file__, "eth0", self._address]
        self._process = self._host.spawn(argv, log=f"wire-{time.monotonic_ns()}.log")
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

    def heard(self, since: int = 0) -> list[Heard]:
        """Everything since a mark (monotonic nanoseconds)."""
        assert self._process is not None
        text = self._process.text()
        lines = [line.split(" ") for line in text[: text.rfind("\n") + 1].splitlines()]
        found = [Heard(int(at), kind, address, mac) for at, kind, address, mac in lines]
        return [one for one in found if one.at_ns >= since]

    def announced(self, address: str, mac: str, since: int) -> list[Heard]:
        """
        Announcements that *address* is at *mac*, in order; a gratuitous ARP counts once, and not
        once for each of its two forms.
        """
        return [
            one
            for one in self.heard(since)
            if (one.address, one.mac) == (address, mac) and one.kind in ("arp-request", "na")
        ]

    def doubled(self, since: int) -> tuple[int, int] | None:
        """From when to when two machines answered for the address since a mark; None: never."""
        latest: dict[str, int] = {}
        moments = []
        for one in self.heard(since):
            if one.kind != "answer":
                continue
            latest[one.mac] = one.at_ns
            if sum(one.at_ns - at < TOGETHER_NS for at in latest.values()) > 1:
                moments.append(one.at_ns)
        return (moments[0], moments[-1]) if moments else None


def _spoken(frame: bytes) -> tuple[str, str, str] | None:
    """Kind, address and MAC of a frame that says where an address is."""
    ethertype = int.from_bytes(frame[12:14])
    if ethertype == _ARP and len(frame) >= 14 + _BODY.size:
        *_, operation, mac, sender, _, target = _BODY.unpack_from(frame, 14)
        kind = "arp-request" if operation == 1 else "arp-reply"
        if sender != target:
            kind = "answer" if operation == 2 else ""
        return (kind, socket.inet_ntoa(sender), mac.hex(":")) if kind else None
    if ethertype == _IPV6 and len(frame) >= 86 and frame[20] == _ICMPV6 and frame[54] == _NA:
        unsolicited = not frame[58] & 0x40
        address = socket.inet_ntop(socket.AF_INET6, frame[62:78])
        return ("na", address, frame[80:86].hex(":")) if unsolicited else None
    return None


def listen(interface: str, address: str) -> None:
    """Ask and print, for ever."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    code = array.array("B", b"".join(struct.pack("=HBBI", *one) for one in _NO_IPV4))
    program = struct.pack("@HP", len(_NO_IPV4), code.buffer_info()[0])
    raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    raw.bind((interface, _ALL))
    own: bytes = raw.getsockname()[4]
    wanted = socket.inet_aton(address)
    body = _BODY.pack(1, 0x0800, 6, 4, 1, own, b"\0" * 4, b"\0" * 6, wanted)
    question = b"\xff" * 6 + own + struct.pack("!H", _ARP) + body
    due = time.monotonic()
    while True:
        if (left_s := due - time.monotonic()) <= 0:
            raw.send(question)
            due = time.monotonic() + EVERY_S
            continue
        raw.settimeout(left_s)
        try:
            frame, (_, _, packet_type, _, _) = raw.recvfrom(2048)
        except TimeoutError:
            continue
        spoken = _spoken(frame)
        if spoken and packet_type != socket.PACKET_OUTGOING:
            sys.stdout.write(f"{time.monotonic_ns()} {' '.join(spoken)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    listen(*map(str, sys.argv[1:3]))
