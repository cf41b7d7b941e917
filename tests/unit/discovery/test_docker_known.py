"""What is known of an engine, by what it answers, in which order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from lbctl.discovery.docker_api import DockerApi, Engine
from lbctl.discovery.docker_events import Event
from lbctl.discovery.docker_known import Known
from lbctl.discovery.docker_read import Container
from lbctl.discovery.http import RefusedError
from lbctl.errors import ProviderTimeout

ONE = Container(id="one", name="w1", health="healthy", is_whole=True)
LISTED = Container(id="one", name="w1")
PODMAN, DOCKER = Engine(True, "/v1.41", 0), Engine(False, "/v1.41", 0)


@dataclass
class ScriptedApi(DockerApi):
    """Answers what it is told to; a test changes that as it goes."""

    rows: list[Container] = field(default_factory=lambda: [LISTED])
    found: Container | Exception | None = ONE
    asked: int = 0

    async def listed(self, engine: Engine) -> tuple[Container, ...]:
        return tuple(self.rows)

    async def inspected(self, engine: Engine, container: str) -> Container | None:
        self.asked += 1
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


async def _known(api: ScriptedApi, engine: Engine) -> Known:
    known = Known(api, engine)
    await known.relist()
    return known


def test_what_podman_tells_too_early_is_looked_at_again() -> None:
    async def scenario() -> tuple[str, str]:
        api = ScriptedApi()
        known = await _known(api, PODMAN)
        await known.take([Event("one", "look")], 0.0)
        before = known.containers["one"].health
        api.found = replace(ONE, health="unhealthy")
        await known.relist()
        return before, known.containers["one"].health

    assert asyncio.run(scenario()) == ("healthy", "unhealthy")


def test_a_list_that_says_the_same_costs_no_inspection() -> None:
    async def scenario() -> int:
        api = ScriptedApi()
        known = await _known(api, DOCKER)
        await known.relist()
        return api.asked

    assert asyncio.run(scenario()) == 1


@pytest.mark.parametrize(("engine", "left"), [(PODMAN, ["one"]), (DOCKER, [])])
def test_who_is_not_listed_any_more_may_be_stopping_with_podman(
    engine: Engine, left: list[str]
) -> None:
    async def scenario() -> list[str]:
        api = ScriptedApi()
        known = await _known(api, engine)
        api.rows, api.found = [], replace(ONE, state="stopping")
        await known.relist()
        return list(known.containers)

    assert asyncio.run(scenario()) == left


def test_an_old_event_takes_nobody_away_who_runs() -> None:
    async def scenario() -> list[str]:
        known = await _known(ScriptedApi(), DOCKER)
        await known.take([Event("one", "gone")], 0.0)
        return list(known.containers)

    assert asyncio.run(scenario()) == ["one"]


def test_a_refused_inspection_is_named_and_the_list_is_enough() -> None:
    async def scenario() -> tuple[str, list[Container], list[Container]]:
        api = ScriptedApi(found=RefusedError("docker: 403 Forbidden", 403, "no"))
        known = await _known(api, DOCKER)
        before = list(known.containers.values())
        api.rows = []
        await known.take([Event("one", "gone")], 0.0)
        return known.refusal, before, list(known.containers.values())

    assert asyncio.run(scenario()) == ("docker: 403 Forbidden", [LISTED], [])


@pytest.mark.parametrize(
    "error", [ProviderTimeout("docker: no answer"), RefusedError("docker: 500", 500, "broken")]
)
def test_an_engine_that_fails_is_out_of_touch(error: Exception) -> None:
    async def scenario() -> None:
        await _known(ScriptedApi(found=error), DOCKER)

    with pytest.raises(type(error)):
        asyncio.run(scenario())
