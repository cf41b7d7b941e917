"""One service, or one backend of the operator's own: its servers, and what each does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from lbctl.agent.agent import Agent
from lbctl.agent.doing import look_at
from lbctl.api.page.listing import OURS, THEIRS, judged
from lbctl.follow import servers
from lbctl.glance.cell import Tone

_TONES: Final[Mapping[str, Tone]] = {
    "up": "good",
    "ready": "plain",
    "starting": "warn",
    "stopping": "warn",
    "drain": "mild",
    "maint": "mild",
}


@dataclass(frozen=True, slots=True)
class ServerRow:
    """
    Attributes:
        state: operational, as all processes say: ``up``, or ``up, down`` where they differ.
        admin: ``ready``, ``drain``, ``maint``.
        by: who said so; empty: nobody.
        key: BACKEND/SERVER.
        traffic: of :mod:`lbctl.agent.doing`; empty: nothing is known.
        check: what the last one said.
    """

    name: str
    address: str
    state: str
    tone: Tone
    admin: str
    admin_tone: Tone
    by: str
    weight: str
    key: str
    is_wanted: bool
    traffic: Mapping[str, Any]
    check: str


@dataclass(frozen=True, slots=True)
class ServiceView:
    """
    Attributes:
        proxy: HAProxy's name of its backend: the key of the live picture.
        live: what that says of it.
        word: how it does.
    """

    name: str
    proxy: str
    mode: str
    routes: tuple[str, ...]
    sources: tuple[str, ...]
    state: str
    why: str
    word: str
    tone: Tone
    live: Mapping[str, Any]
    servers: tuple[ServerRow, ...]


def own_source(agent: Agent) -> str:
    """Where backends come from that are no services."""
    return THEIRS if agent.follower.applier.loaded.is_beside else OURS


async def own_backend(
    agent: Agent, name: str, proxies: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """
    A backend that is no service, in the same shape as one.

    Args:
        proxies: of the live picture: no other name is asked for.

    Raises:
        HTTPNotFound: there is none.
    """
    known = name in proxies and proxies[name].get("servers") is not None
    if not known:
        raise web.HTTPNotFound(reason=f"{name[:100]!r}: no such service, and no such backend")
    looks, doing = await look_at(agent.spec.processes, name)
    rows = servers.own_servers(agent.follower, name, looks)
    return {
        "name": name,
        "backend": name,
        "sources": [own_source(agent)],
        "mode": "",
        "routes": [],
        "state": "applied",
        "why": "",
        "servers": [{**row, "traffic": doing.get(row["server"])} for row in rows],
    }


def service_view(found: Mapping[str, Any], picture: Mapping[str, Any]) -> ServiceView:
    """
    Args:
        found: as ``/v1/services`` has it, with each server's traffic.
        picture: the live one.
    """
    proxy = str(found["backend"])
    live = picture["proxies"].get(proxy) or {}
    by_hand = sum(one["admin"] != "ready" and bool(one["by"]) for one in found["servers"])
    word, tone = judged(live.get("servers_up"), live.get("servers"), by_hand)
    return ServiceView(
        name=str(found["name"]),
        proxy=proxy,
        mode=str(found["mode"]),
        routes=tuple(found["routes"]),
        sources=tuple(found["sources"]),
        state=str(found["state"]),
        why=str(found["why"]),
        word=word,
        tone=tone,
        live=live,
        servers=tuple(_server(proxy, one) for one in found["servers"]),
    )


def _server(proxy: str, one: Mapping[str, Any]) -> ServerRow:
    traffic = one.get("traffic") or {}
    check = " ".join(str(traffic.get(key) or "") for key in ("check", "check_said")).strip()
    state, admin = str(one["state"]), str(one["admin"])
    tone = _TONES.get(state, "bad")
    return ServerRow(
        name=str(one["server"]),
        address=str(one["address"]),
        state=state,
        # Who is put aside is not missed.
        tone="mild" if tone == "bad" and admin in ("maint", "drain") else tone,
        admin=admin,
        admin_tone=_TONES.get(admin, "warn"),
        by=str(one["by"]),
        weight=str(one["weight"]),
        key=f"{proxy}/{one['server']}",
        is_wanted=bool(one["is_wanted"]),
        traffic=traffic,
        check=check,
    )
