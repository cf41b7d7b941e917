"""Services registered in Consul: the provider ``consul``."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping

from lbctl.discovery.consul_api import ANSWER_S, ConsulApi
from lbctl.discovery.consul_follow import PING_EVERY_S, Follower
from lbctl.discovery.consul_read import SOURCE
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import Consul


class ConsulProvider:
    """
    See :class:`lbctl.discovery.base.Provider`.

    Args:
        settings: its ``url`` is given.
        secrets: contents of the files that *settings* name, by dotted key.
        answer_s: how long a question that does not wait may take, seconds.
        ping_every_s: how often it is asked whether it is there, seconds.
        wall: seconds since the epoch.

    Raises:
        ConfigError: the URL, or what TLS needs, cannot be used.
    """

    name = SOURCE

    def __init__(
        self,
        settings: Consul,
        secrets: Mapping[str, bytes],
        *,
        answer_s: float = ANSWER_S,
        ping_every_s: float = PING_EVERY_S,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._api = ConsulApi(settings, secrets, answer_s)
        self._ping_every_s = ping_every_s
        self._wall = wall
        self._follower: Follower | None = None

    @property
    def target(self) -> str:
        return self._api.target

    @property
    def facts(self) -> Mapping[str, float]:
        """``asked``: services of ours; ``sweep_s``: what asking for all of them last took."""
        return {} if self._follower is None else self._follower.facts

    async def fetch(self) -> Snapshot:
        """All it knows, asked once."""
        follower = Follower(self._api, self._settings)
        await follower.fill()
        return follower.picture.snapshot(self._wall())

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        """All it knows, now and whenever it has changed."""
        follower = self._follower = Follower(self._api, self._settings, self._ping_every_s)
        try:
            await follower.fill()
            follower.wait()
            yield follower.picture.snapshot(self._wall())
            while True:
                await follower.turn()
                yield follower.picture.snapshot(self._wall())
        finally:
            await follower.end()

    async def close(self) -> None:
        await self._api.close()
