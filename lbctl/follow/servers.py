"""
Single servers as operators name them: ``hello/v1/10.0.0.1:80`` is one of the service ``hello/v1``.

What is left of the last ``/`` is a service or a backend, what is right of it a server's id, its
address, or its name in HAProxy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lbctl.errors import UsageError
from lbctl.follow.fleet import Fleet, Member
from lbctl.follow.follower import Follower
from lbctl.follow.outlines import outlines
from lbctl.follow.overrides import WEIGHT_MAX, Key
from lbctl.haproxy.seen import Seen, SeenServer
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


def named(follower: Follower, text: str) -> str | None:
    """The service that *text*, its name or its backend's, means; None: there is none."""
    names = {*follower.desired.wanted(), *follower.desired.applied}
    if text in names:
        return text
    return next((name for name in names if backend_name(name) == text), None)


def services(
    follower: Follower, only: str | None = None, looks: Sequence[Seen] = ()
) -> list[dict[str, Any]]:
    """
    Every service, wanted or in force, as the processes answered last.

    Args:
        only: this one alone.
        looks: what the processes say now of its backend.
    """
    fleet = follower.applier.fleet
    names = None if only is None else (only,)
    found = []
    for one, service in outlines(follower.desired, follower.overrides, names):
        seen = (
            [look.get(one.backend, {}) for look in looks]
            if only is not None
            else [_servers(member, one.backend) for member in fleet.answering]
        )
        found.append(
            {
                "name": one.name,
                "backend": one.backend,
                "sources": list(one.sources),
                "mode": service.mode,
                "routes": list(one.routes),
                "state": one.state,
                "why": one.why,
                "servers": _rows(
                    seen,
                    {server_name(one.key): one.key for one in service.servers},
                    _said_by(follower, service),
                    is_open=bool(service.dns),
                ),
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


def own_servers(follower: Follower, backend: str, looks: Iterable[Seen]) -> list[dict[str, Any]]:
    """The servers of a backend of the operator's own, as those of a service."""
    said_by = {key[1]: one.by for key, one in follower.overrides.items() if key[0] == backend}
    return _rows([look.get(backend, {}) for look in looks], {}, said_by, is_open=True)


def _rows(
    looks: Iterable[Mapping[str, SeenServer]],
    keys: Mapping[str, str],
    said_by: Mapping[str, str],
    *,
    is_open: bool,
) -> list[dict[str, Any]]:
    """
    One for each server that is wanted or that a process has.

    Args:
        keys: of those that are wanted, by HAProxy's name.
        is_open: whatever a process has is wanted.
    """
    by_name: dict[str, list[SeenServer]] = {name: [] for name in keys}
    for look in looks:
        for name, seen in look.items():
            by_name.setdefault(name, []).append(seen)
    return [
        {
            "server": name,
            "id": keys.get(name, ""),
            "address": address_of(seen[0]) if seen else "",
            "admin": _alike(one.admin for one in seen),
            "weight": _alike(str(one.weight) for one in seen),
            "state": _alike(_STATES.get(one.state, "?") for one in seen),
            "is_wanted": name in keys or is_open,
            "by": said_by.get(name, ""),
        }
        for name, seen in by_name.items()
    ]


def _alike(words: Iterable[str]) -> str:
    """What all processes say; ``up, down`` where they differ; ``-``: none has it."""
    return ", ".join(dict.fromkeys(words)) or "-"


def _servers(member: Member, backend: str) -> Mapping[str, SeenServer]:
    return member.look.seen.get(backend, {}) if member.look else {}


def _record(seen: SeenServer | None) -> dict[str, Any]:
    if seen is None:
        return {"admin": None, "weight": None, "state": None}
    return {"admin": seen.admin, "weight": seen.weight, "state": _STATES.get(seen.state, "?")}


def address_of(seen: SeenServer) -> str:
    """``10.0.0.1:80``, ``[fd00::1]:80``."""
    return f"{bracketed(seen.address) or seen.fqdn}:{seen.port}"
