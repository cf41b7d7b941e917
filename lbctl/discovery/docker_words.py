"""
What a container says it serves: ``lbctl.*`` labels, or SERVICE_NAME and SERVICE_TAGS. Pure.

A container that names no service is nobody's business here. One whose name comes from its
environment is ours only with a tag that says the mode, as in Consul: databases have SERVICE_NAME
too, and are not to be put on the web by it. What is said for one port counts more than what is said
for all, and labels count more than the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lbctl.discovery.docker_read import Container
from lbctl.discovery.labels import Words, of_mapping, of_tags, read_words
from lbctl.settings.layer import shown

#: Words that are not lb.yaml's.
_OWN: Final = ("name", "service", "port", "enable")
#: ``8080.name``
_FOR_PORT: Final = re.compile(r"(\d{1,5})[.-](.+)", re.DOTALL)
_VARIABLE: Final = re.compile(r"SERVICE_(?:(\d{1,5})_)?(NAME|TAGS|CHECK_HTTP|IGNORE)")
_NO: Final = ("false", "no", "off", "0")
_PORT_MAX: Final = 65535
_MODES: Final = ("http", "tcp")


@dataclass(frozen=True, slots=True)
class Offer:
    """
    A service that a container says it serves.

    Attributes:
        service: its name.
        mode: ``http`` or ``tcp``.
        port: of the container.
        words: about service and server.
    """

    container: Container
    service: str
    mode: str
    port: int
    words: Words


@dataclass(frozen=True, slots=True)
class Offers:
    """
    Attributes:
        problems: what was left out, and why: sentences that begin with the container.
    """

    offers: tuple[Offer, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Said:
    """What was said for one port, or for all."""

    words: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)

    def over(self, general: _Said) -> _Said:
        return _Said(
            {**general.words, **self.words},
            self.tags or general.tags,
            {**general.environ, **self.environ},
        )


def read_offers(container: Container, tags: Mapping[str, str]) -> Offers:
    """
    Args:
        tags: a tag, and the mode that it says.
    """
    general, by_port = _gathered(container)
    if "IGNORE" in general.environ or _is_off(general):
        return Offers()
    said: list[tuple[int | None, _Said]] = [
        (port, one.over(general)) for port, one in sorted(by_port.items())
    ]
    offers: list[Offer] = []
    problems: list[str] = []
    for port, one in said or [(None, general)]:
        found = (
            None if "IGNORE" in one.environ or _is_off(one) else _offer(container, port, one, tags)
        )
        if isinstance(found, str):
            problems.append(f"container {container.name}: {found}")
        elif found is not None:
            offers.append(found)
            problems += [f"container {container.name}: {what}" for what in found.words.problems]
    return Offers(tuple(offers), tuple(dict.fromkeys(problems)))


def _gathered(container: Container) -> tuple[_Said, dict[int, _Said]]:
    general, by_port = _Said(), dict[int, _Said]()
    for name, value in of_mapping(container.labels):
        found = _FOR_PORT.fullmatch(name)
        place = by_port.setdefault(int(found[1]), _Said()) if found else general
        place.words[found[2] if found else name] = value
    for port, name, value in _variables(container.environ):
        place = general if port is None else by_port.setdefault(port, _Said())
        if name == "TAGS":
            place.tags = tuple(one for part in value.split(",") if (one := part.strip()))
        elif value:
            place.environ[name] = value
    return general, by_port


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[int | None, str, str]]:
    for variable, value in environ.items():
        if found := _VARIABLE.fullmatch(variable):
            yield int(found[1]) if found[1] else None, found[2], value


def _offer(
    container: Container, port: int | None, said: _Said, tags: Mapping[str, str]
) -> Offer | str | None:
    """What is offered; a sentence: why not; None: it is not meant."""
    words = read_words(_pairs(said), _OWN)
    labelled = words.own.get("name") or words.own.get("service")
    name = labelled or said.environ.get("NAME")
    if not name:
        where = "" if port is None else f" for port {port}"
        return (
            f"its lbctl.* labels{where} name no service: add lbctl.name=NAME"
            if said.words
            else None
        )
    mode = next((tags[tag] for tag in said.tags if tag in tags), None)
    if mode is None and labelled is None and not said.words:
        return None
    number = _port(container, port, words.own.get("port"))
    if isinstance(number, str):
        return f"is left out of service {name}: {number}"
    spoken = str(words.service.get("mode") or mode or "http")
    if spoken not in _MODES:
        return f"is left out of service {name}: lbctl.mode = {spoken!r} is neither http nor tcp"
    return Offer(container, name, spoken, number, words)


def _pairs(said: _Said) -> Iterator[tuple[str, str]]:
    """Of two with one name the later counts."""
    if path := said.environ.get("CHECK_HTTP"):
        yield "check.path", path
    yield from of_tags(said.tags)
    yield from said.words.items()


def _port(container: Container, given: int | None, said: str | None) -> int | str:
    if said is not None and not _is_port(said):
        return f"lbctl.port = {shown(said)} is no port"
    if said is not None or given is not None:
        return int(said or given or 0)
    if len(container.ports) == 1:
        return container.ports[0]
    if not container.ports:
        return "it exposes no TCP port, and none is said: lbctl.port=8080"
    ports = ", ".join(map(str, container.ports))
    return f"it exposes ports {ports}, and none is said: lbctl.port={container.ports[0]}"


def _is_port(said: str) -> bool:
    return said.isdecimal() and len(said) <= 5 and 1 <= int(said) <= _PORT_MAX


def _is_off(said: _Said) -> bool:
    return said.words.get("enable", "").lower() in _NO
