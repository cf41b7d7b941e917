"""
What the registry knows of one table: services with the containers that serve them.

Pure: a payload over what was known makes what is known. Stored as JSON, and read back as if
somebody else had written it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Final

from lbctl.discovery.defaults import discovered
from lbctl.discovery.labels import Words
from lbctl.registry.payload import Candidate, ConfigMode, Payload, Running
from lbctl.settings.discovery import SourceCheck

#: Of the stored form; another one is not read.
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Container:
    """
    Attributes:
        address: ``10.0.0.1:80``, ``[fd00::1]:80``.
        host: who told of it; empty: nobody said.
    """

    id: str
    address: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Registered:
    """
    One service.

    Attributes:
        predicate: a host, or a path with its slash.
        cookie: the application's own; None: no sticky sessions.
        containers: by id, at least one.
        since: so long it has asked for these requests, seconds since the epoch: of two that ask for
            the same the older one has them.
    """

    name: str
    mode: ConfigMode
    predicate: str
    cookie: str | None
    containers: Mapping[str, Container]
    since: float = 0.0


#: By name.
Table = Mapping[str, Registered]
NO_TABLE: Final[Table] = {}


@dataclass(frozen=True, slots=True)
class Applied:
    """
    Attributes:
        ignored: containers that run, and are neither known nor candidates: no service says how they
            are reached.
    """

    table: Table
    ignored: tuple[Running, ...]


def applied(table: Table, payload: Payload, at: float = 0.0) -> Applied:
    """
    *payload* over what was known; *at*: now, seconds since the epoch.

    Of the containers that were known those stay that run, at the address where they run now; those
    of another host stay in any case, where the payload speaks of one host alone. Containers of
    candidates come, and a candidate's mode, predicate and cookie count from now on. A service
    without containers is forgotten.
    """
    running = {(one.service, one.id): one for one in payload.running}
    services = {name: _still(service, running, payload.host) for name, service in table.items()}
    for candidate in payload.candidates:
        services[candidate.service] = _with(
            services.get(candidate.service), candidate, running, payload.host, at
        )
    known = {name: service for name, service in services.items() if service.containers}
    ignored = tuple(
        one
        for one in payload.running
        if one.service not in known or one.id not in known[one.service].containers
    )
    return Applied(known, ignored)


def _still(
    service: Registered, running: Mapping[tuple[str, str], Running], host: str
) -> Registered:
    containers = {}
    for one in service.containers.values():
        runs = running.get((service.name, one.id))
        if runs is not None:
            containers[one.id] = replace(one, address=_address(one.address, runs))
        elif host and one.host != host:
            containers[one.id] = one
    # Who compares finds the same object where nothing has changed.
    is_same = containers == service.containers
    return service if is_same else replace(service, containers=containers)


def _with(
    service: Registered | None,
    candidate: Candidate,
    running: Mapping[tuple[str, str], Running],
    host: str,
    at: float,
) -> Registered:
    containers = {} if service is None else dict(service.containers)
    for identity, address in candidate.containers.items():
        runs = running.get((candidate.service, identity))
        place = address if runs is None else _address(address, runs)
        containers[identity] = Container(identity, place, host)
    mode, predicate = candidate.mode, candidate.predicate
    is_same = service is not None and (service.mode, service.predicate) == (mode, predicate)
    since = service.since if service is not None and is_same else at
    return Registered(candidate.service, mode, predicate, candidate.cookie, containers, since)


def _address(known: str, runs: Running) -> str:
    """Where it runs is newer; a port that is not said is the known one."""
    port = known.rpartition(":")[2] if runs.port is None else runs.port
    return f"{runs.host}:{port}"


def plain_service(service: Registered, check: SourceCheck) -> dict[str, Any]:
    """An item of lb.yaml's ``services``, still to be judged; its path is not taken off."""
    said: dict[str, Any] = {"route": {service.mode: service.predicate}}
    if service.cookie:
        said["cookie"] = service.cookie
    servers = [{"id": one.id, "address": one.address} for one in service.containers.values()]
    return discovered(service.name, "http", check, Words(said, {}), servers)


def count(table: Table) -> int:
    """How many containers it has."""
    return sum(len(service.containers) for service in table.values())


def to_bytes(table: Table) -> bytes:
    """As it is stored; the same for equal tables."""
    services = [
        {
            "name": name,
            "mode": service.mode,
            "predicate": service.predicate,
            "cookie": service.cookie,
            "since": service.since,
            "containers": [
                [one.id, one.address, one.host] for _, one in sorted(service.containers.items())
            ],
        }
        for name, service in sorted(table.items())
    ]
    document = {"format": FORMAT, "services": services}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def from_bytes(content: bytes) -> Table:
    """
    Raises:
        ValueError: it is not of that form.
    """
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            message = f"its format is {document['format']!r}, and {FORMAT} is known"
            raise ValueError(message)
        return {one.name: one for one in (_service(item) for item in document["services"])}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"it is not of the form that is stored: {error!r}"
        raise ValueError(message) from error


def _service(item: Mapping[str, Any]) -> Registered:
    mode: ConfigMode = "path" if item["mode"] == "path" else "host"
    cookie = item["cookie"]
    containers = {}
    for identity, address, host in item["containers"]:
        containers[_text(identity)] = Container(identity, _text(address), _text(host))
    return Registered(
        _text(item["name"]),
        mode,
        _text(item["predicate"]),
        None if cookie is None else _text(cookie),
        containers,
        _since(item),
    )


def _since(item: Mapping[str, Any]) -> float:
    """Before it was kept nobody knew."""
    since = item.get("since", 0.0)
    if not isinstance(since, int | float) or not isfinite(since):
        raise TypeError(since)
    return float(since)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
