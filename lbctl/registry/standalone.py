"""
A whole haproxy.cfg in one text, for a HAProxy that lbctl does not run: routes are lines of the
frontend, and nothing names a file or a socket of a host.

Pure. Right for some hundreds of services; ``lbctl run`` looks requests up in a map. For HAProxy 2.4
and newer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lbctl.layout import RunDir
from lbctl.model.service import Service
from lbctl.model.target import TargetBackend
from lbctl.render.backend import compile_service
from lbctl.render.lookup import HOST_LINE
from lbctl.render.routes import Entry
from lbctl.render.scene import RenderScene
from lbctl.render.sections import defaults_section
from lbctl.render.words import quote, shown
from lbctl.settings.model import Settings

#: The oldest syntax that is written.
VERSION: Final = (2, 4)

_OPENING: Final = "# Written by lbctl from what its registry was told.\n"
_NOTHING: Final = "# The registry knows no service."


@dataclass(frozen=True, slots=True)
class _Rule:
    """A route, and the backend that gets its requests."""

    entry: Entry
    backend: str


def standalone(
    services: Sequence[Service], settings: Settings, problems: Iterable[str] = ()
) -> str:
    """
    Args:
        services: those of a registry: http, with hosts and paths.
        settings: limits, timeouts and ``http.bind``.
        problems: what is left out, and why: comments at the top.
    """
    # No path of the scene is written: these services have none in them.
    sources = {service.name: "registry" for service in services}
    scene = RenderScene(run=RunDir(Path("/nonexistent")), version=VERSION, sources=sources)
    said = list(problems)
    backends: list[TargetBackend] = []
    rules: list[_Rule] = []
    for service in sorted(services, key=lambda one: one.name):
        try:
            parts = compile_service(service, settings, scene)
            parts.backend.text()
        except ValueError as error:
            said.append(f"registry: service {shown(service.name)} is left out: {error}")
            continue
        backends.append(parts.backend)
        rules += [_Rule(entry, parts.backend.name) for entry in parts.entries]
    sections = [
        _OPENING + "".join(f"# {' '.join(one.split())}\n" for one in said) + _global(settings),
        defaults_section(settings, scene),
        _frontend(settings, rules),
        *(backend.text() for backend in backends),
    ]
    return "\n".join(sections)


def _global(settings: Settings) -> str:
    maxconn = settings.haproxy.maxconn
    return f"global\n    log stdout format raw daemon\n    maxconn {maxconn}\n"


def _frontend(settings: Settings, rules: Sequence[_Rule]) -> str:
    """The strongest route first, as HAProxy takes the first rule that fits."""
    ordered = sorted(rules, key=lambda rule: (rule.entry.precedence, rule.backend))
    lines = [
        f"bind {settings.http.bind}",
        "option forwardfor",
        HOST_LINE,
        *(line for rule in ordered for line in _lines(rule)),
    ]
    if not ordered:
        lines.append(_NOTHING)
    return "frontend http\n" + "".join(f"    {line}\n" for line in lines)


def _lines(rule: _Rule) -> Iterator[str]:
    """With conditions that have no names: a service may be called ``or``, or ``TRUE``."""
    entry, use = rule.entry, f"use_backend {rule.backend}"
    if entry.is_wildcard:
        yield f"{use} if {{ var(txn.lbctl_host) -m end {entry.host[1:]} }}"
    elif entry.host:
        yield f"{use} if {{ var(txn.lbctl_host) -m str {entry.host} }}"
    elif entry.path:
        # By whole segments: /hello/v1 is not the beginning of /hello/v10.
        yield f"{use} if {{ path {quote(entry.path)} }} or {{ path_beg {quote(f'{entry.path}/')} }}"
    else:
        yield use
