"""
A stranger in the network segment who sends what he has overheard, and what he makes of it.

Run as a program in his namespace: ``carp_flood.py INTERFACE COUNT VHID SEED SECONDS``. He listens
until he has 20 advertisements, then sends COUNT frames spread over SECONDS: replays as they were,
replays with another advbase, advskew, TTL, length or single bit, from the same source or from a
third one, checksums made right again; and rubbish. Prints the number sent and the seconds that it
took. Standard library alone, and no code of lbctl.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
import time

_GROUP_MAC = bytes.fromhex("01005e000012")
_ETHERTYPE_IPV4, _PROTOCOL = 0x0800, 112
_ETHERNET, _IP, _CARP = 14, 20, 36
_OVERHEARD = 20
_BURST = 200


def _checksum(part: bytes) -> bytes:
    if len(part) % 2:
        part += b"\0"
    total: int = sum(struct.unpack(f"!{len(part) // 2}H", part))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def _whole(frame: bytearray) -> bytes:
    """With checksums that are right."""
    ip, payload = frame[_ETHERNET : _ETHERNET + _IP], frame[_ETHERNET + _IP :]
    ip[2:4] = (_IP + len(payload)).to_bytes(2, "big")
    ip[10:12] = b"\0\0"
    ip[10:12] = _checksum(bytes(ip))
    if len(payload) >= 8:
        payload[6:8] = b"\0\0"
        payload[6:8] = _checksum(bytes(payload))
    return bytes(frame[:_ETHERNET] + ip + payload)


def overhear(wire: socket.socket) -> list[bytes]:
    """Genuine frames, as they were."""
    heard: list[bytes] = []
    while len(heard) < _OVERHEARD:
        frame = wire.recv(2048)
        is_carp = frame[:6] == _GROUP_MAC and frame[23] == _PROTOCOL
        if is_carp and len(frame) >= _ETHERNET + _IP + _CARP:
            heard.append(frame[: _ETHERNET + _IP + _CARP])
    return heard


def forged(dice: random.Random, genuine: bytes, vhid: int) -> bytes:
    """One frame that nobody should act on."""
    frame = bytearray(genuine)
    body = _ETHERNET + _IP
    kind = dice.randrange(9)
    if kind == 0:
        return genuine
    if kind == 1:
        frame[body + 5] = dice.choice((0, 1, 2, 255))  # advbase
    elif kind == 2:
        frame[body + 2] = dice.randrange(256)  # advskew
    elif kind == 3:
        frame[_ETHERNET + 8] = dice.randrange(255)  # TTL
    elif kind == 4:
        del frame[body + dice.randrange(_CARP) :]
    elif kind == 5:
        frame[body + dice.randrange(_CARP)] ^= 1 << dice.randrange(8)
    elif kind == 6:
        frame[_ETHERNET + 15] = dice.randrange(1, 255)  # the source's last part
    elif kind == 7:
        frame[body + 1] = dice.choice((vhid, dice.randrange(256)))
        frame[body + 8 :] = dice.randbytes(28)
    else:
        frame[body:] = dice.randbytes(dice.randrange(60))
    return _whole(frame)


def flood(interface: str, count: int, vhid: int, seed: int, seconds: float) -> None:
    dice = random.Random(seed)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE_IPV4)) as wire:
        wire.bind((interface, _ETHERTYPE_IPV4))
        heard = overhear(wire)
        began = time.monotonic()
        for number in range(count):
            if number % _BURST == 0:
                # At an even rate: what is tested is not how much a socket's buffer holds.
                time.sleep(max(0.0, began + seconds * number / count - time.monotonic()))
            wire.send(forged(dice, dice.choice(heard), vhid))
        sys.stdout.write(f"{count} {time.monotonic() - began:.3f}\n")


if __name__ == "__main__":
    name, count, vhid, seed, seconds = sys.argv[1:6]
    flood(name, int(count), int(vhid), int(seed), float(seconds))
