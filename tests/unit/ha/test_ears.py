"""What comes in of CARP goes to the group that it is for, and never keeps the loop to itself."""

from __future__ import annotations

import socket
from typing import cast

from lbctl.ha.capture import Seen
from lbctl.ha.ears import AT_ONCE, Ears, vhid_of

PACKET = bytes([0x45]) + bytes(20) + bytes([7]) + bytes(34)


class Flooded:
    """A packet socket in which *count* packets wait."""

    def __init__(self, count: int) -> None:
        self.count = count

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[str, int, int]]:
        if not self.count:
            raise BlockingIOError
        self.count -= 1
        return PACKET, ("eth0", 0x800, socket.PACKET_HOST)


def test_a_packet_goes_to_its_group_alone() -> None:
    ours: list[Seen] = []
    others: list[Seen] = []
    ears = Ears("eth0")
    ears._hears = {7: ours.append, 8: others.append}

    ears._readable(cast(socket.socket, Flooded(3)))

    assert vhid_of(PACKET) == 7
    assert len(ours) == 3
    assert not others


def test_a_flood_leaves_the_loop_its_turn_after_some_packets() -> None:
    ours: list[Seen] = []
    ears = Ears("eth0")
    ears._hears = {7: ours.append}
    sock = Flooded(10 * AT_ONCE)

    ears._readable(cast(socket.socket, sock))

    assert len(ours) == AT_ONCE
    assert sock.count == 9 * AT_ONCE
