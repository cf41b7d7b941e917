"""
dnsmasq in the bundle: it answers names from the hosts file, for ``resolvers`` of a haproxy.cfg.

It reads the file when it starts and at SIGHUP, which the agent sends when the file has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lbctl.render.sections import with_port
from lbctl.settings.discovery import Discovery

#: Reachable from this host alone.
ADDRESS: Final = "127.0.0.1"


def dnsmasq_options(discovery: Discovery) -> tuple[str, ...]:
    """Its command line behind the program's name; empty: it is not wanted."""
    hosts = discovery.hosts
    if not hosts.dnsmasq or hosts.path is None:
        return ()
    return (
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--log-facility=-",
        "--pid-file=",
        "--no-hosts",
        f"--addn-hosts={hosts.path}",
        f"--port={hosts.dnsmasq_port}",
        f"--listen-address={ADDRESS}",
        "--bind-interfaces",
        # HAProxy keeps an answer as long as its own configuration says.
        "--cache-size=0",
        "--local-ttl=0",
        *_upstream(discovery),
    )


def _upstream(discovery: Discovery) -> Iterator[str]:
    """Who knows the other names: never dnsmasq itself, which would ask in a circle."""
    itself = f"{ADDRESS}:{discovery.hosts.dnsmasq_port}"
    others = [place for one in discovery.dns.nameservers if (place := with_port(one)) != itself]
    if others:
        yield "--no-resolv"
    for place in others:
        host, _, port = place.rpartition(":")
        yield f"--server={host.strip('[]')}#{port}"
