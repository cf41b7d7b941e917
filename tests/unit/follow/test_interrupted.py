"""A follower that dies at any step; its next life does the rest, and no needless reload."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from lbctl.follow.world import Loaded, Wanted
from lbctl.haproxy.perform import Outcome
from lbctl.haproxy.plan import Plan
from lbctl.model.service import Service
from tests.fakes.haproxy_servers import DiedError
from tests.fakes.timeless import in_no_time
from tests.fakes.world import FakeWorld, service
from tests.unit.follow.test_follower import A, B, C, D, Site


class MortalWorld(FakeWorld):
    """Its follower dies when it has done so many things: before the next one, or right after."""

    left: int | None = None
    dies_before = True

    def _step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise asyncio.CancelledError

    async def write(self, wanted: Wanted, before: Wanted) -> None:
        if self.dies_before:
            self._step()
        await super().write(wanted, before)
        if not self.dies_before:
            self._step()

    async def perform(self, number: int, plan: Plan) -> Outcome:
        if self.dies_before:
            self._step()
        try:
            outcome = await super().perform(number, plan)
        except DiedError as error:
            raise asyncio.CancelledError from error
        if not self.dies_before:
            self._step()
        return outcome

    async def reload(self, programs: Collection[str]) -> Sequence[Loaded]:
        if self.dies_before:
            self._step()
        done = await super().reload(programs)
        if not self.dies_before:
            self._step()
        return done


async def _begin(root: Path, world: FakeWorld, *services: Service) -> None:
    site = Site(root, world)
    await site.base(*services, hold_s=0.0)
    await site.end()


async def _die(root: Path, world: MortalWorld, *services: Service) -> None:
    site = Site(root, world)
    attempt = asyncio.ensure_future(site.base(*services, hold_s=0.0))
    await asyncio.wait([attempt], timeout=5)
    attempt.cancel()
    await asyncio.gather(attempt, return_exceptions=True)
    await site.end()
    world.left = None
    for life in world.lives.values():
        life.servers.survives = None


BEFORE = (service("hello", A, B),)
AT_RUN_TIME = (service("hello", B, C, D),)
BY_RELOAD = (service("hello", B, C, D), service("new", A))


def _is_reached(world: FakeWorld, wanted: Sequence[Service]) -> bool:
    return all(
        dict.fromkeys((server.address for server in one.servers), "ready")
        == world.servers(number, one.name)
        for number in world.numbers
        for one in wanted
    )


@pytest.mark.parametrize("dies_before", [True, False])
@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("wanted", [AT_RUN_TIME, BY_RELOAD], ids=["run time", "reload"])
@in_no_time
async def test_the_next_life_goes_on(
    tmp_path: Path, wanted: tuple[Service, ...], steps: int, dies_before: bool
) -> None:
    world = MortalWorld()
    await _begin(tmp_path, world, *BEFORE)
    world.left, world.dies_before = steps, dies_before
    await _die(tmp_path, world, *wanted)
    await _begin(tmp_path, world, *wanted)
    reloads = len(world.reloads)
    await _begin(tmp_path, world, *wanted)

    assert _is_reached(world, wanted)
    assert reloads <= (1 if wanted is AT_RUN_TIME else 3)
    assert len(world.reloads) == reloads


@pytest.mark.parametrize("commands", range(12))
@in_no_time
async def test_also_when_it_dies_between_two_commands(tmp_path: Path, commands: int) -> None:
    world = MortalWorld()
    await _begin(tmp_path, world, *BEFORE)
    servers = world.lives[1].servers
    servers.survives = len(servers.told) + commands
    await _die(tmp_path, world, *AT_RUN_TIME)
    await _begin(tmp_path, world, *AT_RUN_TIME)

    assert _is_reached(world, AT_RUN_TIME)
    assert len(world.reloads) == 1
