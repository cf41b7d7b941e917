"""The life of ``lbctl registrator``: what it is told, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from lbctl.discovery.docker_api import DockerApi
from lbctl.discovery.docker_follow import Sight, follow
from lbctl.discovery.http import Client
from lbctl.discovery.url import TlsFiles
from lbctl.errors import ProviderError
from lbctl.registrator.agent import RegistryAgent
from lbctl.registrator.registration import Rules
from lbctl.registrator.registrator import Registrator

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """
    Attributes:
        docker: URL of the engine.
        consul: URL of the agent.
        rules: how containers are registered.
        token: for Consul.
        tls: for Consul.
        is_cleaning: see :class:`Registrator`.
        is_deregistering: when it is told to end; else everything stays, as the containers do.
    """

    docker: str
    consul: str
    rules: Rules
    token: str | None = field(default=None, repr=False)
    tls: TlsFiles | None = None
    is_cleaning: bool = True
    is_deregistering: bool = False


async def live(orders: Orders) -> None:
    """
    Until SIGTERM or SIGINT.

    Raises:
        ConfigError: a URL is none, or what TLS needs cannot be used.
    """
    docker = DockerApi(Client("docker", orders.docker))
    consul = Client("consul", orders.consul, token=orders.token, tls=orders.tls)
    agent = RegistryAgent(consul, orders.rules.host)
    rules = orders.rules
    if not rules.address:
        rules = replace(rules, address=await _address_towards(orders.consul))

    def sights() -> AsyncGenerator[Sight, None]:
        return follow(docker)

    registrator = Registrator(sights, agent, rules, is_cleaning=orders.is_cleaning)
    log.info("registering the containers of %s with consul %s", orders.docker, agent.target)
    life = asyncio.ensure_future(registrator.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, life.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await life
        if orders.is_deregistering:
            await _leave(registrator)
    finally:
        await docker.close()
        await agent.close()


async def _leave(registrator: Registrator) -> None:
    try:
        await registrator.leave()
    except ProviderError as error:
        log.warning("%s; what is registered stays", error)


async def _address_towards(url: str) -> str:
    """This host's address as Consul sees it; empty: Consul is on this host, and knows better."""
    parts = urlsplit(url)
    host = parts.hostname
    if host is None:
        return ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, parts.port or 80, type=socket.SOCK_DGRAM
        )
        family, kind, proto, _, target = found[0]
        # Nothing is sent: the kernel only says by which way it would go.
        with socket.socket(family, kind, proto) as probe:
            probe.connect(target)
            address = str(probe.getsockname()[0])
    except OSError as error:
        log.warning("%s: this host's address towards it is not known: %s", url, error)
        return ""
    return "" if ip_address(address.partition("%")[0]).is_loopback else address
