"""
The frontends: where clients come in, what is asked of their requests, and which backend gets them.

Pure, and without Jinja2: the agent renders them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lbctl.model.service import Service
from lbctl.render.lookup import HOST_LINE, USE_LINE, lookup_lines
from lbctl.render.routes import Listener, Routes
from lbctl.render.scene import RenderScene
from lbctl.render.words import TIME, chunks, fit, quote, quote_format, shown
from lbctl.settings.model import Http, Settings

_SECURE: Final = "{ var(txn.lbctl_proto) -m str https }"
_LOOPBACK: Final = "{ src 127.0.0.0/8 ::1 }"


@dataclass(frozen=True, slots=True)
class Files:
    """
    Paths of the maps, as the configuration names them.

    Attributes:
        routes: see :mod:`lbctl.render.routes`.
        below: by port, from hosts to their wildcards, one for each depth.
        hosts: hosts that are not foreign; empty: nobody asks.
        endings: the same for whatever is below a host.
    """

    routes: str
    below: Mapping[int, tuple[str, ...]]
    hosts: str = ""
    endings: str = ""


@dataclass(frozen=True, slots=True)
class TcpPort:
    """A port of one ``tcp`` service."""

    port: int
    service: Service
    backend: str


def frontends_text(
    settings: Settings,
    scene: RenderScene,
    routes: Routes,
    tcp: Iterable[TcpPort],
    files: Files,
) -> str:
    """
    Every frontend: ``http``, then the ports of single services.

    With the operator's own haproxy.cfg ``http`` is his.
    """
    sections = [] if scene.own is not None else [_http(settings, scene, routes, files)]
    sections += [
        _http_port(settings.http, scene, port, listener, files)
        for port, listener in routes.listeners.items()
        if port
    ]
    sections += [_tcp_port(settings, scene, one) for one in tcp]
    return "\n".join(sections)


def routing_text(routes: Routes, files: Files) -> str:
    """The look-up of a request, for any frontend in mode http; empty: there are no routes."""
    listener = routes.listeners.get(0)
    if listener is None:
        return ""
    lines = lookup_lines(0, listener, files.routes, files.below.get(0, ()))
    return _indented([HOST_LINE]) + lines + _indented([USE_LINE])


def _http(settings: Settings, scene: RenderScene, routes: Routes, files: Files) -> str:
    http = settings.http
    proxied = " accept-proxy" if http.accept_proxy else ""
    lines = [f"bind {http.bind}{proxied}"]
    if scene.certs is not None:
        crt = f"ssl crt {quote(scene.certs)} alpn h2,http/1.1"
        lines.append(f"bind {http.tls_bind}{proxied} {crt}")
    if http.health_path is not None:
        lines.append(f"monitor-uri {quote(http.health_path)}")
    redirects, foreign = [*_redirects(http, scene)], [*_foreign(http, routes, files)]
    listener = routes.listeners.get(0)
    if redirects or foreign or listener:
        lines.append(HOST_LINE)
    lines += [*_forwarded(http), *redirects]
    return "".join(
        (
            "frontend http\n",
            _indented(lines),
            lookup_lines(0, listener, files.routes, files.below.get(0, ())) if listener else "",
            _indented([*foreign, *((USE_LINE,) if listener else ()), "default_backend nginx"]),
        )
    )


def _http_port(http: Http, scene: RenderScene, port: int, listener: Listener, files: Files) -> str:
    """A port of its own for some routes; the operator's haproxy.cfg need not have ``nginx``."""
    proxied = " accept-proxy" if http.accept_proxy else ""
    lines = [*(f"bind {one}{proxied}" for one in _binds(http, port)), HOST_LINE, *_forwarded(http)]
    return "".join(
        (
            f"frontend lbctl-http-{port}\n    mode http\n",
            _indented(lines),
            lookup_lines(port, listener, files.routes, files.below.get(port, ())),
            _indented([USE_LINE, *(("default_backend nginx",) if scene.own is None else ())]),
        )
    )


