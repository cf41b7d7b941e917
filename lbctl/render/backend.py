"""
One service as one HAProxy backend.

Pure. All that only a reload brings is in its head; servers, which come and go at run time, are
apart. Sticky sessions, checks, limits and stripping are the backend's own, so that an operator's
frontend has them too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from lbctl.model.names import backend_name, server_ids, server_name
from lbctl.model.service import Service
from lbctl.model.target import TargetBackend, TargetServer
from lbctl.render.probe import check_lines, check_words
from lbctl.render.routes import Entry, entries_of
from lbctl.render.scene import RenderScene
from lbctl.render.strip import strip_lines
from lbctl.render.tables import shared_table, table_lines
from lbctl.render.words import (
    HEADER,
    HOST,
    TIME,
    TOKEN,
    UnfitError,
    address_word,
    fit,
    is_srv,
    network_words,
    quote,
    shown,
)
from lbctl.settings.model import Http, Settings

#: Where the host's own authorities are, for HAProxy that has no ``@system-ca`` (before 2.6).
_DEBIAN_CA: Final = "/etc/ssl/certs/ca-certificates.crt"
_HASHED: Final = frozenset({"source", "uri"})
_PLAIN: Final = frozenset({"roundrobin", "leastconn", "random", "first", "static-rr"})


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """
    What one service adds.

    Attributes:
        backend: see :class:`lbctl.model.target.TargetBackend`.
        entries: routes of an ``http`` service.
        ports: where a ``tcp`` service listens.
        table: a line for the section of the peers.
        needs_resolvers: some of its servers are names.
        notes: what it asks for and does not get, in words.
        has_ports: it listens where others do not, or wants to.
        needs_peers: its stick table is copied.
    """

    backend: TargetBackend
    entries: tuple[Entry, ...]
    ports: tuple[int, ...]
    table: str
    needs_resolvers: bool
    notes: tuple[str, ...]
    # Worked out once: each turn asks every service.
    has_ports: bool = field(init=False)
    needs_peers: bool = field(init=False)

    def __post_init__(self) -> None:
        has_ports = not self.entries or any(entry.port for entry in self.entries)
        object.__setattr__(self, "has_ports", has_ports)
        object.__setattr__(self, "needs_peers", " peers lbctl\n" in self.backend.head)


def compile_service(
    service: Service,
    settings: Settings,
    scene: RenderScene,
) -> ServiceParts:
    """
    The parts of one service.

    Raises:
        UnfitError: something in it cannot be told to HAProxy.
    """
    name = backend_name(service.name)
    is_http = service.mode == "http"
    entries = entries_of(service) if is_http else ()
    ports = () if is_http else tuple(sorted({r.port for r in service.all_routes if r.port}))
    balance = service.balance or settings.haproxy.defaults.balance
    servers, has_names = _servers(service, scene, is_ordered=balance == "first")
    is_named = service.dns is not None or has_names
    options = " ".join(_options(service, settings, scene, entries, is_named=is_named))
    head = "".join(
        f"    {line}\n" if line else "\n"
        for part in (
            _opening(service, scene, balance),
            strip_lines(entries),
            _guards(service),
            table_lines(service, scene),
            _sticky(service, settings.http, entries),
            check_lines(service, settings, entries),
            (f"default-server {options}",) if options else (),
            _template(service, scene),
        )
        for line in part
    )
    backend = TargetBackend(
        name,
        f"backend {name}\n{head}",
        options,
        servers,
        _fixed(service, balance, is_named=is_named),
    )
    table = shared_table(service, scene)
    return ServiceParts(backend, entries, ports, table, is_named, tuple(_notes(service)))


def _opening(service: Service, scene: RenderScene, balance: str) -> Iterator[str]:
    source = scene.sources.get(service.name, "")
    told = f", from {shown(source)[1:-1]}" if source else ""
    yield f"# Service {shown(service.name)}{told}."
    yield f"mode {service.mode}"
    yield from _balance(balance)
    if service.retries is not None:
        yield f"retries {service.retries}"
    for what in ("connect", "server", "queue", "tunnel"):
        value = getattr(service.timeouts, what)
        if value is not None:
            yield f"timeout {what} {fit(TIME, value, f'timeout {what}')}"


def _balance(balance: str) -> Iterator[str]:
    """By a hash that hardly moves when a server comes or goes, and is alike in every process."""
    if balance in _PLAIN:
        yield f"balance {balance}"
        return
    if balance not in _HASHED:
        name = balance.removeprefix("hdr(").removesuffix(")")
        if balance != f"hdr({name})":
            message = f"balance {shown(balance)}: HAProxy has no such algorithm"
            raise UnfitError(message)
        fit(HEADER, name, "balance by header")
    yield f"balance {balance}"
    yield "hash-type consistent"


def _guards(service: Service) -> Iterator[str]:
    """Who may ask."""
    is_http = service.mode == "http"
    rule = "http-request" if is_http else "tcp-request content"
    refuse = "deny deny_status 403" if is_http else "reject"
    for which, networks in (("denied", service.deny), ("allowed", service.allow)):
        for words in network_words(networks):
            yield f"acl lbctl-{which} src {words}"
    if service.deny:
        yield f"{rule} {refuse} if lbctl-denied"
    if service.allow:
        yield f"{rule} {refuse} unless lbctl-allowed"


def _sticky(service: Service, http: Http, entries: Sequence[Entry]) -> Iterator[str]:
    cookie = service.sticky
    if cookie is None or service.mode != "http":
        return
    name = fit(TOKEN, cookie.name, "cookie")
    # Servers of a name have no cookies of their own: HAProxy makes them of address and key.
    dynamic = " dynamic" if service.dns is not None else ""
    if dynamic:
        digest = hashlib.sha256(f"{service.name}\0{cookie.name}".encode("utf-8", "surrogatepass"))
        yield f"dynamic-cookie-key {digest.hexdigest()[:16]}"
    if cookie.kind == "prefix":
        yield f"cookie {quote(name)} prefix nocache{dynamic}"
        return
    # A browser keeps no secure cookie that came over HTTP: where some requests do, it is not so.
    is_plain = bool(http.internal_hosts) or any(entry.port for entry in entries)
    secure = " secure" if http.https_redirect and not is_plain else ""
    yield f"cookie {quote(name)} insert indirect nocache httponly{secure}{dynamic}"


def _options(
    service: Service,
    settings: Settings,
    scene: RenderScene,
    entries: Sequence[Entry],
    *,
    is_named: bool,
) -> Iterator[str]:
    """The words that all servers of a service share."""
    yield from check_words(service, settings)
    if service.send_proxy is not None:
        yield "send-proxy" if service.send_proxy == "v1" else "send-proxy-v2"
        if service.check is None or service.check.kind != "none":
            yield "check-send-proxy"
    if service.tls is not None:
        yield from _tls(service, scene, entries)
    if is_named:
        yield f"resolve-prefer {settings.discovery.dns.prefer}"


def _tls(service: Service, scene: RenderScene, entries: Sequence[Entry]) -> Iterator[str]:
    tls = service.tls
    if tls is None:
        return
    yield "ssl"
    if tls.verify:
        own = "@system-ca" if scene.version >= (2, 6) else _DEBIAN_CA
        yield f"verify required ca-file {quote(tls.ca_file or own)}"
    else:
        yield "verify none"
    hosts = [e.host for e in entries if e.host and not e.is_wildcard]
    if tls.sni is not None:
        name = fit(HOST, tls.sni.lower(), "sni")
        yield f"sni str({name}) check-sni {name}"
    elif service.mode == "http":
        yield "sni req.hdr(host),field(1,:)"
        if hosts:
            yield f"check-sni {hosts[0]}"


def _servers(
    service: Service, scene: RenderScene, *, is_ordered: bool
) -> tuple[tuple[TargetServer, ...], bool]:
    """The servers, and whether some of them are names."""
    keys = [server.id or server.address for server in service.servers]
    ids = server_ids(keys)
    if len(ids) != len(keys):
        message = f"server {shown(next(k for k in ids if keys.count(k) > 1))}: it is there twice"
        raise UnfitError(message)
    if is_ordered:
        # ``balance first`` goes by the number.
        ids = {key: number for number, key in enumerate(keys, start=1)}
    maxconn = None if service.maxconn is None else scene.share(service.maxconn)
    has_cookies = service.sticky is not None and service.mode == "http"
    servers = []
    has_names = False
    for key, server in zip(keys, service.servers, strict=True):
        name = server_name(key)
        address, is_name = address_word(server.address)
        has_names |= is_name
        cookie = name if has_cookies else ""
        servers.append(
            TargetServer(
                name,
                ids[key],
                address,
                server.weight,
                maxconn,
                cookie,
                server.backup,
                server.state,
            )
        )
    return tuple(servers), has_names


def _template(service: Service, scene: RenderScene) -> Iterator[str]:
    """
    ``server-template``: as many slots as a name may have addresses. The first one asks the host's
    resolver while HAProxy starts, so that a reload leaves no moment without a server (without it,
    15 of 17,500 requests failed in 20 reloads). A nameserver that is dead costs its wait once.
    """
    if service.dns is None:
        return
    maxconn = "" if service.maxconn is None else f" maxconn {scene.share(service.maxconn)}"
    if is_srv(service.dns):
        # The host's own resolver knows nothing of SRV.
        words = f"{service.dns} weight 100{maxconn} resolvers lbctl init-addr none"
        yield f"server-template dns 1-{service.slots} {words}"
        return
    address, _ = address_word(service.dns)
    rest = f"{address} weight 100{maxconn} resolvers lbctl init-addr last,"
    yield f"server-template dns 1-1 {rest}libc,none"
    if service.slots > 1:
        yield f"server-template dns 2-{service.slots} {rest}none"


def _fixed(service: Service, balance: str, *, is_named: bool) -> str:
    if service.dns is not None:
        return "server-template"
    if is_named:
        return "servers with names"
    return "balance static-rr" if balance == "static-rr" else ""


def _notes(service: Service) -> Iterator[str]:
    if service.mode == "http" and service.timeouts.client is not None:
        yield (
            f"{shown(service.name)}: timeouts.client has no effect with mode http, where services "
            "share a frontend: haproxy.timeouts.client counts"
        )
