"""
What is balanced: services, their routes and their servers, as lb.yaml and discovery tell of them.

Pure and frozen. Types and bounds are stated here once; :mod:`lbctl.settings.services` reads a plain
document into them and says what is wrong with it, with lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal
from urllib.parse import quote

from annotated_types import Ge, Le, MinLen

Mode = Literal["http", "tcp"]
Port = Annotated[int, Ge(1), Le(65535)]
Seconds = Annotated[float, Ge(0.05), Le(86400)]

#: Beside letters, digits and ``-._~`` what a path may hold as it is (RFC 3986, 3.3).
PATH_SIGNS: Final = "/!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    Which requests a service gets: all that is given must match.

    Attributes:
        path: a prefix by whole segments: ``/hello/v1`` is not the beginning of ``/hello/v10``;
            empty: any path.
        strip: take *path* off before the request goes to a server.
        host: of the Host header, without port, any case; ``*.example.com``: any name below it;
            empty: any host.
        header: names and the values they must have, exactly.
        port: ``tcp``: where the service listens; ``http``: a port of its own beside ``http.bind``.
    """

    path: str = ""
    strip: bool = False
    host: str = ""
    header: Mapping[str, str] = field(default_factory=dict)
    port: Port | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """
    Sticky sessions.

    Attributes:
        name: of the cookie.
        kind: ``prefix``: the application's own cookie gets the server's id in front; ``insert``:
            HAProxy adds one.
    """

    name: Annotated[str, MinLen(1)]
    kind: Literal["prefix", "insert"] = "prefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """
    How a server is found healthy; None takes the default of lb.yaml.

    Attributes:
        kind: ``http``, ``tcp`` (a connection), ``none``; None: ``http`` where *path* is given.
        path: of an HTTP check.
        host: its Host header; empty: the route's host, else ``localhost``.
        method: of an HTTP check.
        expect: the statuses that are well: ``200-399``, ``204``.
        interval_s: from one check to the next, seconds.
        timeout_s: a longer one has failed, seconds; None: HAProxy's own rule.
        rise: checks in a row that must succeed.
        fall: checks in a row that must fail.
    """

    kind: Literal["http", "tcp", "none"] | None = None
    path: str | None = None
    host: str = ""
    method: Literal["GET", "HEAD", "OPTIONS"] | None = None
    expect: str | None = None
    interval_s: Seconds | None = None
    timeout_s: Seconds | None = None
    rise: Annotated[int, Ge(1), Le(100)] | None = None
    fall: Annotated[int, Ge(1), Le(100)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTimeouts:
    """HAProxy's timeouts of one service, in its units; None: as ``haproxy.timeouts``."""

    connect: str | None = None
    client: str | None = None
    server: str | None = None
    queue: str | None = None
    tunnel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """
    How much one client may ask, over all processes of a host.

    Attributes:
        requests: ``http``: requests; ``tcp``: connections; divided by the number of processes.
        period_s: in which they are counted, seconds.
    """

    requests: Annotated[int, Ge(1), Le(1_000_000_000)]
    period_s: Annotated[int, Ge(1), Le(86400)] = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """
    TLS to the servers.

    Attributes:
        verify: whether their certificates must be good.
        ca_file: the authorities they are judged by; None: the host's own.
        sni: the name asked for; None: the request's Host header (http), or none (tcp).
    """

    verify: bool = True
    ca_file: str | None = None
    sni: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """
    One address that serves.

    Attributes:
        id: unique in its service; empty: the address is.
        address: ``10.0.0.1:80``, ``[fd00::1]:80``, ``db.example.com:5432``.
        weight: its share beside the others, 0..256; 0 gets nothing but what is sticky.
        backup: used when no other one is healthy.
        state: ``drain``: gets nothing new; ``maint``: gets nothing at all. What the operator says
            by ``lbctl server`` counts more.
    """

    address: Annotated[str, MinLen(1)]
    id: str = ""
    weight: Annotated[int, Ge(0), Le(256)] = 100
    backup: bool = False
    state: Literal["ready", "drain", "maint"] = "ready"

    @property
    def key(self) -> str:
        """What it is known by in its service."""
        return self.id or self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    What clients ask for, and who answers. None takes the default of lb.yaml.

    Attributes:
        name: unique; with a version ``hello/v1``. Any text: HAProxy is told a safe form of it.
        mode: ``http`` or ``tcp``.
        route: which requests it gets; *routes* has more. Neither: ``/NAME`` with ``http``.
        balance: ``roundrobin``, ``leastconn``, ``random``, ``first``, ``static-rr``, ``source``,
            ``uri``, ``hdr(NAME)``.
        cookie: sticky sessions; a text is the name of the application's own cookie.
        stick: ``source``: a client's address stays with its server, told to all processes.
        stick_for_s: so long after its last connection or request.
        check: of the servers.
        retries: of a connection that a server does not accept.
        maxconn: connections to one server from one host; divided by the number of processes.
        timeouts: see there.
        accept_proxy: ``tcp``: clients speak the PROXY protocol.
        send_proxy: speak it to the servers.
        tls: speak TLS to the servers.
        dns: ``web.example.com:80``: every address of a name is a server, followed by HAProxy;
            ``_http._tcp.web.example.com``: SRV records tell addresses, ports and weights.
        slots: as many of them as there can be.
        limit: what one client may ask.
        allow: networks that may ask; empty: all.
        deny: networks that may not.
        servers: who answers.
    """

    name: Annotated[str, MinLen(1)]
    mode: Mode = "http"
    route: Route | None = None
    routes: tuple[Route, ...] = ()
    balance: str | None = None
    cookie: str | Cookie | None = None
    stick: Literal["source"] | None = None
    stick_for_s: Annotated[int, Ge(1), Le(604800)] = 1800
    check: HealthCheck | None = None
    retries: Annotated[int, Ge(0), Le(100)] | None = None
    maxconn: Annotated[int, Ge(1), Le(10_000_000)] | None = None
    timeouts: ServiceTimeouts = field(default_factory=ServiceTimeouts)
    accept_proxy: bool = False
    send_proxy: Literal["v1", "v2"] | None = None
    tls: ServerTls | None = None
    dns: str | None = None
    slots: Annotated[int, Ge(1), Le(1000)] = 10
    limit: RateLimit | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    servers: tuple[Server, ...] = ()

    @property
    def all_routes(self) -> tuple[Route, ...]:
        """Every route; with ``http`` and none given the one by the name."""
        given = self.routes if self.route is None else (self.route, *self.routes)
        if given or self.mode == "tcp":
            return given
        return (Route(path="/" + quote(self.name.lstrip("/"), safe=PATH_SIGNS, errors="replace")),)

    @property
    def sticky(self) -> Cookie | None:
        """The cookie, however it was given."""
        return Cookie(name=self.cookie) if isinstance(self.cookie, str) else self.cookie


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    Everything one source knew at one moment.

    Attributes:
        source: ``lb.yaml``, ``consul``, ``docker``, ...
        services: by name, each once.
        at: wall clock, seconds since the epoch, when the source was last heard.
        problems: what of it was left out, and why: sentences.
        settings: keys of lb.yaml that the source sets, by dotted path, as text:
            ``haproxy.maxconn`` -> ``1024``.
        names: addresses by host name, as ``/etc/hosts`` has them, in its order; lower case.
        is_sure: the source was watched all the time: what is gone was seen to go.
    """

    source: str
    services: tuple[Service, ...]
    at: float
    problems: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_sure: bool = field(default=False, compare=False)
