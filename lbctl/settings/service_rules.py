"""
The rules about a service as a whole, and about services beside each other. Pure.

Each value is right by itself when these look at it. Problems carry the path inside the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from lbctl.model.service import HealthCheck, Route, Service
from lbctl.settings.keys import name_shown
from lbctl.settings.model import Settings
from lbctl.settings.shape import Path
from lbctl.settings.web_rules import token_problem

Said = tuple[Path, str]

_DEFAULTS: Final = {one.name: one.default for one in fields(Service)}
#: What HAProxy reads off a request.
_HTTP_BALANCES: Final = ("uri", "hdr(")


@dataclass(frozen=True, slots=True)
class Clash:
    """
    Two services cannot both be.

    Attributes:
        index: of the later one.
        path: in it.
        what: a sentence; it names the other one.
    """

    index: int
    path: Path
    what: str


def service_problems(service: Service, *, is_whole: bool = True) -> Iterator[Said]:
    """
    What is wrong with *service* by itself.

    Args:
        is_whole: nobody else says more of it: where it listens, for one.
    """
    if is_whole and service.mode == "tcp" and not service.all_routes:
        yield (), "mode: tcp needs a port: route: {port: 5432}"
    yield from _tcp_problems(service) if service.mode == "tcp" else _http_problems(service)
    for path, route in _routes(service):
        yield from ((path, what) for what in _route_problems(route, service.mode))
    if service.check is not None:
        yield from ((("check",), what) for what in _check_problems(service.check))
    if service.tls is not None and service.tls.ca_file is not None and not service.tls.verify:
        yield ("tls",), "ca_file judges nothing with verify: false: drop one of the two"
    yield from _stick_problems(service)
    yield from _server_problems(service)
    both = sorted(set(service.allow) & set(service.deny))
    if both:
        yield ("deny",), f"{both[0]} is allowed and denied: choose"


def clashes(services: Sequence[Service | None]) -> Iterator[Clash]:
    """
    What is wrong between *services*: names, and routes that ask for the same requests.

    Args:
        services: None: one that is wrong by itself.
    """
    names: set[str] = set()
    routes: dict[object, Service] = {}
    ports: dict[int, Service] = {}
    for index, service in enumerate(services):
        if service is None:
            continue
        if service.name in names:
            yield Clash(index, ("name",), "another service has this name: choose another")
            continue  # the same routes would be named again
        names.add(service.name)
        requests: set[object] = set()
        for path, route in _routes(service):
            asks = _requests(route, service.mode)
            if asks in requests:
                yield Clash(index, path, "asks for the same requests as the route before")
                continue
            requests.add(asks)
            if what := _taken(service, route, routes.setdefault(asks, service), ports):
                yield Clash(index, path, what)


def _taken(service: Service, route: Route, first: Service, ports: dict[int, Service]) -> str | None:
    if first is not service:
        return f"asks for the same requests as service {name_shown(first.name)}: one must differ"
    if route.port is None:
        return None
    other = ports.setdefault(route.port, service)
    if other.mode != service.mode:
        return f"port {route.port} is that of service {name_shown(other.name)}, of another mode"
    return None


def taken_ports(settings: Settings) -> Mapping[int, str]:
    """The ports on which the bundle listens for something else, and which key says so."""
    haproxy, http = settings.haproxy, settings.http
    processes = 1 if haproxy.processes == "auto" else haproxy.processes
    taken: dict[int, str] = {}
    for number in range(processes):
        taken[haproxy.stats.port_base + number] = "haproxy.stats.port_base"
        taken[haproxy.peers.port_base + number] = "haproxy.peers.port_base"
    if settings.discovery.hosts.dnsmasq:
        taken[settings.discovery.hosts.dnsmasq_port] = "discovery.hosts.dnsmasq_port"
    binds = (
        ("api.bind", settings.api.bind),
        ("http.tls_bind", http.tls_bind),
        ("http.bind", http.bind),
    )
    for name, bind in binds:
        if bind is not None:
            taken[int(bind.rpartition(":")[2])] = name
    return taken


def port_problems(service: Service, taken: Mapping[int, str]) -> Iterator[Said]:
    """Routes on ports that are in use."""
    for path, route in _routes(service):
        if route.port is not None and route.port in taken:
            what = f"{route.port} is a port of {taken[route.port]}: change one of them"
            yield (*path, "port"), what


def _tcp_problems(service: Service) -> Iterator[Said]:
    if service.cookie is not None:
        yield ("cookie",), "goes with mode: http"
    if service.balance is not None and service.balance.startswith(_HTTP_BALANCES):
        yield ("balance",), f"{service.balance} goes with mode: http"


def _http_problems(service: Service) -> Iterator[Said]:
    if service.accept_proxy:
        yield ("accept_proxy",), "goes with mode: tcp; for http there is http.accept_proxy"


def _routes(service: Service) -> Iterator[tuple[Path, Route]]:
    """Each route, and where it stands; the implied one with the service."""
    if service.route is not None:
        yield ("route",), service.route
    for index, route in enumerate(service.routes):
        yield ("routes", index), route
    if service.route is None and not service.routes:
        yield from (((), route) for route in service.all_routes)


def _route_problems(route: Route, mode: str) -> Iterator[str]:
    if mode == "tcp":
        alien = [name for name in ("path", "strip", "host", "header") if getattr(route, name)]
        if alien:
            yield f"{' and '.join(alien)} goes with mode: http; tcp has a port alone"
        elif route.port is None:
            yield "mode: tcp needs a port"
        return
    if route == Route():
        yield "says nothing; path: / stands for all requests"
    if route.strip and not route.path:
        yield "strip needs a path to strip"
    yield from _header_problems(route.header)


def _header_problems(header: Mapping[str, str]) -> Iterator[str]:
    lower = [name.lower() for name in header]
    if len(set(lower)) < len(lower):
        yield "header names one twice: case does not count"
    for name, value in header.items():
        if token_problem(name):
            yield f"header: {name!r} cannot be the name of a header"
        elif name.lower() == "host":
            yield "header: Host is route.host"
        if not value or value != value.strip():
            yield f"header: {value!r} is no value: neither empty, nor with blanks at its ends"


def _check_problems(check: HealthCheck) -> Iterator[str]:
    about_http = [
        name
        for name, value in (
            ("path", check.path),
            ("host", check.host or None),
            ("method", check.method),
            ("expect", check.expect),
        )
        if value is not None
    ]
    if check.kind is None and about_http and check.path is None:
        yield f"{' and '.join(about_http)} needs a path, or kind: http"
    if check.kind in ("tcp", "none") and about_http:
        yield f"{' and '.join(about_http)} goes with kind: http"
    if check.kind == "none" and check != HealthCheck(kind="none") and not about_http:
        yield "kind: none checks nothing: no more can be said of it"


def _stick_problems(service: Service) -> Iterator[Said]:
    if service.stick is not None and service.cookie is not None:
        yield ("stick",), "stick and cookie exclude each other: give one of the two"
    if service.stick is None and service.stick_for_s != _DEFAULTS["stick_for_s"]:
        yield ("stick_for_s",), "goes with stick"


def _server_problems(service: Service) -> Iterator[Said]:
    if service.dns is not None and service.servers:
        yield ("dns",), "dns and servers exclude each other: give one of the two"
    if service.dns is None and service.slots != _DEFAULTS["slots"]:
        yield ("slots",), "goes with dns"
    first: dict[str, int] = {}
    for index, server in enumerate(service.servers):
        other = first.setdefault(server.key, index)
        if other != index:
            what = f"is known as {server.key}, as servers[{other}] is: give it an id of its own"
            yield ("servers", index), what


def _requests(route: Route, mode: str) -> object:
    """The same for routes that match the same requests."""
    if mode == "tcp":
        return mode, route.port
    header = frozenset((name.lower(), value) for name, value in route.header.items())
    return mode, route.path.rstrip("/"), route.host.lower(), header, route.port
