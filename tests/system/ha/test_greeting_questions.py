"""Who is there, asked by a host that does not take part."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha.carp import Password
from lbctl.ha.question import Round, ask_round
from tests.fakes.greeting_hosts import (
    PASSWORD,
    all_know_each_other,
    greeter_on,
    kinds,
    play,
    running,
    until,
    without_multicast,
)
from tests.fakes.greeting_segment import PORT, VIP, group_spec
from tests.fakes.netns import Host

pytestmark = pytest.mark.system

Hosts = tuple[Host, ...]


async def asked(host: Host, *, password: Password = PASSWORD, **group: Any) -> Round:
    """A round from *host*, which the thread is on meanwhile."""
    spec = group_spec(host.address, **group)

    def ask() -> Round:
        with host.entered():
            return asyncio.run(ask_round(spec, password, within_s=1.5))

    return await asyncio.to_thread(ask)


def test_a_question_is_answered_by_every_node_that_says_how_it_came(hosts: Hosts) -> None:
    a, b = (greeter_on(host) for host in hosts[:2])

    async def scene() -> None:
        async with running(a, b):
            round_ = await asked(hosts[2])
            assert [
                (one.neighbour.address, one.question_by, one.is_heard_by_multicast)
                for one in round_.answers
            ] == [(host.address, "multicast", True) for host in hosts[:2]]
            assert round_.strangers == ()
            assert len(a.peers()) == 1

    play(scene)


def test_a_question_with_another_password_finds_strangers(hosts: Hosts) -> None:
    a = greeter_on(hosts[0])

    async def scene() -> None:
        async with running(a):
            round_ = await asked(hosts[2], password=Password(b"other"))
            assert round_.answers == ()
            assert [(one.source, one.groups) for one in round_.strangers] == [
                (hosts[0].address, ((7, VIP),))
            ]
            assert kinds(a) == ["wrong password"]

    play(scene)


def test_a_question_tells_which_way_multicast_is_lost(hosts: Hosts) -> None:
    a = greeter_on(hosts[0])

    async def scene() -> None:
        async with running(a):
            without_multicast(hosts[2], is_lost=True)
            deaf = await asked(hosts[2])
            without_multicast(hosts[2], is_lost=False)
            without_multicast(hosts[0], is_lost=True)
            mute = await asked(hosts[2])
        assert [(one.question_by, one.is_heard_by_multicast) for one in deaf.answers] == [
            ("multicast", False)
        ]
        assert [(one.question_by, one.is_heard_by_multicast) for one in mute.answers] == [
            ("", True)
        ]

    try:
        play(scene)
    finally:
        for host in hosts:
            without_multicast(host, is_lost=False)


def test_a_question_beside_a_running_bundle_takes_nothing_from_it(hosts: Hosts) -> None:
    a, b = (greeter_on(host) for host in hosts[:2])

    async def scene() -> None:
        async with running(a, b):
            await until(lambda: all_know_each_other(a, b), 1.0)
            sent = 0
            round_ = asyncio.create_task(asked(hosts[0]))
            with hosts[2].entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
                while not round_.done():
                    sender.sendto(b"hello", (hosts[0].address, PORT))
                    sent += 1
                    await asyncio.wait([round_], timeout=0.25)
            found = (await round_).answers
            assert [one.neighbour.address for one in found] == [hosts[1].address]
            assert a.refused["no greeting"] == sent

    play(scene)


def test_a_question_on_no_interface_says_so(hosts: Hosts) -> None:
    async def scene() -> None:
        with pytest.raises(
            NetlinkError, match="asking who greets on nosuch0, UDP port 8112: no int"
        ):
            await asked(hosts[0], interface="nosuch0")

    play(scene)
