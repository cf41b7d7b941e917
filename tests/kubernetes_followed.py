"""A hub that follows the double of a Kubernetes API server, and what it has told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lbctl.discovery.hub import Hub
from lbctl.discovery.kubernetes import KubernetesProvider
from lbctl.layout import StateDir
from lbctl.settings.discovery import Kubernetes
from tests.consul_followed import Followed, heard
from tests.fakes.kubernetes_api import KubernetesDouble


@asynccontextmanager
async def followed(
    double: KubernetesDouble,
    state: Path,
    secrets: Mapping[str, bytes] | None = None,
    *,
    answer_s: float = 0.5,
    ping_every_s: float = 0.1,
    watch_s: int = 60,
    empty_s: float = 60.0,
    **settings: Any,
) -> AsyncIterator[Followed]:
    """What a hub hears of *double*; *settings*: of ``discovery.kubernetes``."""
    provider = KubernetesProvider(
        Kubernetes(**{"url": double.url, "namespace": "default", **settings}),
        secrets or {},
        answer_s=answer_s,
        ping_every_s=ping_every_s,
        watch_s=lambda: watch_s,
    )
    hub = Hub([provider], StateDir(state), empty_s=empty_s, chance=lambda: 0.05)
    async with heard(hub) as found:
        yield found
