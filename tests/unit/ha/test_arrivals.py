"""When a packet came is told by the kernel's stamp, and never earlier than it was."""

from __future__ import annotations

import socket
from typing import cast

from lbctl.ha.arrivals import Arrivals
from tests.fakes.clock import FakeClock

_SOCKET = cast(socket.socket, None)


class Stamped:
    """A socket whose packets carry the stamps given, and the two clocks."""

    def __init__(self) -> None:
        self.mono, self.wall = FakeClock(100.0), FakeClock(5000.0)
        self.stamps = [0.0]
        self.arrivals = Arrivals(
            _SOCKET, self.mono, self.wall, stamp=lambda _socket: self.stamps.pop(0)
        )

    def go_on(self, seconds: float) -> None:
        self.mono.tick(seconds)
        self.wall.tick(seconds)

    def read(self, *stamps: float) -> list[float]:
        self.stamps = list(stamps)
        self.arrivals.begin()
        return [round(self.arrivals(), 6) for _ in stamps]


def test_a_packet_counts_from_its_arrival_and_not_from_its_reading() -> None:
    one = Stamped()
    one.go_on(0.128)

    assert one.read(5000.025, 5000.05, 5000.1) == [100.025, 100.05, 100.1]


def test_a_clock_set_in_between_makes_packets_younger_and_never_older() -> None:
    for by_s in (3600.0, -3600.0, 0.05, -0.05):
        one = Stamped()
        one.go_on(0.128)
        one.wall.tick(by_s)

        assert one.read(5000.025, 5000.05) == [100.128, 100.128]
        one.go_on(0.1)
        assert one.read(5000.2 + by_s) == [100.2]


def test_a_packet_without_a_stamp_counts_from_its_reading() -> None:
    one = Stamped()
    one.go_on(0.128)

    assert one.read(0.0) == [100.128]


def test_arrivals_neither_go_back_nor_lie_ahead() -> None:
    one = Stamped()
    one.go_on(0.1)

    assert one.read(5000.09, 5000.05, 5000.3) == [100.09, 100.09, 100.1]
