"""Which servers of an operator's haproxy.cfg only libc has looked up."""

from __future__ import annotations

import pytest

from lbctl.follow.hostnames import Moved, NamedServer, named_servers

OWN = """\
defaults
    mode http
resolvers docker
    nameserver dnsmasq 127.0.0.1:53
backend b_myapp
    server appsrv1 AppSrv1:80 check
    server fixed 10.0.0.1:80
    server asked appsrv2:80 resolvers docker
listen l
    bind :81
    server six ipv6@appsrv3:80
    server noport appsrv4
    server other $HOST:80
frontend f
    default_backend b_myapp
peers p
    server peer1 peer.example.com:1024
"""


def test_names_that_haproxy_does_not_follow_itself_are_found() -> None:
    assert named_servers(OWN) == (
        NamedServer(("b_myapp", "appsrv1"), "appsrv1"),
        NamedServer(("l", "six"), "appsrv3", "ipv6"),
        NamedServer(("l", "noport"), "appsrv4"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "backend b\n default-server resolvers r\n server s name:80\n",
        "defaults\n default-server check resolvers r\nbackend b\n server s name:80\n",
    ],
)
def test_resolvers_by_default_are_resolvers_too(text: str) -> None:
    assert named_servers(text) == ()


def test_new_defaults_end_the_old_ones() -> None:
    text = (
        "defaults\n default-server resolvers r\ndefaults\n mode http\nbackend b\n server s n:80\n"
    )

    assert named_servers(text) == (NamedServer(("b", "s"), "n"),)


def test_a_change_is_told_in_haproxys_own_words() -> None:
    moved = Moved(("b_myapp", "appsrv1"), "172.16.0.3", "172.16.0.5")

    assert moved.sentence("/etc/hosts") == (
        "b_myapp/appsrv1 changed its IP from 172.16.0.3 to 172.16.0.5 by /etc/hosts"
    )
