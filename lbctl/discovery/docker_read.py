"""
What Docker's API says of a container, read into one value. Pure.

Owns the differences between the list (no environment, no stop signal, health in words) and the
inspection, and between Docker and Podman: Podman's list knows no health, no network mode, and
nothing of a container that is being stopped. Source: Docker Engine API 1.41, ContainerList and
ContainerInspect; Podman 4.3 as it answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from signal import Signals
from typing import Any, Final, TypeGuard

#: What Docker waits between the stop signal and SIGKILL, seconds, where nobody says otherwise.
STOP_TIMEOUT_S: Final = 10.0
#: ``80/tcp``
_PORT: Final = re.compile(r"(\d{1,5})(?:-\d+)?(?:/(\w+))?")
_HEALTH: Final = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_SHORT: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """
    One container.

    Attributes:
        id: 64 hex digits.
        name: as the operator knows it; without one the short id.
        created: seconds since the epoch.
        state: ``running``, ``paused``, ``stopping`` (Podman alone), ``exited``, ...
        health: ``starting``, ``healthy``, ``unhealthy``; empty: it has no health check.
        networks: its addresses by network, IPv4 first; none in a network that gives none.
        ports: TCP ports that it exposes or publishes, in order.
        published: by its own port: the host's address (empty: all) and port.
        network_mode: ``bridge``, ``host``, ``container:ID``, ...; empty: not known.
        stop_signal: what asks it to stop.
        stop_timeout_s: then it is killed.
        image: what it was made from, as the operator called it.
        is_whole: it was inspected: environment and stop signal are known.
    """

    id: str
    name: str
    created: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    state: str = "running"
    health: str = ""
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    published: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    network_mode: str = ""
    stop_signal: int = Signals.SIGTERM
    stop_timeout_s: float = STOP_TIMEOUT_S
    image: str = ""
    is_whole: bool = False

    @property
    def short_id(self) -> str:
        return self.id[:_SHORT]

    @property
    def is_running(self) -> bool:
        """It has processes: it may serve, or will again, or does for the last time."""
        return self.state in ("running", "paused", "stopping")


def read_listed(plain: object) -> Container | None:
    """One item of ``GET /containers/json``; None: it makes no sense."""
    if not isinstance(plain, dict) or not isinstance(plain.get("Id"), str):
        return None
    ports = [one for one in _list(plain.get("Ports")) if _is_tcp(one)]
    found = _HEALTH.search(str(plain.get("Status")))
    private = {number for one in ports if (number := _number(one.get("PrivatePort")))}
    return Container(
        id=plain["Id"],
        name=_name(plain.get("Names"), plain["Id"]),
        created=float(_number(plain.get("Created"))),
        labels=_texts(plain.get("Labels")),
        state=str(plain.get("State")),
        health=found[1] if found else "",
        networks=_networks(plain.get("NetworkSettings")),
        ports=tuple(sorted(private)),
        published=dict(_listed_bindings(ports)),
        network_mode=str(_mapping(plain.get("HostConfig")).get("NetworkMode") or ""),
    )


def read_inspected(plain: object) -> Container | None:
    """The answer to ``GET /containers/ID/json``; None: it makes no sense."""
    if not isinstance(plain, dict) or not isinstance(plain.get("Id"), str):
        return None
    config, state = _mapping(plain.get("Config")), _mapping(plain.get("State"))
    bound = _mapping(_mapping(plain.get("NetworkSettings")).get("Ports"))
    names = {*_mapping(config.get("ExposedPorts")), *bound}
    health = str(_mapping(state.get("Health")).get("Status") or "none")
    timeout = config.get("StopTimeout")
    return Container(
        id=plain["Id"],
        name=_name([plain.get("Name")], plain["Id"]),
        created=_seconds(plain.get("Created")),
        labels=_texts(config.get("Labels")),
        environ=dict(_variables(config.get("Env"))),
        state=str(state.get("Status")),
        health="" if health == "none" else health,
        networks=_networks(plain.get("NetworkSettings")),
        ports=tuple(sorted({port for name in names if (port := _tcp_port(name))})),
        published=dict(_inspected_bindings(bound)),
        network_mode=str(_mapping(plain.get("HostConfig")).get("NetworkMode") or ""),
        stop_signal=signal_number(config.get("StopSignal")) or Signals.SIGTERM,
        stop_timeout_s=float(timeout) if _is_number(timeout) else STOP_TIMEOUT_S,
        image=str(config.get("Image") or ""),
        is_whole=True,
    )


def signal_number(said: object) -> int:
    """``SIGTERM``, ``TERM``, ``15``, ``RTMIN+3`` as a number; 0: none that is known."""
    name = str(said or "").upper().removeprefix("SIG")
    if name.isdecimal():
        return int(name)
    base, _, more = name.partition("+")
    try:
        return Signals[f"SIG{base}"] + int(more or 0)
    except (KeyError, ValueError):
        return 0


def _name(said: object, identity: str) -> str:
    """The name without the slash; ``/other/alias`` is how a link calls it."""
    names = [str(one).removeprefix("/") for one in _list(said) if one]
    return next((one for one in names if "/" not in one), identity[:_SHORT])


def _networks(settings: object) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, one in _mapping(_mapping(settings).get("Networks")).items():
        said = (_mapping(one).get(key) for key in ("IPAddress", "GlobalIPv6Address"))
        found[str(name)] = tuple(str(address) for address in said if address)
    return found


def _listed_bindings(ports: list[dict[str, Any]]) -> Iterator[tuple[int, tuple[str, int]]]:
    # Docker tells of [::] as well: what all IPv4 addresses have is enough, and stands first.
    for one in sorted(ports, key=lambda port: str(port.get("IP") or ""), reverse=True):
        own, public = _number(one.get("PrivatePort")), _number(one.get("PublicPort"))
        if own and public:
            yield own, (_specific(one.get("IP")), public)


def _inspected_bindings(bound: Mapping[str, Any]) -> Iterator[tuple[int, tuple[str, int]]]:
    for name, bindings in bound.items():
        said = [_mapping(one) for one in _list(bindings)]
        for one in sorted(said, key=lambda port: str(port.get("HostIp") or ""), reverse=True):
            own, public = _tcp_port(name), _number(one.get("HostPort"))
            if own and public:
                yield own, (_specific(one.get("HostIp")), public)


def _specific(address: object) -> str:
    return "" if address in (None, "", "0.0.0.0", "::") else str(address)


def _tcp_port(name: object) -> int:
    found = _PORT.fullmatch(str(name))
    return int(found[1]) if found and (found[2] or "tcp") == "tcp" else 0


def _is_tcp(port: object) -> bool:
    return isinstance(port, dict) and port.get("Type", "tcp") == "tcp"


def _variables(environ: object) -> Iterator[tuple[str, str]]:
    for one in _list(environ):
        name, sign, value = str(one).partition("=")
        if sign:
            yield name, value


def _texts(plain: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in _mapping(plain).items()}


def _mapping(plain: object) -> dict[str, Any]:
    return plain if isinstance(plain, dict) else {}


def _list(plain: object) -> list[Any]:
    return plain if isinstance(plain, list) else []


def _seconds(stamp: object) -> float:
    """Of ``2026-11-22T14:22:03.907499504Z``; 0: it is none."""
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return 0.0


def _is_number(plain: object) -> TypeGuard[int | float]:
    return isinstance(plain, int | float) and not isinstance(plain, bool) and plain >= 0


def _number(plain: object) -> int:
    """0 where there is none."""
    if isinstance(plain, str) and plain.isdecimal():
        return int(plain)
    return int(plain) if _is_number(plain) else 0
