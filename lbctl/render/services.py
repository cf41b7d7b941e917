"""
From services to HAProxy's configuration.

Pure but for its cache: an unchanged service costs next to nothing. What cannot be told to HAProxy
leaves its service out, by name and with the reason, and all others as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from typing import Final, cast

from lbctl.model.service import Service
from lbctl.model.target import Target
from lbctl.render.backend import ServiceParts, compile_service
from lbctl.render.frame import BACKENDS, FRONTENDS, ROUTES, fill, services_frame, shipped_frame
from lbctl.render.frontends import Files, TcpPort, frontends_text, routing_text
from lbctl.render.routes import Entry, Routes, build_routes
from lbctl.render.scene import RenderScene
from lbctl.render.sections import peers_section, resolvers_section
from lbctl.render.words import HOST, fit, shown
from lbctl.settings.model import Settings

#: ``services.cfg`` where everything is in haproxy.cfg: HAProxy refuses an empty file.
NOTHING: Final = "# Written by lbctl: nothing in here, all is in haproxy.cfg.\n"
#: Where the operator's own frontends find the routes.
PLAIN_MAP: Final = "routes.map"


@dataclass(frozen=True, slots=True)
class ServiceProblem:
    """A service that is left out, and why."""

    service: str
    what: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """
    Attributes:
        target: haproxy.cfg; with the operator's own one services.cfg.
        problems: services that are left out.
        notes: what services ask for and do not get, in words.
        backends: by service, the name of its backend.
    """

    target: Target
    problems: tuple[ServiceProblem, ...]
    notes: tuple[str, ...]
    backends: Mapping[str, str]


@dataclass(slots=True)
class _Known:
    """One service as it was last seen."""

    service: Service
    source: str
    parts: ServiceParts | str

    @property
    def is_plain(self) -> bool:
        """Nothing but the service itself has made it what it is."""
        return not self.source


@dataclass(slots=True)
class CompileCache:
    """What was worked out before; it forgets by itself when settings or scene change."""

    context: object = None
    services: dict[str, _Known] = field(default_factory=dict)
    routes: tuple[object, object] = (None, None)


@dataclass(slots=True)
class _Turn:
    """One compilation."""

    settings: Settings
    scene: RenderScene
    problems: list[ServiceProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parts: dict[str, tuple[Service, ServiceParts]] = field(default_factory=dict)


def compile_services(
    services: Sequence[Service],
    settings: Settings,
    scene: RenderScene,
    cache: CompileCache | None = None,
) -> Compiled:
    """
    The whole configuration; the order of *services* does not matter.

    Args:
        cache: of the calls before, changed by this one.

    Raises:
        RenderError: the operator's template failed, or misuses a marker.
    """
    turn = _Turn(settings, scene)
    known = cache or CompileCache()
    _compile(turn, services, known)
    tcp = _tcp_ports(turn)
    routes = _routes(turn, known)
    turn.notes += routes.lost
    files, texts = _files(turn, routes)
    parts = {
        FRONTENDS: frontends_text(settings, scene, routes, tcp, files),
        ROUTES: routing_text(routes, files),
        BACKENDS: _sections(turn),
    }
    frame, name = _frame(turn, services)
    before, after = fill(frame, parts, name)
    has_place = scene.template is None or str(BACKENDS) in frame
    backends = sorted(
        (part.backend for _, part in turn.parts.values()), key=lambda backend: backend.name
    )
    return Compiled(
        Target(before, {backend.name: backend for backend in backends if has_place}, after, texts),
        tuple(turn.problems),
        tuple(turn.notes),
        {name: part.backend.name for name, (_, part) in turn.parts.items()},
    )


def _compile(turn: _Turn, services: Sequence[Service], cache: CompileCache) -> None:
    """Every service by itself, in the order of their names."""
    scene = turn.scene
    context = (
        turn.settings.haproxy,
        turn.settings.http,
        (scene.version, scene.processes, scene.is_nbproc),
    )
    if cache.context != context:
        cache.context, cache.services = context, {}
    is_plain = not scene.sources
    known: dict[str, _Known] = {}
    for service in sorted(services, key=attrgetter("name")):
        name = service.name
        if name in known:
            turn.problems.append(ServiceProblem(name, "there is another service of that name"))
            continue
        before = cache.services.get(name)
        if is_plain and before is not None and before.service is service and before.is_plain:
            # Nearly every service of nearly every turn.
            found = before
        else:
            found = _compiled(turn, service, before)
        known[name] = found
        parts = found.parts
        if isinstance(parts, str):
            turn.problems.append(ServiceProblem(name, parts))
            continue
        turn.notes += parts.notes
        turn.parts[name] = (service, parts)
    cache.services = known


def _compiled(turn: _Turn, service: Service, before: _Known | None) -> _Known:
    """One service, as it was *before* where nothing of it has changed."""
    source = turn.scene.sources.get(service.name, "")
    if (
        before is not None
        and (before.service is service or before.service == service)
        and before.source == source
    ):
        return before
    try:
        parts: ServiceParts | str = compile_service(service, turn.settings, turn.scene)
    except ValueError as error:
        parts = str(error)
    return _Known(service, source, parts)


def _tcp_ports(turn: _Turn) -> list[TcpPort]:
    """Who listens where; a port that is taken leaves its service out."""
    http = turn.settings.http
    taken = {
        port: "http"
        for bind in (http.bind, *((http.tls_bind,) if turn.scene.has_certs else ()))
        for port in _ports_of(bind)
        if turn.scene.own is None
    }
    with_ports = [(name, one) for name, one in turn.parts.items() if one[1].has_ports]
    for name, (_, parts) in with_ports:
        for entry in parts.entries:
            if entry.port and taken.get(entry.port) != "http":
                taken[entry.port] = name
    found = []
    for name, (service, parts) in with_ports:
        used = {port: owner for port in parts.ports if (owner := taken.get(port))}
        ports_of_http = {entry.port for entry in parts.entries if taken.get(entry.port) == "http"}
        is_lost = service.mode == "tcp" and not parts.ports and turn.scene.own is None
        if ports_of_http or used or is_lost:
            port = next(iter((*sorted(ports_of_http), *sorted(used), 0)))
            owner = "http" if ports_of_http else used.get(port, "")
            what = f"port {port} is {shown(owner)}'s already" if port else "tcp needs a port"
            turn.problems.append(ServiceProblem(name, what))
            del turn.parts[name]
            continue
        for port in parts.ports:
            taken[port] = name
            found.append(TcpPort(port, service, parts.backend.name))
    return sorted(found, key=lambda one: one.port)


def _ports_of(bind: str) -> Iterator[int]:
    for one in bind.split(","):
        port = one.rpartition(":")[2]
        if port.isdecimal():
            yield int(port)


def _routes(turn: _Turn, cache: CompileCache) -> Routes:
    claims: list[tuple[str, str, Sequence[Entry]]] = [
        (name, parts.backend.name, parts.entries)
        for name, (_, parts) in turn.parts.items()
        if parts.entries
    ]
    # Entries of unchanged services are the same objects, so this compares fast.
    if cache.routes[0] != claims:
        cache.routes = (claims, build_routes(claims))
    return cast("Routes", cache.routes[1])


def _files(turn: _Turn, routes: Routes) -> tuple[Files, dict[str, str]]:
    """
    The maps, and the paths by which the configuration names them. A name has a hash of what is in
    the file: the configuration that still runs, and one that failed, keep theirs.
    """
    texts: dict[str, str] = {}

    def path_of(stem: str, text: str) -> str:
        name = f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:10]}.map"
        texts[name] = text
        return str(turn.scene.run.haproxy / name)

    below = {
        port: tuple(
            path_of("wildcards", "".join(f"{suffix} *{suffix}\n" for suffix in scope.suffixes))
            for scope in listener.below
        )
        for port, listener in routes.listeners.items()
    }
    path = path_of("routes", routes.text) if routes.listeners else ""
    if turn.scene.own is not None:
        # The operator's frontends know it by this name.
        texts[PLAIN_MAP] = routes.text
    hosts: list[str] = []
    endings: list[str] = []
    http = turn.settings.http
    if http.foreign_redirect is not None and turn.scene.own is None:
        for host in (*routes.hosts, *(one.lower() for one in http.known_hosts)):
            fit(HOST, host.removeprefix("*."), "known host")
            (endings if host.startswith("*.") else hosts).append(host.removeprefix("*"))
    return (
        Files(
            path,
            below,
            path_of("hosts", _lines(hosts)) if hosts else "",
            path_of("endings", _lines(endings)) if endings else "",
        ),
        texts,
    )


def _lines(words: Iterable[str]) -> str:
    return "".join(f"{word}\n" for word in sorted(set(words)))


def _sections(turn: _Turn) -> str:
    """What backends refer to, right before them."""
    scene, settings = turn.scene, turn.settings
    sections = []
    if any(parts.needs_resolvers for _, parts in turn.parts.values()):
        sections.append(resolvers_section(settings, scene))
    own = "\n".join((scene.own or "", *(scene.template or {}).values()))
    tables = [parts.table for _, parts in turn.parts.values() if parts.table]
    is_used = any(parts.needs_peers for _, parts in turn.parts.values())
    if not scene.is_nbproc and (is_used or tables or "peers lbctl" in own):
        sections.append(peers_section(settings, scene, tables))
    return "".join(f"{section}\n" for section in sections)


def _frame(turn: _Turn, services: Sequence[Service]) -> tuple[str, str]:
    """The frame, and the name of its template for messages."""
    scene = turn.scene
    if scene.own is not None:
        return services_frame(turn.settings, scene, is_empty=not turn.parts), "services.cfg"
    if scene.template is None:
        return shipped_frame(turn.settings, scene), "haproxy.cfg"
    # The agent, which lives for ever, pays for Jinja2 only where the operator uses it.
    template = import_module("lbctl.render.template")
    frame: str = template.template_frame(scene.template, services, turn.settings, scene)
    return frame, str(template.TEMPLATE)
