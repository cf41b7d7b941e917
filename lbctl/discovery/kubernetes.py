"""Services of a Kubernetes cluster, by their EndpointSlices: the provider ``kubernetes``."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path

from lbctl.discovery.kubernetes_api import ANSWER_S, KubernetesApi
from lbctl.discovery.kubernetes_follow import PING_EVERY_S, Follower, watch_time
from lbctl.discovery.kubernetes_picture import SOURCE
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import SERVICE_ACCOUNT, Kubernetes


class KubernetesProvider:
    """
    See :class:`lbctl.discovery.base.Provider`; beside that it remembers where its watches were, so
    that a lost connection costs the API server no list.

    Args:
        settings: its ``url`` is given.
        secrets: contents of the files that *settings* name, by dotted key.
        prefer: which address of a pod that has both: ``ipv4``, ``ipv6``.
        environ: says where the API server is, in a pod.
        account: what a pod is given.
        answer_s: how long a question that does not wait may take, seconds.
        ping_every_s: how often it is asked whether it is there, seconds.
        watch_s: how long a watch is to last, seconds.
        wall: seconds since the epoch.

    Raises:
        ConfigError: the URL, or what TLS needs, cannot be used; this is no pod.
    """

    name = SOURCE

    def __init__(
        self,
        settings: Kubernetes,
        secrets: Mapping[str, bytes],
        *,
        prefer: str = "ipv4",
        environ: Mapping[str, str] = os.environ,
        account: Path = Path(SERVICE_ACCOUNT),
        answer_s: float = ANSWER_S,
        ping_every_s: float = PING_EVERY_S,
        watch_s: Callable[[], int] = watch_time,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._prefer = prefer
        self._api = KubernetesApi(
            settings, secrets, environ=environ, account=account, answer_s=answer_s
        )
        self._follower = Follower(
            self._api, settings, prefer, ping_every_s=ping_every_s, watch_s=watch_s
        )
        self._wall = wall

    @property
    def target(self) -> str:
        return self._api.target

    @property
    def facts(self) -> Mapping[str, float]:
        """``objects``: Services and slices that are ours."""
        return self._follower.picture.facts

    async def fetch(self) -> Snapshot:
        """All it knows, asked once."""
        follower = Follower(self._api, self._settings, self._prefer)
        await follower.fill()
        return follower.picture.snapshot(self._wall(), is_sure=False)

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        """All it knows, now and whenever it has changed."""
        follower = self._follower
        await follower.fill()
        async with aclosing(follower.follow()) as turns:
            async for _ in turns:
                yield follower.picture.snapshot(self._wall(), is_sure=follower.is_sure)

    async def close(self) -> None:
        await self._api.close()
