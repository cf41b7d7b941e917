"""Settings and secrets into the sources that they ask for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

from lbctl.discovery.base import Provider
from lbctl.discovery.consul import ConsulProvider
from lbctl.discovery.docker import DockerProvider
from lbctl.discovery.hosts import HostsProvider
from lbctl.discovery.kubernetes import KubernetesProvider
from lbctl.errors import ConfigError, ProviderError
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import Discovery
from lbctl.settings.model import Settings

Secrets = Mapping[str, bytes]

#: Each source that is configured by one key: where that is, and what it makes.
_PROVIDERS: Final[
    Mapping[
        str,
        tuple[Callable[[Discovery], str | None], Callable[[Discovery, Secrets], Provider]],
    ]
] = {
    "consul": (lambda one: one.consul.url, lambda one, has: ConsulProvider(one.consul, has)),
    "docker": (
        lambda one: one.docker.url,
        # One meaning of tags, whoever registers a container.
        lambda one, has: DockerProvider(one.docker, has, tags=one.consul.tags),
    ),
    "hosts": (lambda one: one.hosts.path, lambda one, _: HostsProvider(one.hosts)),
    "kubernetes": (
        lambda one: one.kubernetes.url,
        # Which of a pod's two addresses counts is which of a name's two does.
        lambda one, has: KubernetesProvider(one.kubernetes, has, prefer=one.dns.prefer),
    ),
}


class Unusable:
    """
    A source that cannot even be asked as it is configured: the others go on without it.

    Args:
        error: why; every question gets it for an answer.
    """

    def __init__(self, name: str, target: str, error: str) -> None:
        self.name = name
        self.target = target
        self._error = error

    async def fetch(self) -> Snapshot:
        """
        Raises:
            ProviderError: always.
        """
        raise ProviderError(self._error)

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        """As :meth:`fetch`."""
        yield await self.fetch()

    async def close(self) -> None:
        """There is nothing."""


def open_sources(settings: Settings, secrets: Secrets) -> tuple[Provider, ...]:
    """
    The sources that are configured, but for the registry; by name. Nothing is asked yet.

    Args:
        secrets: contents of the files that *settings* name, by dotted key.
    """
    found: list[Provider] = []
    for name, (where, made) in _PROVIDERS.items():
        target = where(settings.discovery)
        if target is None:
            continue
        try:
            found.append(made(settings.discovery, secrets))
        except ConfigError as error:
            what = "; ".join(one.what for one in error.problems)
            found.append(Unusable(name, "as configured", f"{name}: {what}"))
    return tuple(found)
