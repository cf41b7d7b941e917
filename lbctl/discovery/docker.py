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
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from lbctl.discovery.base import HEARD_EVERY_S
from lbctl.discovery.docker_api import DockerApi, Engine
from lbctl.discovery.docker_known import Known
from lbctl.discovery.docker_news import PING_S, News, news
from lbctl.discovery.docker_services import gather
from lbctl.discovery.http import TIMEOUT_S, Client
from lbctl.discovery.report import Report
from lbctl.model.service import Service, Snapshot
from lbctl.settings.discovery import Consul, Docker
from lbctl.settings.services import read_services

#: Between two looks at everything, and two streams of events: what was lost is found by then,
#: though nobody noticed. Sooner than a source has to be heard.
RESYNC_S: Final = HEARD_EVERY_S - 10.0
#: Between two lists, where events do not tell all: Podman's of a stop, or where they are refused.
POLL_S: Final = 2.0
#: A list of many takes Podman long: the pause grows, so that it spends so much of its time on it.
SHARE: Final = 0.01
_NAME: Final = "docker"
_TOKEN: Final = "discovery.docker.report_to.token_file"
_TAGS: Final = Consul().tags
_UNSEEN: Final = "containers are read from the list alone, without environment and stop signal"


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
        ping_s, resync_s, poll_s: see there, seconds.
        share: of its time that the engine may spend on lists.
        timeout_s: for one answer, seconds.
        clock: monotonic, seconds.
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
        ping_s: float = PING_S,
        resync_s: float = RESYNC_S,
        poll_s: float = POLL_S,
        share: float = SHARE,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        client = Client(_NAME, settings.url or "")
        self.target = client.target
        self._api = DockerApi(client, timeout_s)
        self._settings = settings
        self._tags = tags
        self._ping_s, self._resync_s, self._poll_s = ping_s, resync_s, poll_s
        self._share = share
        self._clock, self._wall = clock, wall
        self._report = (
            None
            if settings.report_to.url is None
            else Report(settings.report_to, secrets.get(_TOKEN), host or socket.gethostname())
        )
        self._known: Known | None = None

    @property
    def facts(self) -> Mapping[str, float]:
        """``containers``: that run; ``leaving``: those of them that were told to stop."""
        known = self._known
        if known is None:
            return {}
        return {"containers": len(known.containers), "leaving": len(known.leaving.containers)}

    async def fetch(self) -> Snapshot:
        """All it knows, asked once; nothing is reported."""
        known = Known(self._api, await self._api.engine())
        await known.relist()
        return self._snapshot(self._picture(known, ""))

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        """All it knows, now, whenever it has changed, and at least every minute."""
        known: Known | None = None
        while True:
            engine = await self._api.engine()
            if known is None:
                known = self._known = Known(self._api, engine)
            async with news(self._api, engine, self._ping_s) as told:
                await known.relist(is_thorough=True)
                async with aclosing(self._session(known, engine, told)) as pictures:
                    async for picture in pictures:
                        if self._report is not None:
                            await self._report.send(picture.report)
                        yield self._snapshot(picture)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._api.close()
        if self._report is not None:
            await self._report.close()

    async def _session(
        self, known: Known, engine: Engine, told: News
    ) -> AsyncGenerator[Picture, None]:
        """As long as one stream of events is listened to."""
        ends = self._clock() + self._resync_s
        poll_s = self._poll_s
        listed = self._clock()
        shown: Picture | None = None
        while True:
            picture = self._picture(known, told.refusal)
            if picture != shown:
                shown = picture
                yield picture
            if (now := self._clock()) >= ends:
                return
            poll_at = listed + poll_s if engine.is_podman or told.refusal else inf
            leaves = known.leaving.next_end
            due = min(ends, poll_at, inf if leaves is None else leaves)
            events = await told.batch(max(0.0, due - now))
            now = self._clock()
            known.leaving.expire(now)
            await known.take(events, now)
            if now >= poll_at:
                await known.relist()
                listed = self._clock()
                poll_s = max(self._poll_s, (listed - now) / self._share)

    def _picture(self, known: Known, refusal: str) -> Picture:
        gathered = gather(
            known.containers.values(), self._settings, self._tags, known.leaving.containers
        )
        services, bad = read_services(gathered.plain_services(self._settings), _NAME)
        report, unreported = None, tuple[str, ...]()
        if self._report is not None:
            report, unreported = self._report.payload(services, gathered.placed)
        problems = (
            *([f"{refusal}; asked every {self._poll_s:g} s instead"] if refusal else []),
            *([f"{known.refusal}; {_UNSEEN}"] if known.refusal else []),
            *gathered.problems,
            *map(str, bad),
            *unreported,
        )
        return Picture(services, problems, report)

    def _snapshot(self, picture: Picture) -> Snapshot:
        """What is told to a registry is not served here."""
        services = () if self._report is not None else picture.services
        return Snapshot(_NAME, services, self._wall(), picture.problems)
