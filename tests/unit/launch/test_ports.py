"""Ports that are taken, and ports that two programs want; on loopback, with real sockets."""

from __future__ import annotations

import os
import socket

import pytest

from lbctl.launch.ports import Claim, clashes, overlap, taken


def claim(program: str, address: str, port: int, where: str = "") -> Claim:
    return Claim(where or f"{program}.conf:1", program, address, port)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("*", "127.0.0.1", True),
        ("*", "*", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("::", "::1", True),
        ("*", "::", False),
        ("127.0.0.1", "::", False),
    ],
)
def test_overlap(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected


def test_two_programs_on_one_port_clash() -> None:
    (problem,) = clashes([claim("HAProxy", "*", 443), claim("nginx", "*", 443)])

    assert problem.where == "nginx.conf:1"
    assert "HAProxy.conf:1" in problem.what


def test_one_program_on_its_own_port_twice_is_its_own_business() -> None:
    assert not list(clashes([claim("HAProxy", "*", 80), claim("HAProxy", "*", 80)]))


def test_stats_on_the_port_of_a_frontend_clash() -> None:
    stats = claim("HAProxy", "127.0.0.1", 8001, "haproxy.stats.port_base")

    assert len(list(clashes([claim("HAProxy", "*", 8001, "haproxy.cfg:3"), stats]))) == 1


def test_listener_that_shares_its_port_is_found_and_named() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        (problem,) = taken([claim("HAProxy", "*", port), claim("HAProxy", "*", port)])

        assert f"pid {os.getpid()}" in problem.what
        assert problem.where == "HAProxy.conf:1"
    assert not list(taken([claim("HAProxy", "*", port)]))


def test_address_that_is_not_here_yet_is_free() -> None:
    assert not list(taken([claim("HAProxy", "192.0.2.7", 18080), claim("HAProxy", "::1", 18080)]))
