"""On this process's own loopback sockets; no privilege needed."""

from __future__ import annotations

import os
import socket
import threading

from lbctl.ha import diag


def test_a_listener_is_listed_with_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = [item for item in diag.listeners() if item.port == port]

        assert (found.address, found.state, found.peer_port) == ("127.0.0.1", "LISTEN", 0)
        assert found.uid == os.getuid()
        owner = diag.owner_of(found.inode)
        assert owner is not None
        assert owner.pid == os.getpid()
        assert owner.name


def test_an_ipv6_listener_is_listed() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]

        assert [item.address for item in diag.listeners() if item.port == port] == ["::1"]


def test_connections_are_found_by_their_local_address() -> None:
    with (
        socket.create_server(("127.0.0.77", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0],
    ):
        found = diag.established(["127.0.0.78/32", "127.0.0.77/32", "::5"])

        assert {(item.address, item.state) for item in found} == {("127.0.0.77", "ESTABLISHED")}
        assert [item.peer_port for item in found] == [client.getsockname()[1]]
        assert diag.established(["127.0.0.79"]) == ()
        assert diag.established([]) == ()


def test_a_v4_mapped_connection_counts_for_its_v4_address() -> None:
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        socket.create_connection(("127.0.0.76", server.getsockname()[1])),
        server.accept()[0],
    ):
        (found,) = diag.established(["127.0.0.76"])

        assert (found.address, found.family) == ("127.0.0.76", socket.AF_INET6)


def test_nobody_owns_an_inode_that_is_not() -> None:
    assert diag.owner_of(0) is None


def test_one_of_many_addresses_is_found() -> None:
    """The kernel's filter is a chain of jumps: every place in it must work."""
    names = [f"127.0.5.{number}" for number in range(1, 30)]
    names.insert(15, "fd00::1")
    for wanted in (names[0], names[10], names[-1]):
        with (
            socket.create_server((wanted, 0)) as server,
            socket.create_connection(server.getsockname()),
            server.accept()[0],
        ):
            assert [item.address for item in diag.established(names)] == [wanted]


def test_listing_works_from_any_thread() -> None:
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(len(diag.listeners())))
    thread.start()
    thread.join()

    assert len(results) == 1
