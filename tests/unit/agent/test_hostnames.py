"""What a hosts file changes is told, of servers of services and of the operator's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.agent.hostnames import HostsFollower
from lbctl.agent.nameserver import Nameserver
from lbctl.follow.apply import Compiled
from lbctl.model.service import Service, Snapshot
from lbctl.settings.discovery import Discovery, Hosts
from lbctl.settings.model import Settings
from tests.agent_sources import Site
from tests.fakes.haproxy_servers import Held, HeldBackend
from tests.fakes.world import compile_services, service
from tests.loops import in_a_loop, until
from tests.specs import bundle_spec

OWN = "backend b_myapp\n    server appsrv1 appsrv1:80\n"


def wanted(path: str) -> Settings:
    services = (service("hello", "appsrv1:80"),)
    return Settings(services=services, discovery=Discovery(hosts=Hosts(path=path)))


@asynccontextmanager
async def following(
    site: Site, settings: Settings
) -> AsyncIterator[tuple[Callable[[str], None], list[str]]]:
    """The loop; a word that sets the address of ``appsrv1``; and the reloads that it asked for."""
    nameserver = Nameserver(bundle_spec(), site.programs)
    hosts = HostsFollower(site.follower, site.sources, site._note, nameserver)
    reloads: list[str] = []
    hosts.reload = reloads.append

    def say(address: str) -> None:
        site.sources._offer(Snapshot("hosts", (), 0.0, names={"appsrv1": (address,)}))

    async with site.living(settings):
        life = asyncio.ensure_future(hosts.run())
        try:
            yield say, reloads
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)


@in_a_loop
async def test_a_server_of_a_service_that_moved_is_told_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with following(site, wanted("/etc/hosts")) as (say, _):
        say("172.16.0.3")
        await until(
            lambda: site.follower.desired.places() and not site.follower.pace.due(), "known"
        )
        await site.follower.outcome()
        say("172.16.0.5")
        await until(site.texts, "it is told")
        await site.follower.outcome()

        assert site.texts() == [
            "hello/appsrv1:80 changed its IP from 172.16.0.3 to 172.16.0.5 by /etc/hosts"
        ]
        server = site.world.lives[1].servers.backends["hello"].servers["appsrv1:80"]
        assert server.address == "172.16.0.5"


def beside_own(services: Sequence[Service]) -> Compiled:
    made = compile_services(services)
    wanted = replace(made.wanted, more={"haproxy.cfg": OWN}, is_beside=True)
    return replace(made, wanted=wanted)


def with_own(site: Site, address: str) -> None:
    """Every process has the operator's backend."""
    for life in site.world.lives.values():
        held = Held("appsrv1", 1, address, 80)
        life.servers.backends["b_myapp"] = HeldBackend({"appsrv1": held})


@in_a_loop
async def test_the_operators_own_servers_move_on_all_processes_and_are_told_once(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.compile = beside_own
    async with following(site, replace(wanted("/etc/hosts"), services=())) as (say, reloads):
        with_own(site, "172.16.0.3")
        say("172.16.0.5")
        await until(site.texts, "it is told")
        held = [life.servers.backends["b_myapp"].servers for life in site.world.lives.values()]

        assert [one["appsrv1"].address for one in held] == ["172.16.0.5"] * 2
        assert site.texts() == [
            "b_myapp/appsrv1 changed its IP from 172.16.0.3 to 172.16.0.5 by /etc/hosts"
        ]
        assert reloads == []


@pytest.mark.parametrize("path", ["/etc/hosts", "/elsewhere"])
@in_a_loop
async def test_one_without_an_address_takes_a_reload_if_libc_reads_that_file(
    tmp_path: Path, path: str
) -> None:
    site = Site(tmp_path)
    site.compile = beside_own
    async with following(site, replace(wanted(path), services=())) as (say, reloads):
        with_own(site, "")
        say("172.16.0.5")
        await until(lambda: reloads or site.texts(), "it is told")
        with_own(site, "")

        if path == "/etc/hosts":
            assert reloads == ["b_myapp/appsrv1: an address by /etc/hosts"]
        else:
            assert reloads == []
            assert "HAProxy takes when it loads its file, from /etc/hosts" in site.texts()[0]
