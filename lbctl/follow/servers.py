"""
Single servers as operators name them: ``hello/v1/10.0.0.1:80`` is one of the service ``hello/v1``.

What is left of the last ``/`` is a service or a backend, what is right of it a server's id, its
address, or its name in HAProxy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from lbctl.errors import UsageError
from lbctl.follow.fleet import Fleet, Member
from lbctl.follow.follower import Follower
from lbctl.follow.overrides import WEIGHT_MAX, Key
from lbctl.haproxy.seen import SeenServer
from lbctl.model.address import bracketed
from lbctl.model.names import backend_name, server_name
from lbctl.model.service import Service
from lbctl.model.target import Admin

#: ``srv_op_state``.
_STATES = {0: "down", 1: "starting", 2: "up", 3: "stopping"}
_NEAR_MOST = 3


def find(fleet: Fleet, text: str) -> Key:
    """
    The one server that *text* names.

    Raises:
        UsageError: none, and which are near.
    """
    left, slash, right = text.rpartition("/")
    keys = fleet.known()
    if not keys:
        silent = [one.program for one in fleet.members.values() if one.look is None]
        message = f"{text}: not known yet: {', '.join(silent)} has not answered; try again"
        raise UsageError(message)
    if slash:
        for backend in dict.fromkeys((backend_name(left), left)):
            mine = {server for one, server in keys if one == backend}
            if name := _server(fleet, backend, mine, right):
                return backend, name
    names = ["/".join(key) for key in keys]
    near = difflib.get_close_matches(text, names, _NEAR_MOST, 0.5) or sorted(names)[:_NEAR_MOST]
    message = f"{text}: no such server; there is {', '.join(near)}: BACKEND/SERVER is wanted"
    raise UsageError(message)


def _server(fleet: Fleet, backend: str, names: set[str], text: str) -> str:
    for name in dict.fromkeys((server_name(text), text)):
        if name in names:
            return name
    for member in fleet.answering:
        for name, seen in _servers(member, backend).items():
            if text == address_of(seen):
                return name
    return ""


async def set_server(
    follower: Follower,
    text: str,
    *,
    by: str,
    at: float,
    admin: Admin | None,
    weight: int | None,
    is_as_configured: bool = False,
) -> dict[str, Any]:
    """
    Have it everywhere, and see whether it is.

    Args:
        is_as_configured: the weight of the configuration is to count again.

    Raises:
        UsageError: there is no such server, or no such weight.
    """
    if weight is not None and not 0 <= weight <= WEIGHT_MAX:
        message = f"weight {weight}: a weight is 0 to {WEIGHT_MAX}"
        raise UsageError(message)
    fleet = follower.applier.fleet
    backend, name = find(fleet, text)
    key = (backend, name)
    is_own = follower.applier.keeps_ready(key)
    if is_as_configured:
        follower.overrides.forget_weight(key)
    follower.overrides.set(key, by=by, at=at, admin=admin, weight=weight, is_own=is_own)
    fleet.touch([backend])
    applied = await follower.outcome()
    processes = [
        {
            "number": one.number,
            "program": one.program,
            **_record(_servers(one, backend).get(name)),
            "silence": one.silence,
        }
        for one in fleet.members.values()
    ]
    return {
        "backend": backend,
        "server": name,
        "processes": processes,
        "failure": applied.failure,
        "is_kept": follower.overrides.error is None,
        "error": follower.overrides.error,
    }


def services(follower: Follower) -> list[dict[str, Any]]:
    """Every service, wanted or in force, as the processes answered last."""
    desired, fleet = follower.desired, follower.applier.fleet
    wanted = desired.wanted()
    held = {one.name: one for one in desired.guard.held}
    found = []
    for name in sorted({*wanted, *desired.applied}):
        service = wanted.get(name) or desired.applied[name]
        refused = desired.left_out.get(name)
        state, why = "applied", ""
        if refused is not None:
            state = "as before" if refused.serves_as_before else "left out"
            why = refused.what
        elif name in held:
            state, why = "held", held[name].describe()
        elif desired.applied.get(name) != service:
            state = "waiting"
        backend = backend_name(name)
        found.append(
            {
                "name": name,
                "backend": backend,
                "sources": list(desired.sources_of(name)),
                "mode": service.mode,
                "routes": [_route(one) for one in service.all_routes],
                "state": state,
                "why": why,
                "servers": _rows(fleet, backend, service, _said_by(follower, service)),
            }
        )
    return found


def _said_by(follower: Follower, service: Service) -> dict[str, str]:
    """Who says otherwise than ``ready``, and than the configured weight, by HAProxy's names."""
    found: dict[str, str] = {}
    for server in service.servers:
        name = server_name(server.key)
        override = follower.overrides.get((backend_name(service.name), name))
        if override is not None:
            found[name] = override.by
        elif server.state != "ready":
            found[name] = follower.desired.source_saying(service.name, server.key)
    return found


def _rows(
    fleet: Fleet, backend: str, service: Service, said_by: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One for each server that is wanted or that a process has."""
    keys = {server_name(one.key): one.key for one in service.servers}
    by_name: dict[str, list[SeenServer]] = {name: [] for name in keys}
    for member in fleet.answering:
        for name, seen in _servers(member, backend).items():
            by_name.setdefault(name, []).append(seen)
    return [
        {
            "server": name,
            "id": keys.get(name, ""),
            "address": address_of(seen[0]) if seen else "",
            "admin": _alike(one.admin for one in seen),
            "weight": _alike(str(one.weight) for one in seen),
            "state": _alike(_STATES.get(one.state, "?") for one in seen),
            "is_wanted": name in keys or bool(service.dns),
            "by": said_by.get(name, ""),
        }
        for name, seen in by_name.items()
    ]


def _alike(words: Iterable[str]) -> str:
    """What all processes say; ``up, down`` where they differ; ``-``: none has it."""
    return ", ".join(dict.fromkeys(words)) or "-"


def _route(route: Any) -> str:
    port = f":{route.port}" if route.port else ""
    words = [f"{route.host}{port}{route.path}"]
    words += [f"{name}: {value}" for name, value in route.header.items()]
    return ", ".join(word for word in words if word)


def _servers(member: Member, backend: str) -> Mapping[str, SeenServer]:
    return member.look.seen.get(backend, {}) if member.look else {}


def _record(seen: SeenServer | None) -> dict[str, Any]:
    if seen is None:
        return {"admin": None, "weight": None, "state": None}
    return {"admin": seen.admin, "weight": seen.weight, "state": _STATES.get(seen.state, "?")}


def address_of(seen: SeenServer) -> str:
    """``10.0.0.1:80``, ``[fd00::1]:80``."""
    return f"{bracketed(seen.address) or seen.fqdn}:{seen.port}"
