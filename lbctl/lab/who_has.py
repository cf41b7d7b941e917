"""
Who holds an IPv4 address: distinct MACs that answer ARP for it, asked from a lab host.

Run as a program in the host's namespace it prints one MAC a line. Standard library alone, and no
code of lbctl's own announcing: a judge must not be the judged.
"""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import time

_BROADCAST = b"\xff" * 6
_ETHERTYPE_ARP = 0x0806
_REQUEST, _REPLY = 1, 2
_PACKET = struct.Struct("!HHBBH6s4s6s4s")


def ask(interface: str, address: str, probes: int, within_s: float) -> set[str]:
    """
    Ask *probes* times (RFC 5227's probe: no sender address), *within_s* seconds for the answers.

    Raises:
        OSError: no such interface, or no right to a packet socket.
    """
    wanted = socket.inet_aton(address)
    found: set[str] = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE_ARP)) as raw:
        raw.bind((interface, _ETHERTYPE_ARP))
        own: bytes = raw.getsockname()[4]
        body = _PACKET.pack(1, 0x0800, 6, 4, _REQUEST, own, b"\0" * 4, b"\0" * 6, wanted)
        frame = _BROADCAST + own + struct.pack("!H", _ETHERTYPE_ARP) + body
        for _ in range(probes):
            raw.send(frame)
            deadline = time.monotonic() + within_s / probes
            while (left_s := deadline - time.monotonic()) > 0:
                raw.settimeout(left_s)
                try:
                    answer = raw.recv(2048)
                except TimeoutError:
                    break
                found |= _holder(answer, wanted)
    return found


def _holder(frame: bytes, wanted: bytes) -> set[str]:
    if len(frame) < 14 + _PACKET.size:
        return set()
    *_, operation, mac, sender, _target_mac, _target = _PACKET.unpack_from(frame, 14)
    return {mac.hex(":")} if operation == _REPLY and sender == wanted else set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interface")
    parser.add_argument("address")
    parser.add_argument("--probes", type=int, default=3)
    parser.add_argument("--within-s", type=float, default=0.15)
    arguments = parser.parse_args()
    found = ask(arguments.interface, arguments.address, arguments.probes, arguments.within_s)
    sys.stdout.writelines(f"{mac}\n" for mac in sorted(found))


if __name__ == "__main__":
    main()
