"""What a registry is told of containers, judged by the registry's own rules."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from lbctl.discovery.docker_read import Container
from lbctl.discovery.docker_services import gather
from lbctl.discovery.report import Report
from lbctl.errors import ProviderError
from lbctl.registry.book import applied
from lbctl.registry.payload import read_payload
from lbctl.settings.discovery import Consul, Docker, ReportTo
from tests.fakes.fault_server import fault_server

HELLO = {"lbctl.name": "hello/v1"}


def container(name: str, labels: dict[str, str], **said: Any) -> Container:
    said.setdefault("networks", {"b": ("10.0.0.1",)})
    return Container(id=name * 32, name=name, labels=labels, ports=(80,), is_whole=True, **said)


def told(*containers: Container) -> tuple[Any, tuple[str, ...]]:
    docker = Docker()
    found = gather(containers, docker, Consul().tags)
    report = Report(ReportTo(url="http://127.0.0.1:1"), None, "lb-a")
    return report.payload(found.judged(docker), found.placed)


def test_a_report_is_what_the_registry_takes() -> None:
    web = {"lbctl.name": "app1", "lbctl.route.host": "a.example.com", "lbctl.cookie": "JSESSIONID"}
    payload, problems = told(container("w1", web), container("w2", HELLO))
    table = applied({}, read_payload(json.dumps(payload).encode())).table

    assert not problems
    assert {name: (one.mode, one.predicate, one.cookie) for name, one in table.items()} == {
        "app1": ("host", "a.example.com", "JSESSIONID"),
        "hello/v1": ("path", "/hello/v1", None),
    }
    assert [one.address for one in table["app1"].containers.values()] == ["10.0.0.1:80"]
    assert {one.host for one in table["app1"].containers.values()} == {"lb-a"}


def test_a_report_without_a_container_takes_it_away() -> None:
    before, _ = told(container("w1", HELLO), container("w2", HELLO, networks={"b": ("10.0.0.2",)}))
    after, _ = told(container("w2", HELLO, networks={"b": ("10.0.0.2",)}))
    table = applied({}, read_payload(json.dumps(before).encode())).table
    table = applied(table, read_payload(json.dumps(after).encode())).table

    assert [one.address for one in table["hello/v1"].containers.values()] == ["10.0.0.2:80"]


@pytest.mark.parametrize("said", [{"health": "unhealthy"}, {"state": "paused"}])
def test_who_does_not_serve_is_not_reported(said: dict[str, str]) -> None:
    payload, _ = told(container("w1", HELLO, **said))

    assert (payload["running"], payload["candidates"]) == ([], [])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"lbctl.mode": "tcp", "lbctl.route.port": "5432"}, "mode tcp"),
        ({"lbctl.route.host": "a.org", "lbctl.route.path": "/x"}, "more than a host or a path"),
        ({"lbctl.routes.0.host": "a.org", "lbctl.routes.1.host": "b.org"}, "it has 2 routes"),
    ],
)
def test_what_a_registry_would_route_otherwise_is_not_reported_and_named(
    words: dict[str, str], why: str
) -> None:
    payload, problems = told(container("w1", {**HELLO, **words}))

    assert payload["candidates"] == []
    assert problems[0].startswith("service hello/v1 is not reported: ")
    assert why in problems[0]


def test_what_a_registry_does_not_know_is_named() -> None:
    payload, problems = told(container("w1", {**HELLO, "lbctl.balance": "leastconn"}))

    assert payload["candidates"]
    assert problems == ("service hello/v1: a registry is not told of balance",)


def test_a_report_carries_the_token_and_shows_it_nowhere() -> None:
    async def scenario() -> tuple[str, str]:
        async with fault_server({}) as server:
            report = Report(ReportTo(url=server.url), b"hunter2\n", "lb-a")
            await report.send({"table": "lbctl"})
            server.fault = "forbidden"
            with pytest.raises(ProviderError) as refused:
                await report.send({"table": "lbctl"})
            await report.close()
            return server.asked[0].headers["authorization"], f"{report!r} {refused.value}"

    header, shown = asyncio.run(scenario())

    assert header == "Bearer hunter2"
    assert "hunter2" not in shown
    assert "POST /v1/registry: 403 Forbidden" in shown
