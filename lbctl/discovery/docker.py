"""
The provider ``docker``: services out of the containers of one engine, Docker or Podman.

It only reads. What it cannot see is named; what it did see is kept by the hub when the engine does
not answer: its containers may well go on without it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from lbctl.discovery.docker_api import DockerApi
from lbctl.discovery.docker_follow import PACE, Pace, Sight, follow, look
from lbctl.discovery.docker_services import gather
from lbctl.discovery.http import TIMEOUT_S, Client
from lbctl.discovery.report import Report
from lbctl.model.service import Service, Snapshot
from lbctl.settings.discovery import Consul, Docker

_NAME: Final = "docker"
_TOKEN: Final = "discovery.docker.report_to.token_file"
_TAGS: Final = Consul().tags


@dataclass(frozen=True, slots=True)
class Picture:
    """
    What is known, in words of ours.

    Attributes:
        report: what a registry is told; None: there is none.
    """

    services: tuple[Service, ...]
    problems: tuple[str, ...]
    report: Mapping[str, Any] | None


class DockerProvider:
    """
    Containers as services, or told to a registry elsewhere.

    Args:
        settings: with a *url*.
        secrets: contents of files by the key that names them.
        tags: a tag in SERVICE_TAGS, and the mode that it says.
        host: what this host is called in a report; None: its own name.
        pace: see there.
        timeout_s: for one answer, seconds.
        wall: seconds since the epoch.

    Raises:
        ConfigError: a URL is none.
    """

    name: Final = _NAME

    def __init__(
        self,
        settings: Docker,
        secrets: Mapping[str, bytes],
        *,
        tags: Mapping[str, str] = _TAGS,
        host: str | None = None,
        pace: Pace = PACE,
        timeout_s: float = TIMEOUT_S,
        wall: Callable[[], float] = time.time,
    ) -> None:
        client = Client(_NAME, settings.url or "")
        self.target = client.target
        self._api = DockerApi(client, timeout_s)
        self._settings = settings
        self._tags = tags
        self._pace = pace
        self._wall = wall
        self._report = (
            None
            if settings.report_to.url is None
            else Report(settings.report_to, secrets.get(_TOKEN), host or socket.gethostname())
        )
        self._sight: Sight | None = None

    @property
    def facts(self) -> Mapping[str, float]:
        """``containers``: that run; ``leaving``: those of them that were told to stop."""
        sight = self._sight
        if sight is None:
            return {}
        return {"containers": len(sight.containers), "leaving": len(sight.leaving)}

    async def fetch(self) -> Snapshot:
        """All it knows, asked once; nothing is reported."""
        return self._snapshot(self._picture(await look(self._api)))

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        """All it knows, now, whenever it has changed, and at least every minute."""
        shown: Picture | None = None
        async with aclosing(follow(self._api, self._pace)) as sights:
            async for sight in sights:
                self._sight = sight
                picture = self._picture(sight)
                if picture == shown and not sight.is_whole:
                    continue
                shown = picture
                if self._report is not None:
                    await self._report.send(picture.report)
                # Containers that went while we looked are gone; an empty list may be an engine's
                # that has just started.
                yield replace(self._snapshot(picture), is_sure=not sight.is_whole)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._api.close()
        if self._report is not None:
            await self._report.close()

    def _picture(self, sight: Sight) -> Picture:
        gathered = gather(sight.containers, self._settings, self._tags, sight.leaving)
        judged = gathered.judged(self._settings)
        report, unreported = None, tuple[str, ...]()
        if self._report is not None:
            report, unreported = self._report.payload(judged, gathered.placed)
        problems = (
            *sight.refusals,
            *gathered.problems,
            *judged.problems,
            *unreported,
        )
        return Picture(judged.services, problems, report)

    def _snapshot(self, picture: Picture) -> Snapshot:
        """What is told to a registry is not served here."""
        services = () if self._report is not None else picture.services
        return Snapshot(_NAME, services, self._wall(), picture.problems)
