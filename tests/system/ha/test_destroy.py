from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha import diag
from tests.fakes.netns import Host

pytestmark = pytest.mark.system

Hosts = tuple[Host, ...]


def pair(
    stack: ExitStack, server: Host, client: Host, family: socket.AddressFamily
) -> tuple[socket.socket, socket.socket]:
    with server.entered():
        listener = stack.enter_context(
            socket.create_server(("", 0), family=family, dualstack_ipv6=family is socket.AF_INET6)
        )
    with client.entered():
        dialled = stack.enter_context(
            socket.create_connection((server.address, listener.getsockname()[1]), timeout=2)
        )
    return dialled, stack.enter_context(listener.accept()[0])


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_each_peer_gets_a_reset_at_once(hosts: Hosts, family: socket.AddressFamily) -> None:
    server, client, _ = hosts
    with ExitStack() as stack:
        dialled = [pair(stack, server, client, family)[0] for _ in range(150)]
        with server.entered():
            found = diag.established([server.address])
            assert len(found) == 150
            assert diag.destroy(found) == 150
            assert diag.destroy(found) == 0
            assert diag.established([server.address]) == ()
        for connection in dialled:
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


def test_half_closed_and_half_open_connections_end_too(hosts: Hosts) -> None:
    server, client, _ = hosts
    with ExitStack() as stack:
        theirs, _ = pair(stack, server, client, socket.AF_INET)
        _, ours = pair(stack, server, client, socket.AF_INET)
        theirs.shutdown(socket.SHUT_WR)
        ours.shutdown(socket.SHUT_WR)
        # A client whose SYN-ACK goes nowhere stays half-open on the server.
        client.run("nft", "add table ip h; add chain ip h i { type filter hook input priority 0; }")
        client.run("nft", "add rule ip h i tcp flags & (syn|ack) == syn|ack drop")
        with server.entered():
            listener = stack.enter_context(socket.create_server(("", 0)))
        with client.entered():
            half = stack.enter_context(socket.socket())
            half.setblocking(False)
            half.connect_ex((server.address, listener.getsockname()[1]))
        try:
            with server.entered():
                found = diag.established([server.address])
                states = {item.state for item in found}
                ended = diag.destroy(found)
                left = diag.established([server.address])
        finally:
            client.run("nft", "delete table ip h")

        assert states == {"CLOSE_WAIT", "FIN_WAIT2", "SYN_RECV"}
        assert ended == 3
        assert left == ()
        with pytest.raises(ConnectionResetError):
            theirs.recv(1)


def test_without_net_admin_the_message_names_the_capability(hosts: Hosts) -> None:
    server, client, _ = hosts
    with ExitStack() as stack:
        pair(stack, server, client, socket.AF_INET)
        with server.entered():
            child = os.fork()
            if child == 0:
                os._exit(_destroy_as_nobody(server.address))

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _destroy_as_nobody(address: str) -> int:
    try:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        diag.destroy(diag.established([address]))
    except NetlinkError as error:
        return 0 if "ending 1 TCP connections" in str(error) and "NET_ADMIN" in str(error) else 2
    return 1


def test_four_hundred_connections_end_within_50_ms(hosts: Hosts) -> None:
    server, client, _ = hosts
    with ExitStack() as stack:
        with server.entered():
            listener = stack.enter_context(socket.create_server(("", 0), backlog=4096))
        last = None
        for _ in range(400):
            with client.entered():
                last = stack.enter_context(
                    socket.create_connection((server.address, listener.getsockname()[1]), timeout=2)
                )
            stack.enter_context(listener.accept()[0])
        with server.entered():
            start = time.monotonic()
            found = diag.established([server.address])
            ended = diag.destroy(found)
            spent_s = time.monotonic() - start

        assert ended == 400
        assert spent_s < 0.05
        assert last is not None
        with pytest.raises(ConnectionResetError):
            last.recv(1)
