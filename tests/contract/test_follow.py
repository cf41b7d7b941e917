"""The follower over real HAProxies: changes, reloads, restarts, refusals."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lbctl.follow import servers
from lbctl.haproxy.runtime import UnixRuntime
from lbctl.model.service import ServerTls
from tests.following import Followed, followed, settled
from tests.loops import in_a_loop

pytestmark = pytest.mark.contract

MODERN = ["2.6", "3.0"]
ALL = ["2.2", *MODERN]


async def asked(site: Followed, path: str = "/hello") -> set[str | int]:
    return await asyncio.to_thread(site.asks, path)


@pytest.mark.parametrize("version", ALL)
@in_a_loop
async def test_a_new_service_serves_after_one_reload(version: str, tmp_path: Path) -> None:
    with followed(tmp_path, version) as site:
        async with site.following() as follower:
            applied = await site.want(follower, site.hello(0, 1))

            assert (applied.did, applied.failure) == ("reload", "")
            assert await asked(site) == set(site.origins[:2])


@pytest.mark.parametrize("version", MODERN)
@in_a_loop
async def test_servers_come_and_go_in_the_same_workers(version: str, tmp_path: Path) -> None:
    with followed(tmp_path, version) as site:
        async with site.following() as follower:
            await site.want(follower, site.hello(0, 1))
            workers = site.workers()
            applied = await site.want(follower, site.hello(1, 2))
            await settled(follower)

            assert (applied.did, applied.failure) == ("runtime", "")
            assert site.workers() == workers
            assert await asked(site) == {site.origins[1], site.origins[2]}


@in_a_loop
async def test_a_reload_by_somebody_else_changes_nothing(tmp_path: Path) -> None:
    """The file on disk is what runs."""
    with followed(tmp_path) as site:
        async with site.following() as follower:
            await site.want(follower, site.hello(0, 1))
            await site.want(follower, site.hello(1, 2))
            await follower.applier.world.reload(site.site.model.programs)

            assert await asked(site) == {site.origins[1], site.origins[2]}


@in_a_loop
async def test_the_agents_next_life_finds_nothing_to_do(tmp_path: Path) -> None:
    with followed(tmp_path) as site:
        async with site.following() as follower:
            await site.want(follower, site.hello(0, 1))
            await site.want(follower, site.hello(1, 2, 3))
        workers = site.workers()
        async with site.following() as follower:
            applied = await site.want(follower, site.hello(1, 2, 3))

        assert (applied.did, applied.reasons) == ("nothing", ())
        assert site.workers() == workers


@in_a_loop
async def test_an_agent_that_died_between_the_file_and_the_reload_reloads(tmp_path: Path) -> None:
    with followed(tmp_path) as site:
        async with site.following() as follower:
            await site.want(follower, site.hello(0, 1))
            before = follower.applier.loaded
            await site.want(follower, site.hello(0, 1), site.hello(2, name="new"))
            # As if the second turn had ended behind its first half.
            after = follower.applier.loaded
            await follower.applier.world.write(before, after)
            await follower.applier.world.reload(site.site.model.programs)
            await follower.applier.world.write(after, before)
        async with site.following() as follower:
            applied = await site.want(follower, site.hello(0, 1), site.hello(2, name="new"))

            assert applied.did == "reload"
            assert applied.reasons[0] == "haproxy-01 runs what it loaded before"
            assert await asked(site, "/new") == {site.origins[2]}


@in_a_loop
async def test_a_drained_server_stays_so_over_a_reload_and_a_crash(tmp_path: Path) -> None:
    with followed(tmp_path) as site:
        async with site.following() as follower:
            await site.want(follower, site.hello(0, 1))
            name = f"hello/{site.origins[0]}"
            report = await servers.set_server(
                follower, name, by="me", at=0.0, admin="drain", weight=None
            )
            await site.want(follower, site.hello(0, 1), site.hello(2, name="new"))
            after_reload = await asked(site)
            await asyncio.to_thread(site.kill_worker, 2)
            follower.process_restarted("haproxy-02")
            await settled(follower)
            seen = [one.look.seen for one in follower.applier.fleet.answering if one.look]

            assert [one["admin"] for one in report["processes"]] == ["drain", "drain"]
            assert after_reload == {site.origins[1]}
            assert [one["hello"][site.origins[0]].admin for one in seen] == ["drain", "drain"]


@in_a_loop
async def test_what_haproxy_refuses_is_left_out_and_the_rest_goes_through(tmp_path: Path) -> None:
    with followed(tmp_path) as site:
        async with site.following() as follower:
            await site.want(follower, site.hello(0))
            bad = site.hello(1, name="bad", tls=ServerTls(ca_file="/nowhere/ca.pem"))
            applied = await site.want(follower, site.hello(0), bad, site.hello(2, name="new"))

            assert applied.left_out == ("bad",)
            assert await asked(site, "/new") == {site.origins[2]}
            assert "ca.pem" in follower.desired.left_out["bad"].what
            assert site.origins[1] not in await asked(site, "/bad")


@in_a_loop
async def test_a_state_set_by_hand_is_taken_over_before_a_reload(tmp_path: Path) -> None:
    with followed(tmp_path) as site:
        async with site.following() as follower:
            await site.want(follower, site.hello(0, 1))
            await follower.look()
            process = UnixRuntime(site.spec.processes[0].socket)
            await process.ask(f"set server hello/{site.origins[1]} state maint")
            await site.want(follower, site.hello(0, 1), site.hello(2, name="new"))

            assert await asked(site) == {site.origins[0]}


OWN = """\
global
    maxconn 100
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    default_backend own
backend own
    server a 127.0.0.1:1
    http-request return status 200 content-type text/plain string own
backend empty
    server b 127.0.0.1:2
"""


@in_a_loop
async def test_the_operators_own_servers_are_drained_for_good(tmp_path: Path) -> None:
    with followed(tmp_path, source=OWN) as site:
        async with site.following() as follower:
            first = await site.want(follower)
            await servers.set_server(
                follower, "empty/b", by="me", at=0.0, admin="maint", weight=None
            )
            await site.want(follower, force="a test")
            seen = [one.look.seen for one in follower.applier.fleet.answering if one.look]

            assert first.failure == ""
            assert [one["empty"]["b"].admin for one in seen] == ["maint", "maint"]
            assert await asked(site) == {"own"}
