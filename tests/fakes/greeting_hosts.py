"""Greeters on the hosts of a link, on one event loop: real sockets, real time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from lbctl.ha.carp import GROUP, Password
from lbctl.ha.greeter import Greeter
from lbctl.ha.greeting_link import GreetingLink
from lbctl.ha.greeting_socket import Datagram
from lbctl.ha.journal import Journal
from lbctl.spec import GroupSpec
from tests.fakes.greeting_segment import PORT, group_spec
from tests.fakes.netns import Host
from tests.specs import bundle_spec

PASSWORD = Password(b"foobar23")


class LinkOn(GreetingLink):
    """The real link, on a host of the lab."""

    def __init__(self, host: Host, group: GroupSpec, heard: Callable[[Datagram], None]) -> None:
        super().__init__(group, heard)
        self._host = host

    def keep_open(self, now: float) -> bool:
        with self._host.entered():
            return super().keep_open(now)


def greeter_on(host: Host, *, password: Password = PASSWORD, **group: Any) -> Greeter:
    spec = group_spec(host.address, **group)
    facts = {"vhid": spec.vhid, "vip": spec.vip, "role": "BACKUP", "why": "", "faults": []}
    return Greeter(
        bundle_spec(node=f"{host.number:016x}", hostname=f"host{host.number}", group=spec),
        spec,
        password,
        Journal(),
        lambda: {"groups": [facts]},
        link=lambda group, heard: LinkOn(host, group, heard),
    )


@asynccontextmanager
async def running(*greeters: Greeter) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run()) for one in greeters]
        yield
        for task in tasks:
            assert not task.done()
            task.cancel()


async def until(claim: Callable[[], object], within_s: float) -> float:
    """Seconds until it holds."""
    begun = time.monotonic()
    while not claim():
        assert time.monotonic() - begun < within_s, f"not within {within_s} s"
        await asyncio.sleep(0.005)
    return time.monotonic() - begun


def all_know_each_other(*greeters: Greeter) -> bool:
    return all(one.healthy_peer()[0] is not None for one in greeters)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene()

    asyncio.run(run())


def kinds(greeter: Greeter) -> list[str]:
    return [one.kind for one in greeter.findings()]


def without_multicast(host: Host, *, is_lost: bool) -> None:
    """What is sent to the group does not reach *host*."""
    host.run("nft", "add table ip lost; delete table ip lost")
    if is_lost:
        chain = "{ type filter hook input priority 0; }"
        host.run("nft", f"add table ip lost; add chain ip lost in {chain}")
        host.run("nft", f"add rule ip lost in ip daddr {GROUP} udp dport {PORT} drop")
