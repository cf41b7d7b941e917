"""
Tells a registry elsewhere which containers run here: the payload of ``POST /v1/registry``.

The whole state each time: what is told last counts, and nothing has to be taken back. A registry
knows less of a service than a label can say: what it would route otherwise it is not told at all,
and what it is not told is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lbctl.discovery.docker_services import Judged, Placed
from lbctl.discovery.http import Client
from lbctl.model.service import Route, Service
from lbctl.settings.discovery import ReportTo

_PATH: Final = "/v1/registry"
#: What a registry is told of a service; ``mode`` can only be http there.
_TOLD: Final = ("cookie", "mode", "route", "routes")

Payload = Mapping[str, Any]


class Report:
    """
    Args:
        settings: with a *url*.
        token: content of its token file.
        host: what this host is called.

    Raises:
        ConfigError: the URL is none.
    """

    def __init__(self, settings: ReportTo, token: bytes | None, host: str) -> None:
        said = None if token is None else token.decode(errors="replace").strip()
        self._client = Client("registry", settings.url or "", token=said)
        self._table = settings.table
        self._host = host

    def payload(
        self, judged: Judged, placed: Mapping[str, Sequence[Placed]]
    ) -> tuple[Payload, tuple[str, ...]]:
        """What is told of them, and sentences about what is not."""
        running: list[dict[str, str]] = []
        candidates: list[dict[str, Any]] = []
        problems: list[str] = []
        for service in judged.services:
            if why := _unfit(service):
                problems.append(f"service {service.name} is not reported: {why}")
                continue
            problems += _untold(service, judged.words[service.name])
            containers = list(_containers(placed[service.name]))
            running += ({"serviceName": service.name, **one} for one in containers)
            candidates.append(_candidate(service, containers))
        payload = {
            "table": self._table,
            "host": self._host,
            "running": running,
            "candidates": [one for one in candidates if one["containers"]],
        }
        return payload, tuple(problems)

    async def send(self, payload: Payload | None) -> None:
        """
        Raises:
            ProviderError: it is out of touch, or says no.
        """
        await self._client.post(_PATH, payload)

    async def close(self) -> None:
        await self._client.close()


def _unfit(service: Service) -> str:
    """Why a registry would not route as the service asks; empty: it does."""
    if service.mode != "http":
        return f"mode {service.mode}, and a registry has http alone"
    if len(service.all_routes) != 1:
        return f"it has {len(service.all_routes)} routes, and a registry has one for each"
    route = service.all_routes[0]
    if route.header or route.port is not None or bool(route.host) == bool(route.path):
        return "its route asks for more than a host or a path"
    return ""


def _untold(service: Service, words: Mapping[str, Any]) -> Iterator[str]:
    if unknown := sorted(set(words) - set(_TOLD)):
        yield f"service {service.name}: a registry is not told of {', '.join(unknown)}"


def _candidate(service: Service, containers: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    route: Route = service.all_routes[0]
    mode = {"configMode": "host", "predicate": route.host}
    if not route.host:
        mode = {"configMode": "path", "predicate": route.path}
    cookie = {"cookie": service.sticky.name} if service.sticky is not None else {}
    return {"serviceName": service.name, **mode, **cookie, "containers": list(containers)}


def _containers(placed: Sequence[Placed]) -> Iterator[dict[str, str]]:
    """Those that serve; a registry knows no drain: who leaves is told as gone."""
    seen: set[str] = set()
    for one in placed:
        container = one.offer.container
        # Two ports of one container are two servers.
        key = container.short_id
        key = f"{key}-{one.offer.port}" if key in seen else key
        if one.state == "ready":
            seen.add(key)
            yield {"id": key, "ip": one.address}
