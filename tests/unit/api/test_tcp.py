"""The API on TCP: who has the token, who needs none, and what is said of a port that is taken."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lbctl.agent.agent import Agent
from lbctl.api.server import build, serve
from lbctl.api.tcp import TOKEN_KEY, serve_tcp
from lbctl.discovery.state import SourceState
from lbctl.settings.discovery import Api
from tests.agent_sources import CONSUL, generation
from tests.loops import until
from tests.places import free_ports
from tests.unit.agent.test_agent import new_agent

TOKEN = "hunter2"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
FOR_PROGRAMS = ("/v1/", "/metrics", "/healthz", "/readyz")

Use = Callable[[aiohttp.ClientSession, str], Awaitable[Any]]


def configured(agent: Agent, port: int, token: bytes = TOKEN.encode()) -> None:
    settings = replace(CONSUL, api=Api(bind=f"127.0.0.1:{port}", token_file="/token"))
    found = generation(settings)
    agent.sources.configure(replace(found, secrets={TOKEN_KEY: token}))


def over_tcp(agent: Agent, use: Use, token: bytes = TOKEN.encode()) -> Any:
    """What *use* returns while the API listens on TCP."""
    (port,) = free_ports(1)

    async def live() -> Any:
        agent.run_dir.api.mkdir()
        runner = await serve(build(agent), agent.run_dir.api_socket)
        configured(agent, port, token)
        try:
            await serve_tcp(runner, agent)
            async with aiohttp.ClientSession() as session:
                return await use(session, f"http://127.0.0.1:{port}")
        finally:
            await runner.cleanup()

    return asyncio.run(live())


async def asked(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    async with session.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer hunter"},
        {"Authorization": "Bearer hunter2x"},
        {"Authorization": "Bearer h\u00fcnter2"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
    ],
)
@pytest.mark.parametrize("path", ["/v1/status", "/metrics", "/v1/openapi.json", "/nowhere"])
def test_without_the_token_nothing_is_told(
    tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        return await asked(session, url + path, headers)

    code, text = over_tcp(new_agent(tmp_path), use)

    assert code == 401
    assert text == (
        f'{{"error": "GET {path}: needs the token: Authorization: Bearer TOKEN", "code": 11}}'
    )


def test_a_token_that_could_not_be_read_is_nobodys(tmp_path: Path) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        return await asked(session, url + "/v1/services", {"Authorization": "Bearer "})

    assert over_tcp(new_agent(tmp_path), use, b"")[0] == 401


def test_with_the_token_all_is_told_and_health_needs_none(tmp_path: Path) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> list[int]:
        free = [await asked(session, url + path) for path in ("/healthz", "/readyz")]
        told = [
            await asked(session, url + path, WITH_TOKEN)
            for path in ("/v1/status", "/metrics", "/v1/openapi.json", "/nowhere")
        ]
        return [code for code, _ in (*free, *told)]

    assert over_tcp(new_agent(tmp_path), use) == [200, 503, 200, 200, 200, 404]


def test_who_asked_is_recorded_by_his_address(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)

    async def use(session: aiohttp.ClientSession, url: str) -> int:
        async with session.post(f"{url}/v1/handover", headers=WITH_TOKEN) as answer:
            return answer.status

    assert over_tcp(agent, use) == 503
    event, _ = [event for event in agent.events.since(0) if event.kind == "command"]
    assert event.text == "handover, asked for by token (write) from 127.0.0.1"
    assert event.fields == {"what": "handover", "address": "127.0.0.1"}


def test_a_port_that_is_taken_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbctl.api.tcp._AGAIN_S", 0.01)
    agent = new_agent(tmp_path)

    async def live() -> list[str]:
        agent.run_dir.api.mkdir()
        runner = await serve(build(agent), agent.run_dir.api_socket)
        try:
            with socket.create_server(("127.0.0.1", 0)) as taken:
                configured(agent, taken.getsockname()[1])
                trying = asyncio.ensure_future(serve_tcp(runner, agent))
                await until(lambda: agent.trouble, "it is said")
                said = list(agent.trouble.values())
            await asyncio.wait_for(trying, 5)
            return said
        finally:
            await runner.cleanup()

    (said,) = asyncio.run(live())
    texts = [event.text for event in agent.events.since(0) if event.kind == "api"]

    assert "api.bind: 127.0.0.1:" in said
    assert "Address already in use" in said
    assert len(texts) == 2
    assert texts[0] == said
    assert texts[1].endswith(" as well")
    assert agent.trouble == {}


def test_metrics_tell_of_each_source(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    state = SourceState(
        source="consul", target="x", state="failing", since=1.0, heard_at=2.5, failures=3, servers=4
    )

    async def use(session: aiohttp.ClientSession, url: str) -> str:
        agent.sources.take_states((state,))
        return (await asked(session, f"{url}/metrics", WITH_TOKEN))[1]

    families = text_string_to_metric_families(over_tcp(agent, use))
    samples = [one for family in families for one in family.samples]
    found = {one.name: one.value for one in samples if one.name.startswith("lbctl_discovery_")}

    assert found == {
        "lbctl_discovery_up": 0.0,
        "lbctl_discovery_services": 0.0,
        "lbctl_discovery_servers": 4.0,
        "lbctl_discovery_heard_timestamp_seconds": 2.5,
        "lbctl_discovery_failures_total": 3.0,
    }


def test_the_description_knows_every_path_that_is_served(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in build(agent).router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    # What is for people describes itself.
    served = {one for one in served if one[1].startswith(FOR_PROGRAMS)}

    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        async with session.get(f"{url}/v1/openapi.json", headers=WITH_TOKEN) as answer:
            return await answer.json()

    paths = over_tcp(agent, use)["paths"]

    assert {(method, path) for path, methods in paths.items() for method in methods} == served
