"""A real engine behind a proxy: one that filters, and one that does everything wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from lbctl.discovery.docker import DockerProvider
from lbctl.discovery.docker_follow import Pace
from lbctl.errors import ProviderError
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import Docker, ReportTo
from tests.engines import Engine
from tests.fakes.docker_proxy import READING, DockerProxy, docker_proxy
from tests.fakes.fault_server import FAULTS, Asked, fault_server
from tests.places import open_directory
from tests.watched import Watched, watched

pytestmark = pytest.mark.container

_HELLO = {"lbctl.name": "hello/v1"}
_INSPECT, _EVENTS = READING[2], READING[3]
_TIMEOUT_S = 0.2
#: What reads the same of either engine.
ONE_ENGINE = pytest.mark.parametrize("docker", ["docker"], indirect=True)
_SEEN_S = 5.0


@pytest.fixture(name="fronted")
def _fronted(docker: Engine) -> Iterator[tuple[Engine, DockerProxy]]:
    with open_directory() as short, docker_proxy(docker.socket, short / "sock") as (proxy, _):
        yield docker, proxy


def _provider(proxy: DockerProxy, timeout_s: float = 5.0) -> DockerProvider:
    pace = Pace(ping_s=0.2, poll_s=0.1, share=1.0)
    return DockerProvider(Docker(url=proxy.url), {}, pace=pace, timeout_s=timeout_s)


@ONE_ENGINE
def test_a_proxy_that_lets_four_questions_through_is_enough(
    fronted: tuple[Engine, DockerProxy],
) -> None:
    docker, proxy = fronted
    docker.run("w1", env={"SERVICE_NAME": "hello/v1", "SERVICE_TAGS": "rest"})
    with watched(_provider(proxy)) as seen:
        docker.run("w2", labels=_HELLO)
        seen.wait(lambda: len(seen.servers("hello/v1")) == 2, _SEEN_S, "both are found")

    assert not proxy.refused
    assert not seen.errors


def test_without_inspection_labels_are_read_from_the_list_and_that_is_named(
    fronted: tuple[Engine, DockerProxy],
) -> None:
    docker, proxy = fronted
    proxy.allowed = tuple(one for one in READING if one != _INSPECT)
    docker.run("w1", labels={**_HELLO, "lbctl.port": "80"})
    docker.run("w2", env={"SERVICE_NAME": "other", "SERVICE_TAGS": "rest"})
    with watched(_provider(proxy)) as seen:
        seen.wait(lambda: seen.servers("hello/v1"), _SEEN_S, "it is found")
        names = [one.name for one in seen.last.services]
        docker.remove("w1")
        seen.wait(lambda: not seen.servers("hello/v1"), _SEEN_S, "it is gone")

    assert names == ["hello/v1"]
    assert "403 Forbidden" in seen.last.problems[0]
    assert "containers are read from the list alone" in seen.last.problems[0]
    assert not seen.errors


@ONE_ENGINE
def test_without_events_the_list_is_asked_for_again_and_again(
    fronted: tuple[Engine, DockerProxy],
) -> None:
    docker, proxy = fronted
    proxy.allowed = tuple(one for one in READING if one != _EVENTS)
    with watched(_provider(proxy)) as seen:
        docker.run("w1", labels=_HELLO)
        seen.wait(lambda: seen.servers("hello/v1"), _SEEN_S, "it is found")
        docker.remove("w1")
        seen.wait(lambda: not seen.servers("hello/v1"), _SEEN_S, "it is gone")

    assert "asked every 0.1 s instead" in seen.last.problems[0]
    assert not seen.errors


def test_no_fault_of_the_engine_takes_a_server_away(engines: Mapping[str, Engine]) -> None:
    engine = engines["docker"]
    engine.run("w1", labels=_HELLO)
    with (
        open_directory() as short,
        docker_proxy(engine.socket, short / "sock") as (proxy, loop),
        watched(_provider(proxy, _TIMEOUT_S)) as seen,
    ):
        seen.wait(lambda: seen.servers("hello/v1"), _SEEN_S, "it is found")
        for fault in sorted(set(FAULTS) - {"none"}):
            _outlived(proxy, loop, seen, fault)
        every = [snapshot for _, snapshot in seen.snapshots]
    engine.remove_all()

    assert {len(one.services) for one in every} == {1}


def _outlived(
    proxy: DockerProxy, loop: asyncio.AbstractEventLoop, seen: Watched, fault: str
) -> None:
    """The fault is named, and the provider is back when it is over."""
    errors = len(seen.errors)
    proxy.fault = fault
    proxy.cut(loop)
    # The first one may still be about the connections that were cut.
    seen.wait(lambda: len(seen.errors) >= errors + 2, _SEEN_S, f"{fault} is named")
    told = seen.errors[-1]
    proxy.fault = "none"
    said = len(seen.snapshots)
    seen.wait(lambda: len(seen.snapshots) > said, _SEEN_S, f"it is back after {fault}")

    assert told.startswith(f"docker {proxy.url}: "), told


async def _reported(engine: Engine) -> tuple[list[Any], list[str], list[Snapshot]]:
    """What a registry was told, in its words, what went wrong, and what was served here."""
    errors: list[str] = []
    heard: list[Snapshot] = []
    async with fault_server({}) as registry:
        settings = Docker(url=engine.url, report_to=ReportTo(url=registry.url))
        provider = DockerProvider(settings, {}, host="lb-a")

        async def follow() -> None:
            async with aclosing(provider.watch()) as snapshots:
                async for snapshot in snapshots:
                    heard.append(snapshot)  # noqa: PERF401 - one by one, as they come

        following = asyncio.ensure_future(follow())
        await asyncio.to_thread(engine.run, "w1", labels=_HELLO)
        await _until(lambda: _containers(registry.asked[-1:]))
        registry.fault = "forbidden"
        await asyncio.to_thread(engine.remove, "w1")
        try:
            await asyncio.wait_for(following, _SEEN_S)
        except ProviderError as error:
            errors.append(str(error))
        registry.fault = "none"
        following = asyncio.ensure_future(follow())
        await _until(lambda: not _containers(registry.asked[-1:]))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await provider.close()
        return [json.loads(one.body) for one in registry.asked], errors, heard


def _containers(asked: list[Asked]) -> list[str]:
    return [run["id"] for one in asked for run in json.loads(one.body)["running"]]


async def _until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(_SEEN_S):
        while not claim():  # noqa: ASYNC110 - nobody tells when somebody else's list grows
            await asyncio.sleep(0.005)


def test_a_registry_elsewhere_is_told_and_nothing_is_served_here(
    engines: Mapping[str, Engine],
) -> None:
    told, errors, heard = asyncio.run(_reported(engines["docker"]))
    (with_one,) = {json.dumps(one["running"]) for one in told if one["running"]}

    assert (told[-1]["running"], told[-1]["host"]) == ([], "lb-a")
    assert '"serviceName": "hello/v1"' in with_one
    assert "POST /v1/registry: 403 Forbidden" in errors[0]
    assert not any(one.services for one in heard)
