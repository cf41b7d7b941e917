"""
A stranger on the wire: sends rubbish, or what it has overheard, to everybody who listens for CARP.

Run as a program in a lab host's namespace. Standard library alone, and no code of lbctl's own.

``garbage``: IP protocol 112 to 224.0.0.18: random bytes, advertisements cut short, of another
version, vhid, TTL, or with a digest that nobody made.
``replay``: listens for *seconds*, then sends every CARP packet that it heard again, in any order.
"""

from __future__ import annotations

import argparse
import random
import socket
import struct
import sys
import time

_GROUP = "224.0.0.18"
_GROUP_MAC = bytes.fromhex("01005e000012")
_PROTOCOL = 112
_ETHERTYPE_IPV4 = 0x0800
_HEADER = struct.Struct("!BBBBBBHQ20s")


def _checksum(body: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(body) // 2}H", body[: len(body) // 2 * 2]))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def rubbish(dice: random.Random, vhid: int) -> bytes:
    """One payload that nobody with the password made."""
    kind = dice.randrange(5)
    if kind == 0:
        return dice.randbytes(dice.randrange(0, 120))
    fields = [0x21, vhid, dice.randrange(256), 7, 0, dice.choice((0, 1, 255)), 0]
    if kind == 1:
        fields[0] = dice.randrange(256)
    if kind == 2:
        fields[1] = dice.randrange(256)
    payload = _HEADER.pack(*fields, dice.randrange(2**64), dice.randbytes(20))
    payload = payload[:6] + struct.pack("!H", _checksum(payload)) + payload[8:]
    return payload[: dice.randrange(36)] if kind == 3 else payload


def garbage(interface: str, number: int, vhid: int, seed: int) -> int:
    """Send *number* packets of it; returns how many."""
    dice = random.Random(seed)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, _PROTOCOL) as raw:
        there = struct.pack("4s4si", b"", b"", socket.if_nametoindex(interface))
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, there)
        for _ in range(number):
            ttl = 255 if dice.random() < 0.8 else dice.randrange(1, 255)
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            raw.sendto(rubbish(dice, vhid), (_GROUP, 0))
    return number


def replay(interface: str, seconds: float, times: int, seed: int) -> int:
    """
    Send what was heard again, *times* times, from this host but in the words of the others.

    Returns:
        How many packets were sent.
    """
    dice = random.Random(seed)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE_IPV4)) as wire:
        wire.bind((interface, _ETHERTYPE_IPV4))
        wire.settimeout(0.05)
        heard = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                frame = wire.recv(2048)
            except TimeoutError:
                continue
            if frame[:6] == _GROUP_MAC and frame[23] == _PROTOCOL:
                heard.append(frame)
        again = heard * times
        dice.shuffle(again)
        for frame in again:
            wire.send(frame)
    return len(again)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["garbage", "replay"])
    parser.add_argument("interface")
    parser.add_argument("--vhid", type=int, default=1)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "garbage":
        sent = garbage(arguments.interface, arguments.number, arguments.vhid, arguments.seed)
    else:
        sent = replay(arguments.interface, arguments.seconds, 5, arguments.seed)
    sys.stdout.write(f"{sent}\n")


if __name__ == "__main__":
    main()
