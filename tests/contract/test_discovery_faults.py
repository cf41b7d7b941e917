"""Every fault of a source over HTTP, from its server to what the hub has: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from lbctl.discovery.http import Client
from lbctl.discovery.hub import Hub
from lbctl.discovery.saved import plain_service, read_snapshot
from lbctl.discovery.state import SourceState
from lbctl.errors import ProviderReplyError
from lbctl.layout import StateDir
from lbctl.model.service import Service, Snapshot
from lbctl.settings.services import read_services
from tests.fakes.fault_server import FAULTS, fault_server
from tests.fakes.provider import service
from tests.loops import in_a_loop, until

pytestmark = pytest.mark.contract

ONE, OTHER = service("hello/v1"), service("other")
LIMIT_S = 0.2


class Asking:
    """
    A provider as simple as can be: asks again and again.

    Attributes:
        is_patient: a long answer is waited for.
    """

    name = "plain"
    is_patient = False

    def __init__(self, url: str) -> None:
        self._client = Client("plain", url)
        self.target = url

    async def fetch(self) -> Snapshot:
        limit_s = 20.0 if self.is_patient else LIMIT_S
        reply = await self._client.get_json("/services", timeout_s=limit_s)
        if not isinstance(reply.data, list):
            message = f"plain {self.target}: {reply.data!r} is no list"
            raise ProviderReplyError(message)
        services, bad = read_services(reply.data, "plain")
        return Snapshot("plain", services, 0.0, tuple(str(one) for one in bad))

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        while True:
            yield await self.fetch()
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self._client.close()


@asynccontextmanager
async def running(url: str, state: StateDir) -> AsyncGenerator[tuple[Hub, Asking], None]:
    """A hub that never pauses long, and ends well."""
    asking = Asking(url)
    hub = Hub([asking], state, empty_s=300.0, chance=lambda: 0.01)
    task = asyncio.ensure_future(hub.run())
    try:
        yield hub, asking
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def has(hub: Hub) -> tuple[Service, ...]:
    async with aclosing(hub.watch()) as updates:
        update = await anext(updates)
    return update.heard[0].snapshot.services if update.heard else ()


def of(hub: Hub) -> SourceState:
    return hub.states()[0]


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"none"}))
@in_a_loop
async def test_a_fault_keeps_the_last_good_services_and_ends_without_a_restart(
    fault: str, tmp_path: Path
) -> None:
    state = StateDir(tmp_path)
    async with fault_server([plain_service(ONE)]) as server, running(server.url, state) as at:
        hub, asking = at
        asking.is_patient = fault == "huge_answer"
        await until(lambda: of(hub).state == "live", "it is heard")
        server.fault = fault
        await until(lambda: of(hub).failures >= 2, "it fails, and again", within_s=20.0)
        failing, kept = of(hub), await has(hub)
        server.answer = [plain_service(ONE), plain_service(OTHER)]
        server.fault = "none"
        await until(lambda: of(hub).services == 2, "it is heard again", within_s=20.0)
        back = await has(hub)
    saved = read_snapshot(state, "plain")

    assert failing.state == "failing"
    assert failing.sentence(0.0).startswith(f"plain {server.url}: ")
    assert "keeping 1 service with 1 server" in failing.sentence(0.0)
    assert kept == (ONE,)
    assert back == (ONE, OTHER)
    assert saved is not None
    assert saved.services == (ONE, OTHER)


@pytest.mark.parametrize("answer", [{}, None, "x", [[]], [{"name": 1}]], ids=repr)
@in_a_loop
async def test_json_that_is_not_what_it_should_be_takes_nothing_away(
    answer: object, tmp_path: Path
) -> None:
    state = StateDir(tmp_path)
    async with fault_server([plain_service(ONE)]) as server, running(server.url, state) as at:
        hub, _ = at
        await until(lambda: of(hub).state == "live", "it is heard")
        server.answer = answer
        await until(lambda: of(hub).state != "live", "that is not believed")
        kept = await has(hub)

    assert kept == (ONE,)


@in_a_loop
async def test_a_server_that_is_gone_and_comes_back_is_heard_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "source.sock"
    async with running(f"unix://{path}", StateDir(tmp_path)) as at:
        hub, _ = at
        await until(lambda: of(hub).state == "failing", "nobody is there")
        async with fault_server([plain_service(ONE)], path):
            await until(lambda: of(hub).state == "live", "it is heard")
        path.unlink(missing_ok=True)
        await until(lambda: of(hub).state == "failing", "it is gone")
        kept = await has(hub)
        async with fault_server([plain_service(ONE), plain_service(OTHER)], path):
            await until(lambda: of(hub).services == 2, "it is heard again")

    assert kept == (ONE,)
