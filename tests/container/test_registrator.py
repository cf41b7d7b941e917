"""``lbctl registrator`` between a real Docker or Podman and a real Consul."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lbctl.lab.process import Process
from lbctl.lab.wait import wait_until
from tests.consuls import ConsulAgent, consul
from tests.engines import Engine

pytestmark = pytest.mark.container

#: An event is seen at once; of Podman's stop by the list, every two seconds.
_SEEN_S = 5.0
_HOST = "shop1"
_MAINTENANCE = "_service_maintenance:shop1:w1:80"
#: What has nothing to do with which engine it is.
ONE_ENGINE = pytest.mark.parametrize("docker", ["docker"], indirect=True)
_HELLO = {"SERVICE_NAME": "hello/v1", "SERVICE_TAGS": "rest,blue"}


@pytest.fixture(name="agent", scope="module")
def _agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulAgent]:
    with consul(tmp_path_factory.mktemp("consul")) as agent:
        yield agent


@pytest.fixture(name="clean", autouse=True)
def _clean(agent: ConsulAgent) -> Iterator[None]:
    yield
    for name in agent.ask("GET", "/v1/agent/services"):
        agent.deregister(name)


@contextmanager
def registrator(docker: Engine, agent: ConsulAgent, log: Path, *options: str) -> Iterator[Process]:
    """As a program of its own; killed if it has not ended."""
    argv = [sys.executable, "-m", "lbctl", "registrator", f"--host={_HOST}"]
    argv += [f"--docker={docker.url}", f"--consul={agent.url}", "--address=10.0.0.7", *options]
    process = Process.start(argv, log, None)
    try:
        yield process
    finally:
        process.signal(signal.SIGKILL)
        process.popen.wait(5)


def services(agent: ConsulAgent) -> Mapping[str, Mapping[str, Any]]:
    """By id."""
    found: Mapping[str, Mapping[str, Any]] = agent.ask("GET", "/v1/agent/services")
    return found


def wait_services(agent: ConsulAgent, *ids: str, within_s: float = _SEEN_S) -> None:
    """Until these are registered, and no other."""
    wait_until(
        lambda: {*services(agent)} == {*ids},
        within_s,
        f"services {', '.join(ids)}",
        seen=lambda: str({*services(agent)}),
    )


def checks(agent: ConsulAgent) -> Mapping[str, str]:
    """State by id."""
    return {key: one["Status"] for key, one in agent.ask("GET", "/v1/agent/checks").items()}


def test_containers_are_registered_as_they_come_and_go(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    docker.run("old", env=_HELLO, published={80: 8081})
    with registrator(docker, agent, tmp_path / "log"):
        wait_services(agent, "shop1:old:80")
        docker.run("new", labels={**_HELLO, "lbctl.balance": "leastconn"}, published={80: 8082})
        wait_services(agent, "shop1:old:80", "shop1:new:80")
        new = services(agent)["shop1:new:80"]
        assert (new["Service"], new["Tags"]) == ("hello/v1", ["rest", "blue"])
        assert (new["Address"], new["Port"]) == ("10.0.0.7", 8082)
        assert new["Meta"]["lbctl-balance"] == "leastconn"
        docker.remove("old")
        wait_services(agent, "shop1:new:80")
        docker.tell("new", "stop", t=1)
        wait_services(agent)
        docker.start_again("new")
        wait_services(agent, "shop1:new:80")


@ONE_ENGINE
def test_ports_have_names_and_tags_of_their_own(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    environ = {
        "SERVICE_NAME": "shop",
        "SERVICE_REGION": "eu",
        "SERVICE_81_NAME": "admin/v2",
        "SERVICE_81_TAGS": "rest",
        "SERVICE_82_IGNORE": "yes",
        "SERVICE_83_ID": "mine",
    }
    ports = (80, 81, 82, 83, 84)
    published = {port: 8000 + port for port in ports[:4]}
    with registrator(docker, agent, tmp_path / "log"):
        docker.run("many", env=environ, ports=ports, published=published)
        wait_services(agent, "shop1:many:80", "shop1:many:81", "mine")
        found = services(agent)
        assert {one["Service"] for one in found.values()} == {"shop-80", "admin/v2", "shop-83"}
        assert found["shop1:many:81"]["Tags"] == ["rest"]
        assert {one["Meta"]["region"] for one in found.values()} == {"eu"}


@ONE_ENGINE
def test_internal_registers_addresses_of_containers(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    with registrator(docker, agent, tmp_path / "log", "--internal", "--explicit"):
        docker.run("w1", env=_HELLO, ports=(8080,))
        docker.run("w2", ports=(8080,))
        wait_services(agent, "shop1:w1:8080")
        one = services(agent)["shop1:w1:8080"]
        assert (one["Address"], one["Port"]) == (docker.address("w1"), 8080)


@ONE_ENGINE
def test_leavings_of_a_crash_are_cleaned_and_others_stay(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    agent.register("other", "shop1:other:80", 80)
    agent.register("far", "shop2:w1:80", 80, Meta={"lbctl_registrator": "shop2"})
    others = ("shop1:other:80", "shop2:w1:80")
    for name, port in (("w1", 8081), ("w2", 8082)):
        docker.run(name, env=_HELLO, published={80: port})
    with registrator(docker, agent, tmp_path / "log"):
        wait_services(agent, *others, "shop1:w1:80", "shop1:w2:80")
    docker.remove("w1")
    assert {*services(agent)} == {*others, "shop1:w1:80", "shop1:w2:80"}
    with registrator(docker, agent, tmp_path / "again") as second:
        wait_services(agent, *others, "shop1:w2:80")
        assert "registered shop1:w2" not in second.text().replace("deregistered", "")


@ONE_ENGINE
def test_sigterm_deregisters_where_that_is_asked_for(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    with registrator(docker, agent, tmp_path / "log", "--deregister") as process:
        docker.run("w1", env=_HELLO, published={80: 8081})
        wait_services(agent, "shop1:w1:80")
        process.signal(signal.SIGTERM)

        assert process.popen.wait(5) == 0
        assert not services(agent)


@ONE_ENGINE
def test_a_ttl_passes_as_long_as_it_runs(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    check = "service:shop1:w1:80"
    with registrator(docker, agent, tmp_path / "log", "--ttl=3") as process:
        docker.run("w1", env=_HELLO, published={80: 8081})
        wait_services(agent, "shop1:w1:80")
        assert checks(agent) == {check: "passing"}
        process.signal(signal.SIGSTOP)
        wait_until(lambda: checks(agent) == {check: "critical"}, 6, "the end of the TTL")
        process.signal(signal.SIGCONT)
        wait_until(lambda: checks(agent) == {check: "passing"}, 3, "its renewal")


@ONE_ENGINE
def test_a_container_that_is_paused_or_told_to_stop_is_in_maintenance(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    with registrator(docker, agent, tmp_path / "log"):
        docker.run("w1", env={**_HELLO, "GRACE": "60"}, published={80: 8081})
        wait_services(agent, "shop1:w1:80")
        docker.tell("w1", "pause")
        wait_until(lambda: _MAINTENANCE in checks(agent), _SEEN_S, "maintenance")
        docker.tell("w1", "unpause")
        wait_until(lambda: _MAINTENANCE not in checks(agent), _SEEN_S, "the end of maintenance")
        docker.tell("w1", "kill", signal="SIGTERM")
        wait_until(lambda: _MAINTENANCE in checks(agent), _SEEN_S, "maintenance before it is gone")
        assert docker.inspect("w1")["State"]["Running"]
        docker.remove("w1")
        wait_services(agent)


@ONE_ENGINE
def test_what_consul_has_lost_is_registered_again(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    with registrator(docker, agent, tmp_path / "log") as process:
        docker.run("w1", env=_HELLO, published={80: 8081})
        wait_services(agent, "shop1:w1:80")
        agent.kill()
        docker.run("w2", env=_HELLO, published={80: 8082})
        wait_until(lambda: "it is tried again" in process.text(), 5, "a word about it")
        agent.start()
        wait_services(agent, "shop1:w1:80", "shop1:w2:80", within_s=16)
        assert "answers again" in process.text()


@ONE_ENGINE
def test_what_is_registered_stays_after_sigterm_and_while_containers_cannot_be_seen(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    with registrator(docker, agent, tmp_path / "log") as process:
        docker.run("w1", env=_HELLO, published={80: 8081})
        wait_services(agent, "shop1:w1:80")
        process.signal(signal.SIGTERM)
        assert process.popen.wait(5) == 0
    moved = docker.socket.with_suffix(".away")
    docker.socket.rename(moved)
    try:
        with registrator(docker, agent, tmp_path / "again") as process:
            wait_until(lambda: "what is registered stays" in process.text(), 5, "a word about it")
            assert {*services(agent)} == {"shop1:w1:80"}
    finally:
        moved.rename(docker.socket)


@ONE_ENGINE
def test_what_consul_refuses_of_one_is_no_others_affair(
    docker: Engine, agent: ConsulAgent, tmp_path: Path
) -> None:
    with registrator(docker, agent, tmp_path / "log") as process:
        docker.run("w1", env={**_HELLO, "SERVICE_CHECK_TTL": "soon"}, published={80: 8081})
        docker.run("w2", env=_HELLO, published={80: 8082})
        wait_services(agent, "shop1:w2:80")
        wait_until(lambda: "shop1:w1:80: consul" in process.text(), 5, "a word about it")
