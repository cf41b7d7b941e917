"""Servers of an operator's haproxy.cfg follow a hosts file, on every process of a real HAProxy."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from lbctl.follow.follower import Follower
from lbctl.follow.hostnames import HostNames, Moved, Turn
from tests.following import Followed, followed
from tests.loops import in_a_loop

pytestmark = pytest.mark.contract

OWN = """\
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    default_backend b_myapp
frontend application
    bind 127.0.0.9:{port}
    http-request return status 200 content-type text/plain string application
backend b_myapp
    server appsrv1 localhost:{port} init-addr libc,none
    server appsrv2 nobody-knows:{port} init-addr none weight 0
backend other
    server appsrv1 127.0.0.1:1
"""


async def reading(site: Followed, follower: Follower) -> HostNames:
    await site.want(follower)
    names = HostNames(follower.applier.world)
    assert site.source is not None
    names.read(site.source.text)
    return names


async def addresses(follower: Follower) -> list[str]:
    world = follower.applier.world
    looks = [await world.look(number, ["b_myapp"]) for number in world.numbers]
    return [one.seen["b_myapp"]["appsrv1"].address for one in looks]


@pytest.mark.parametrize("version", ["2.2", "2.6", "3.0"])
@in_a_loop
async def test_a_name_that_changes_moves_its_server_on_all_processes(
    version: str, tmp_path: Path
) -> None:
    with followed(tmp_path, version, OWN) as site:
        async with site.following() as follower:
            names = await reading(site, follower)
            key = ("b_myapp", "appsrv1")
            first = await names.turn({"localhost": ("172.16.0.3",)}, "ipv4")
            again = await names.turn({"localhost": ("172.16.0.3",)}, "ipv4")
            moved = await names.turn({"localhost": ("172.16.0.5", "172.16.0.3")}, "ipv4")
            gone = await names.turn({"other": ("172.16.0.9",)}, "ipv4")

            assert first == Turn((Moved(key, "127.0.0.1", "172.16.0.3"),))
            assert again == gone == Turn()
            assert moved == Turn((Moved(key, "172.16.0.3", "172.16.0.5"),))
            assert await addresses(follower) == ["172.16.0.5"] * 2


@pytest.mark.parametrize("version", ["2.2", "2.6", "3.0"])
@in_a_loop
async def test_requests_go_where_the_file_says(version: str, tmp_path: Path) -> None:
    with followed(tmp_path, version, OWN) as site:
        async with site.following() as follower:
            names = await reading(site, follower)
            await names.turn({"localhost": ("127.0.0.9",)}, "ipv4")

            assert await asyncio.to_thread(site.asks) == {"application"}


@pytest.mark.parametrize("version", ["2.2", "2.6", "3.0"])
@in_a_loop
async def test_a_server_without_an_address_is_left_alone_and_told(
    version: str, tmp_path: Path
) -> None:
    """Asked to set its address, HAProxy refuses, and takes the server for ready all the same."""
    with followed(tmp_path, version, OWN) as site:
        async with site.following() as follower:
            names = await reading(site, follower)
            turn = await names.turn({"nobody-knows": ("127.0.0.9",)}, "ipv4")
            seen = [
                (await follower.applier.world.look(number, ["b_myapp"])).seen["b_myapp"]["appsrv2"]
                for number in follower.applier.world.numbers
            ]

            assert turn == Turn(lacking=(Moved(("b_myapp", "appsrv2"), "", "127.0.0.9"),))
            assert [one.state for one in seen] == [0, 0]


@in_a_loop
async def test_what_a_process_cannot_be_told_is_said(tmp_path: Path) -> None:
    with followed(tmp_path, source=OWN) as site:
        async with site.following() as follower:
            names = await reading(site, follower)
            site.masters[1].send_signal(signal.SIGTERM)
            site.masters[1].wait(5)
            turn = await names.turn({"localhost": ("127.0.0.9",)}, "ipv4")

            assert [one.now for one in turn.moved] == ["127.0.0.9"]
            assert len(turn.failed) == 1
            assert "02.sock" in turn.failed[0]
