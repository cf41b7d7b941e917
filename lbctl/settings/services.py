"""
The services of a document: lb.yaml's, or those of another source, judged by the same rules.

What is wrong with one service is no other's affair: lb.yaml is refused as a whole by its caller,
another source loses the services that are named here and keeps the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lbctl.model.service import Service
from lbctl.settings.keys import KEYS, name_shown
from lbctl.settings.layer import Finding, Tree
from lbctl.settings.model import Settings
from lbctl.settings.rules import number_problem, value_problem
from lbctl.settings.service_rules import clashes, port_problems, service_problems, taken_ports
from lbctl.settings.shape import Path, Reader, Wrong

_KEY: Final = KEYS["services"]
_TOP: Final[Path] = ("services",)

#: What :func:`taken_ports` looks at.
PORT_PATHS: Final = (
    "haproxy.processes",
    "haproxy.stats.port_base",
    "haproxy.peers.port_base",
    "http.bind",
    "http.tls_bind",
    "api.bind",
    "discovery.hosts.dnsmasq_port",
)


@dataclass(frozen=True, slots=True)
class BadService:
    """
    A service that was left out.

    Attributes:
        name: its name; ``services[3]`` where it has none that can be read.
        where: the source.
        what: a sentence.
    """

    name: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: service {name_shown(self.name)} is left out: {self.what}"


def read_services(
    plain: object, where: str, settings: Settings | None = None
) -> tuple[tuple[Service, ...], tuple[BadService, ...]]:
    """
    The services of a source that is not lb.yaml; that may leave to others where one listens.

    Of two that cannot both be, the one whose name comes first stays, whatever the order.

    Args:
        plain: a list of mappings, as lb.yaml has it under ``services``; as JSON parses it.
        where: what the source is called in problems.
        settings: whose ports are not to be taken; None: not looked at.

    Returns:
        The good ones, in the order given, and one entry for each thing wrong with the others.
    """
    services, wrong = _read(plain, is_whole=False)
    if not isinstance(plain, list):
        return (), tuple(BadService("services", where, one.says()) for one in wrong)
    wrong += _clashes(services)
    if settings is not None:
        wrong += _on_taken_ports(services, taken_ports(settings))
    bad = {one.path[1] for one in wrong}
    good = tuple(one for index, one in enumerate(services) if one and index not in bad)
    return good, tuple(_bad(plain, where, one) for one in wrong)


def refused(services: Sequence[Service], settings: Settings) -> dict[str, str]:
    """
    Which of the services of all sources cannot be beside the others, and why: those who come first
    stay, the operator's before all.

    Args:
        services: each good by itself, in the order in which their sources count.
    """
    found: dict[str, str] = {}
    for clash in clashes(services):
        found.setdefault(services[clash.index].name, clash.what)
    taken = taken_ports(settings)
    for service in services:
        for path, what in port_problems(service, taken):
            found.setdefault(service.name, f"{'.'.join(map(str, path))}: {what}")
    return found


def judge(tree: Tree | None) -> tuple[tuple[Service, ...], tuple[Finding, ...]]:
    """lb.yaml's services, and what is wrong, with lines."""
    if tree is None:
        return (), ()
    services, wrong = _read(tree.plain, is_whole=True)
    wrong += [Wrong((*_TOP, one.index, *one.path), one.what) for one in clashes(services)]
    good = tuple(one for one in services if one is not None)
    return good, tuple(_finding(tree, one) for one in wrong)


def port_findings(tree: Tree, settings: Settings) -> Iterator[Finding]:
    """lb.yaml's services, all of them good, on ports that other settings take."""
    for one in _on_taken_ports(settings.services, taken_ports(settings)):
        yield _finding(tree, one)


def _read(plain: object, *, is_whole: bool) -> tuple[tuple[Service | None, ...], list[Wrong]]:
    reader = Reader(value_problem, number_problem)
    read: tuple[Service | None, ...] = reader.records(_KEY, plain, _TOP)
    services = list(read)
    wrong = reader.wrong
    for index, service in enumerate(read):
        if service is None:
            continue
        said = service_problems(service, is_whole=is_whole)
        if found := [Wrong((*_TOP, index, *path), what) for path, what in said]:
            wrong += found
            services[index] = None
    return tuple(services), wrong


def _clashes(services: Sequence[Service | None]) -> list[Wrong]:
    known = [(one.name, index) for index, one in enumerate(services) if one is not None]
    order = [index for _, index in sorted(known)]
    return [
        Wrong((*_TOP, order[one.index], *one.path), one.what)
        for one in clashes([services[index] for index in order])
    ]


def _on_taken_ports(services: Sequence[Service | None], taken: Mapping[int, str]) -> list[Wrong]:
    return [
        Wrong((*_TOP, index, *path), what)
        for index, service in enumerate(services)
        if service is not None
        for path, what in port_problems(service, taken)
    ]


def _bad(plain: list[object], where: str, one: Wrong) -> BadService:
    index = one.path[1]
    assert isinstance(index, int)
    item = plain[index]
    name = item.get("name") if isinstance(item, dict) else None
    shown = name if isinstance(name, str) and name else f"services[{index}]"
    return BadService(shown, where, one.says())


def _finding(tree: Tree, one: Wrong) -> Finding:
    place, written = tree.locate(one.path[1:])
    return Finding(place, one.says(written), "services")
