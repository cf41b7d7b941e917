"""
The sections of a generated configuration that are neither frontend nor backend of a service.

Pure, and without Jinja2: the agent renders them too. ``conf/haproxy.cfg.j2`` is the same for an
operator to begin with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from math import ceil
from typing import Final

from lbctl.model.address import bracketed
from lbctl.model.peers import LOCAL, peer_name
from lbctl.render.scene import RenderScene
from lbctl.render.words import TIME, fit, quote, seconds
from lbctl.settings.model import Settings

#: Mozilla's "intermediate" set, https://ssl-config.mozilla.org, guideline 5.7.
CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
)
CIPHERSUITES: Final = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_DNS_PORT: Final = 53
#: resolv.conf(5): A and AAAA are asked for one after the other, each on a socket of its own.
_ONE_BY_ONE: Final = "single-request single-request-reopen"
#: HAProxy's longest time is a few hours more.
_FOR_EVER: Final = "24d"
#: The longest answer that a HAProxy takes which is older than 2.4.
_OLD_PAYLOAD_BYTES: Final = 8192


def global_section(settings: Settings, scene: RenderScene) -> str:
    """``global``."""
    return _section("global", _global(settings, scene))


def defaults_section(settings: Settings, scene: RenderScene) -> str:
    """``defaults`` of everything that lbctl generates."""
    return _section("defaults", _defaults(settings, scene))


def resolvers_section(settings: Settings, scene: RenderScene) -> str:
    """``resolvers lbctl``, for servers whose address is a name."""
    return _section("resolvers lbctl", _resolvers(settings, scene))


def peers_section(settings: Settings, scene: RenderScene, tables: Iterable[str]) -> str:
    """
    ``peers lbctl``: every process of both hosts, by the names that they are started with, and the
    *tables* that are in no backend.
    """
    return _section("peers lbctl", chain(_peers(settings, scene), tables))


def _section(opening: str, lines: Iterator[str]) -> str:
    return f"{opening}\n" + "".join(f"    {line}\n" for line in lines)


def _global(settings: Settings, scene: RenderScene) -> Iterator[str]:
    # While HAProxy starts, the host's own resolver is asked for each name, and a dead nameserver
    # would cost 20 s a name; one that answers no AAAA is waited for three times without the other
    # two options. Of no effect further down.
    patience = ceil(settings.discovery.dns.timeout_s)
    yield f'setenv RES_OPTIONS "timeout:{patience} attempts:1 {_ONE_BY_ONE}"'
    yield "log stdout format raw daemon"
    yield f"maxconn {settings.haproxy.maxconn}"
    if scene.has_certs:
        yield '# Mozilla\'s "intermediate" set.'
        yield f"ssl-default-bind-ciphers {CIPHERS}"
        yield f"ssl-default-bind-ciphersuites {CIPHERSUITES}"
        yield "ssl-default-bind-curves X25519:prime256v1:secp384r1"
        yield "ssl-default-bind-options prefer-client-ciphers ssl-min-ver TLSv1.2 no-tls-tickets"
        yield "tune.ssl.default-dh-param 2048"


def _defaults(settings: Settings, scene: RenderScene) -> Iterator[str]:
    yield "mode http"
    yield "log global"
    yield "option httplog"
    yield "option dontlognull"
    yield "option redispatch"
    if scene.version >= (2, 4):
        # Without it a reload closes idle connections at once, and a request under way is lost.
        yield "option idle-close-on-response"
    yield f"retries {settings.haproxy.retries}"
    timeouts = settings.haproxy.timeouts
    for name, value in (
        ("connect", timeouts.connect),
        ("client", timeouts.client),
        ("server", timeouts.server),
        ("http-request", timeouts.http_request),
        ("http-keep-alive", timeouts.http_keep_alive),
        ("queue", timeouts.queue),
        ("tunnel", timeouts.tunnel),
        ("check", timeouts.check),
    ):
        if value is not None:
            yield f"timeout {name} {fit(TIME, value, f'timeout {name}')}"


def _resolvers(settings: Settings, scene: RenderScene) -> Iterator[str]:
    dns, hosts = settings.discovery.dns, settings.discovery.hosts
    if dns.nameservers:
        for number, nameserver in enumerate(dns.nameservers, start=1):
            yield f"nameserver dns{number} {quote(with_port(nameserver))}"
    elif hosts.dnsmasq:
        yield f"nameserver dnsmasq 127.0.0.1:{hosts.dnsmasq_port}"
    else:
        yield "parse-resolv-conf"
    # Answers of more than 512 bytes would be cut, and servers with them.
    is_old = scene.version < (2, 4)
    payload = min(dns.payload_bytes, _OLD_PAYLOAD_BYTES) if is_old else dns.payload_bytes
    yield f"accepted_payload_size {payload}"
    yield f"resolve_retries {dns.retries}"
    yield f"timeout resolve {seconds(dns.timeout_s)}"
    yield f"timeout retry {seconds(dns.timeout_s)}"
    yield f"hold valid {seconds(dns.hold_valid_s)}"
    for kind in ("obsolete", "nx"):
        yield f"hold {kind} {seconds(dns.hold_obsolete_s)}"
    # A nameserver that is out of order knows nothing about servers: they stay.
    for kind in ("refused", "timeout", "other"):
        yield f"hold {kind} {_FOR_EVER}"


def with_port(nameserver: str) -> str:
    """``10.0.0.2``, ``10.0.0.2:53``, ``fd00::2``, ``[fd00::2]:53``."""
    if nameserver.startswith("["):
        return nameserver if "]:" in nameserver else f"{nameserver}:{_DNS_PORT}"
    if nameserver.count(":") > 1:
        return f"[{nameserver}]:{_DNS_PORT}"
    return nameserver if ":" in nameserver else f"{nameserver}:{_DNS_PORT}"


def _peers(settings: Settings, scene: RenderScene) -> Iterator[str]:
    peers = settings.haproxy.peers
    for host in peers.hosts or (LOCAL,):
        address = "127.0.0.1" if host == LOCAL else bracketed(host)
        for number in range(1, scene.processes + 1):
            yield f"peer {peer_name(host, number)} {address}:{peers.port_base + number - 1}"
