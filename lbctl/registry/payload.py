"""
The body of ``POST /v1/registry``: bytes into a :class:`Payload`, or everything that is wrong with
it. Pure; it knows no store.

Strict where a mistake would cost: without its list ``running`` every server would go, so that is
named and nothing is changed. Lenient where programs differ: ``null`` and an empty text say nothing
where nothing may be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from lbctl.model.service import PATH_SIGNS
from lbctl.registry.reading import PayloadError, Reader, parsed
from lbctl.registry.words import (
    CONTAINERS_MAX,
    PORT,
    ip_problem,
    mode_problem,
    path_predicate_problem,
    requests,
    split_ip,
    table_problem,
)
from lbctl.settings.shape import Path
from lbctl.settings.web_rules import path_problem, route_host_problem, token_problem

PAYLOAD_KEYS: Final = ("table", "running", "candidates", "host")
RUNNING_KEYS: Final = ("serviceName", "id", "ip")
CANDIDATE_KEYS: Final = ("serviceName", "configMode", "predicate", "cookie", "port", "containers")
CONTAINER_KEYS: Final = ("id", "ip")

ConfigMode = Literal["host", "path"]


@dataclass(frozen=True, slots=True)
class Running:
    """
    A container that runs.

    Attributes:
        host: its IP address, in brackets where it has colons.
        port: None: not said.
    """

    service: str
    id: str
    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A service with containers that are new.

    Attributes:
        predicate: ``host``: the name; ``path``: with its slash in front.
        containers: their addresses by id, ports included.
    """

    service: str
    mode: ConfigMode
    predicate: str
    cookie: str | None
    containers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Payload:
    """
    Attributes:
        host: whose containers alone it speaks of; empty: all hosts'.
    """

    table: str
    running: tuple[Running, ...]
    candidates: tuple[Candidate, ...]
    host: str = ""


def read_payload(raw: bytes) -> Payload:
    """
    Raises:
        PayloadError: with every problem and its place: ``candidates[1].containers[0].ip``.
    """
    plain = parsed(raw)
    reader = Reader()
    payload = _payload(reader, plain)
    if reader.wrong:
        raise PayloadError(reader.wrong)
    return payload


def _payload(reader: Reader, plain: object) -> Payload:
    top = reader.mapping(plain, (), PAYLOAD_KEYS)
    if top is None:
        return Payload("", (), ())
    table = reader.text(top, "table", (), table_problem)
    host = reader.text(top, "host", (), is_needed=False)
    running = [
        (path, run)
        for path, item in reader.items(top, "running", ())
        if (run := _running(reader, item, path))
    ]
    candidates = [
        (path, candidate)
        for path, item in reader.items(top, "candidates", ())
        if (candidate := _candidate(reader, item, path))
    ]
    _say_twice(reader, running)
    _say_same(reader, candidates)
    count = len(running) + sum(len(one.containers) for _, one in candidates)
    if count > CONTAINERS_MAX:
        reader.add((), f"{count} containers; at most {CONTAINERS_MAX} are taken")
    runs = tuple(one for _, one in running)
    return Payload(table, runs, tuple(one for _, one in candidates), host)


def _running(reader: Reader, plain: object, path: Path) -> Running | None:
    found = reader.mapping(plain, path, RUNNING_KEYS)
    if found is None:
        return None
    service = reader.text(found, "serviceName", path)
    identity = reader.text(found, "id", path)
    return Running(service, identity, *_ip(reader, found, path))


def _ip(reader: Reader, found: dict[str, Any], path: Path) -> tuple[str, int | None]:
    return split_ip(reader.text(found, "ip", path, ip_problem)) or ("", None)


def _candidate(reader: Reader, plain: object, path: Path) -> Candidate | None:
    found = reader.mapping(plain, path, CANDIDATE_KEYS)
    if found is None:
        return None
    service = reader.text(found, "serviceName", path)
    before = len(reader.wrong)
    given = reader.text(found, "configMode", path, mode_problem, is_needed=False)
    mode: ConfigMode = "path" if given.lower() == "path" else "host"
    is_mode_known = len(reader.wrong) == before
    predicate = _predicate(reader, found, path, mode, service) if is_mode_known else ""
    cookie = reader.text(found, "cookie", path, token_problem, is_needed=False)
    port = reader.port(found, "port", path, PORT)
    containers: dict[str, str] = {}
    for at, item in reader.items(found, "containers", path):
        inner = reader.mapping(item, at, CONTAINER_KEYS)
        if inner is None:
            continue
        identity = reader.text(inner, "id", at)
        host, own_port = _ip(reader, inner, at)
        if identity and identity in containers:
            reader.add((*at, "id"), "is in this list twice", identity)
        containers[identity] = f"{host}:{own_port or port}"
    return Candidate(service, mode, predicate, cookie or None, containers)


def _predicate(
    reader: Reader, found: dict[str, Any], path: Path, mode: ConfigMode, service: str
) -> str:
    """Empty: there is none that could be compared."""
    is_given = found.get("predicate") not in (None, "")
    if mode == "host":
        if is_given:
            return reader.text(found, "predicate", path, route_host_problem)
        reader.missing(path, "predicate", ": with configMode host, the default, it is the name")
        return ""
    if is_given:
        given = reader.text(found, "predicate", path, path_predicate_problem)
        return f"/{given.lstrip('/')}" if given else ""
    named = f"/{quote(service.lstrip('/'), safe=PATH_SIGNS)}"
    if service and (what := path_problem(named)):
        reader.missing(path, "predicate", f", and {named} {what}")
    return named if service else ""


def _say_twice(reader: Reader, running: Sequence[tuple[Path, Running]]) -> None:
    first: dict[tuple[str, str], Path] = {}
    for path, one in running:
        key = (one.service, one.id)
        if all(key) and first.setdefault(key, path) != path:
            reader.add(
                (*path, "id"), f"is that of running[{first[key][1]}], of this service too", one.id
            )


def _say_same(reader: Reader, candidates: Sequence[tuple[Path, Candidate]]) -> None:
    """Candidates that cannot be beside each other."""
    names: dict[str, Path] = {}
    asked: dict[tuple[str, str], Path] = {}
    for path, one in candidates:
        if one.service and (first := names.setdefault(one.service, path)) != path:
            what = f"is that of candidates[{first[1]}] too; one candidate for each service"
            reader.add((*path, "serviceName"), what, one.service)
        key = (one.mode, requests(one.mode, one.predicate))
        if one.predicate and (first := asked.setdefault(key, path)) != path:
            what = f"candidates[{first[1]}] asks for the same requests: one must differ"
            reader.add((*path, "predicate"), what, one.predicate)
