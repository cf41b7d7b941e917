"""The configuration that the registry's function answers, run by real HAProxies."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lbctl.registry import configuration
from lbctl.registry.handler import configuration as configured
from lbctl.registry.handler import handler
from lbctl.registry.sqlite import SqliteCells
from lbctl.registry.store import CellStore
from tests.binaries import installed
from tests.compiled import Answer, Echo, ask, echo
from tests.places import free_ports
from tests.registries import ARTICLE, Plain, article, body, candidate, dynamodb, plain
from tests.running_haproxy import wait_until

pytestmark = pytest.mark.contract

#: Those of the article's containers that serve, and the number that stands for each.
CONTAINERS = {"a23nj53h3j4": 9, "das843j3h3k": 10, "fds32k4354f": 11}
WITHOUT_CHECKS = {"LBCTL_REGISTRY_CHECK_KIND": "none"}


@pytest.fixture(scope="module", name="web")
def _web() -> Iterator[Echo]:
    with echo() as web:
        yield web


@dataclass(frozen=True, slots=True)
class Balancer:
    """A HAProxy with a configuration as it was answered."""

    port: int

    def get(self, host: str, path: str = "/", cookie: str = "") -> Answer:
        headers = {"Host": host, **({"Cookie": cookie} if cookie else {})}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as link:
            return ask(link, path, headers)

    def answers(self) -> bool:
        try:
            return self.get("nobody.example.com").status == 503
        except OSError:
            return False


@contextmanager
def balancer(payload: Plain, root: Path, version: str) -> Iterator[Balancer]:
    """From when it answers; it gets one file, and nothing else."""
    [port] = free_ports(1)
    store = CellStore(SqliteCells(root / "registry.sqlite"))
    environ = {**WITHOUT_CHECKS, "LBCTL_HTTP_BIND": f"127.0.0.1:{port}"}
    file = root / "haproxy.cfg"
    file.write_text(configured(payload, store, environ))
    with (root / "log").open("w") as log:
        argv = [installed(version), "-db", "-f", str(file)]
        process = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/")
    try:
        found = Balancer(port)
        wait_until(found.answers, f"haproxy answers: {(root / 'log').read_text()}")
        yield found
    finally:
        process.terminate()
        process.wait(10)


def placed(payload: Plain, web: Echo) -> Plain:
    """The same with the containers on this host."""
    for one in payload["candidates"]:
        for container in one["containers"]:
            container["ip"] = web.address(CONTAINERS[container["id"]])
    payload["running"] = []
    return payload


@pytest.mark.parametrize("version", ["2.6", "3.0"])
def test_haproxy_takes_the_answer_to_the_article_as_it_is(version: str, tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(configuration(ARTICLE, CellStore(SqliteCells(tmp_path / "registry.sqlite"))))
    argv = [installed(version), "-c", "-f", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize("version", ["2.6", "3.0"])
def test_the_request_of_the_article_routes_as_the_file_that_it_prints(
    version: str, tmp_path: Path, web: Echo
) -> None:
    with balancer(placed(article(), web), tmp_path, version) as one:
        first = {one.get("first.example.com").asked["address"] for _ in range(4)}
        second = {one.get("SECOND.example.com:80").asked["address"] for _ in range(4)}

        assert first == {web.address(9)}
        assert second == {web.address(10), web.address(11)}
        assert one.get("third.example.com").status == 503


def test_a_client_stays_with_its_container_by_a_cookie_value_of_the_container(
    tmp_path: Path, web: Echo
) -> None:
    with balancer(placed(article(), web), tmp_path, "2.6") as one:
        given = {}
        for _ in range(4):
            answer = one.get("second.example.com")
            given[answer.headers["set-cookie"].partition(";")[0]] = answer.asked["address"]

        assert given == {
            f"JSESSIONID={name}~app123": web.address(CONTAINERS[name])
            for name in ("das843j3h3k", "fds32k4354f")
        }
        for cookie, address in given.items():
            asked = [one.get("second.example.com", cookie=cookie).asked for _ in range(4)]
            assert {found["address"] for found in asked} == {address}
            # The application sees its own.
            assert dict(asked[0]["headers"])["cookie"] == "JSESSIONID=app123"


def test_paths_go_by_whole_segments_and_are_not_taken_off(tmp_path: Path, web: Echo) -> None:
    def service(name: str, predicate: str, last: int) -> Plain:
        more = {"configMode": "Path", "predicate": predicate}
        return candidate(name, more, one=web.address(last))

    ones = [service("v1", "hello/v1", 1), service("v10", "/hello/v10", 2), service("or", "/o", 3)]
    with balancer(plain([], *ones), tmp_path, "2.6") as one:
        seen: dict[str, Any] = {}
        for path in ("/hello/v1", "/hello/v1/x?y=1", "/hello/v10", "/o", "/hello", "/other"):
            answer = one.get("any.example.com", path)
            seen[path] = (answer.asked.get("address"), answer.asked.get("path"))

    assert seen == {
        "/hello/v1": (web.address(1), "/hello/v1"),
        "/hello/v1/x?y=1": (web.address(1), "/hello/v1/x?y=1"),
        "/hello/v10": (web.address(2), "/hello/v10"),
        "/o": (web.address(3), "/o"),
        "/hello": (None, None),
        "/other": (None, None),
    }


def test_behind_api_gateway_with_dynamodb_services_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dynamodb(tmp_path) as url:
        monkeypatch.setenv("LBCTL_REGISTRY_DYNAMODB_ENDPOINT", url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        first = handler(ARTICLE)
        event = {"httpMethod": "POST", "body": body({**ARTICLE, "candidates": []}).decode()}
        second = handler(event)

    assert isinstance(first, str)
    assert "server fds32k4354f 192.168.1.11:80" in first
    assert isinstance(second, dict)
    assert (second["statusCode"], json.dumps(second)[:1]) == (200, "{")
    assert "server a23nj53h3j4 192.168.1.9:80" in second["body"]
    assert "fds32k4354f" not in second["body"]


def test_a_dynamodb_that_is_not_there_is_told_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [port] = free_ports(1)
    monkeypatch.setenv("LBCTL_REGISTRY_DYNAMODB_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-key")
    answer = handler({"httpMethod": "POST", "body": body(ARTICLE).decode()})

    assert isinstance(answer, dict)
    assert answer["statusCode"] == 503
    assert f"dynamodb http://127.0.0.1:{port}, table lbctl-registry: " in answer["body"]
    assert "secret-key" not in answer["body"]