def _tcp_port(settings: Settings, scene: RenderScene, one: TcpPort) -> str:
    proxied = " accept-proxy" if one.service.accept_proxy else ""
    client = one.service.timeouts.client
    lines = [
        f"# Service {shown(one.service.name)}.",
        *(f"bind {bind}{proxied}" for bind in _binds(settings.http, one.port)),
        "mode tcp",
        "option tcplog",
        # HAProxy warns of what its defaults have and tcp does not know.
        *(("no option idle-close-on-response",) if scene.version >= (2, 4) else ()),
        *((f"timeout client {fit(TIME, client, 'timeout client')}",) if client else ()),
        f"default_backend {one.backend}",
    ]
    return f"frontend lbctl-tcp-{one.port}\n{_indented(lines)}"


def _indented(lines: Iterable[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)


def _binds(http: Http, port: int) -> Iterator[str]:
    """Another port on the addresses of ``http.bind``."""
    for bind in dict.fromkeys(one.rpartition(":")[0] for one in http.bind.split(",")):
        yield f"{bind}:{port}"


def _forwarded(http: Http) -> Iterator[str]:
    """X-Forwarded-For and -Proto."""
    yield "option forwardfor"
    yield "http-request set-var(txn.lbctl_proto) str(http)"
    yield "# A program on this host that has ended TLS already (nginx.d/tls.conf) knows better."
    yield (
        "http-request set-var(txn.lbctl_proto) req.hdr(X-Forwarded-Proto),lower "
        f"if {_LOOPBACK} {{ req.hdr(X-Forwarded-Proto) -m found }}"
    )
    yield "http-request set-var(txn.lbctl_proto) str(https) if { ssl_fc }"
    if http.accept_proxy:
        yield "# Who speaks the PROXY protocol has ended TLS where clients dialled port 443."
        yield "http-request set-var(txn.lbctl_proto) str(https) if { dst_port 443 }"
    yield "http-request set-header X-Forwarded-Proto %[var(txn.lbctl_proto)]"


def _redirects(http: Http, scene: RenderScene) -> Iterator[str]:
    """To HTTPS, and to stay there."""
    if http.hsts_max_age_s is not None:
        yield (
            'http-response set-header Strict-Transport-Security "max-age='
            f'{http.hsts_max_age_s}" if {_SECURE}'
        )
    if not http.https_redirect:
        return
    yield from _internal(http.internal_hosts)
    port = http.tls_bind.rpartition(":")[2]
    is_usual = scene.certs is None or http.accept_proxy or port == "443"
    but = " !lbctl-internal" if http.internal_hosts else ""
    yield (
        f'http-request redirect code 301 location "https://%[var(txn.lbctl_host)]'
        f'{"" if is_usual else f":{port}"}%[pathq]" '
        f"if !{_SECURE} {{ var(txn.lbctl_host) -m len 1:1000 }}{but}"
    )


def _internal(hosts: Sequence[str]) -> Iterator[str]:
    """``acl lbctl-internal``; ``*`` stands for any text."""
    kinds: dict[str, list[str]] = {"str": [], "end": [], "beg": [], "reg": []}
    for host in (host.lower() for host in hosts):
        bare = host.strip("*")
        if "*" not in host:
            kinds["str"].append(host)
        elif "*" in bare or not bare or (host[0] == host[-1]):
            kinds["reg"].append("^" + ".*".join(re.escape(part) for part in host.split("*")) + "$")
        else:
            kinds["end" if host[0] == "*" else "beg"].append(bare)
    for kind, words in kinds.items():
        for line in chunks([quote(word) for word in words]):
            yield f"acl lbctl-internal var(txn.lbctl_host) -m {kind} -- {line}"


def _foreign(http: Http, routes: Routes, files: Files) -> Iterator[str]:
    """Requests that no route has, for a host that no route and no setting names."""
    if http.foreign_redirect is None:
        return
    known = []
    if http.internal_hosts:
        known.append("!lbctl-internal")
        if not http.https_redirect:
            yield from _internal(http.internal_hosts)
    for kind, path in (("str", files.hosts), ("end", files.endings)):
        if path:
            yield f"acl lbctl-known var(txn.lbctl_host) -m {kind} -f {quote(path)}"
    if files.hosts or files.endings:
        known.append("!lbctl-known")
    if routes.listeners.get(0):
        known.append("!{ var(txn.lbctl_route) -m found }")
    condition = f" if {' '.join(known)}" if known else ""
    location = quote_format(http.foreign_redirect)
    yield f"http-request redirect code 301 location {location}{condition}"
