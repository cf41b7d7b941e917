"""Services out of the containers of a real Docker, and of a real Podman."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from lbctl.discovery.docker import DockerProvider
from lbctl.discovery.docker_follow import Pace
from lbctl.settings.discovery import Docker
from tests.engines import Engine
from tests.fakes.docker_proxy import docker_proxy
from tests.places import open_directory
from tests.watched import Watched, watched

pytestmark = pytest.mark.container

#: An event is seen at once; what Podman says of a stop, by the next list.
_EVENT_S = 5.0
_PACE = Pace(ping_s=0.3, poll_s=0.2, share=1.0)
#: Everything is looked at, and other events are listened to, while a container stops. That takes
#: Podman longer than the container, and who leaves is to be seen there at any time.
_PACES = {"docker": replace(_PACE, resync_s=0.1), "podman": _PACE}
#: What reads the same of either engine.
ONE_ENGINE = pytest.mark.parametrize("docker", ["docker"], indirect=True)
#: Docker looks five times a second.
_CHECKED_S = 6.0
_HELLO = {"lbctl.name": "hello/v1"}


def provider(
    url: str,
    network: str | None = None,
    host_address: str | None = None,
    timeout_s: float = 5.0,
    pace: Pace = _PACE,
) -> DockerProvider:
    settings = Docker(url=url, network=network, host_address=host_address)
    return DockerProvider(settings, {}, pace=pace, timeout_s=timeout_s)


@pytest.fixture(name="seen")
def _seen(docker: Engine) -> Iterator[Watched]:
    with watched(provider(docker.url)) as seen:
        yield seen


def wait_servers(seen: Watched, service: str, *servers: str) -> None:
    """Until these serve, and no other."""
    wanted = dict.fromkeys(servers, "ready")
    seen.wait(
        lambda: {name: one[1] for name, one in seen.servers(service).items()} == wanted,
        _EVENT_S,
        f"{service} has {wanted}",
    )


def _state(seen: Watched) -> str:
    return seen.servers("hello/v1").get("w1", ("", ""))[1]


def test_a_container_serves_where_it_answers(docker: Engine, seen: Watched) -> None:
    docker.run("w1", labels={**_HELLO, "lbctl.check.path": "/health"})
    docker.run("w2", env={"SERVICE_NAME": "hello/v1", "SERVICE_TAGS": "rest"}, ports=(8080,))
    docker.run("db", env={"SERVICE_NAME": "db"})
    wait_servers(seen, "hello/v1", "w1", "w2")
    servers = seen.servers("hello/v1")
    answers = [
        docker.host.run(["curl", "-s", f"http://{address}/"]).stdout
        for address, _ in servers.values()
    ]

    assert servers["w2"][0] == f"{docker.address('w2')}:8080"
    assert answers == ["well\n", "well\n"]
    assert [one.name for one in seen.last.services] == ["hello/v1"]


@ONE_ENGINE
def test_only_the_last_container_that_was_seen_to_go_is_surely_gone(
    docker: Engine, seen: Watched
) -> None:
    docker.run("w1", labels=_HELLO)
    wait_servers(seen, "hello/v1", "w1")
    docker.tell("w1", "kill", signal="KILL")
    seen.wait(lambda: not seen.last.services, _EVENT_S, "it is gone")
    seen_to_go = seen.last.is_sure
    with watched(provider(docker.url)) as later:
        found_empty = later.last.is_sure

    assert seen_to_go
    assert not found_empty


def test_a_container_that_stops_is_drained_unless_it_is_the_last(docker: Engine) -> None:
    docker.run("w1", labels=_HELLO, env={"GRACE": "0.5"})
    docker.run("w2", labels=_HELLO, env={"GRACE": "0.5"})
    with watched(provider(docker.url, pace=_PACES[docker.kind])) as seen:
        wait_servers(seen, "hello/v1", "w1", "w2")
        docker.tell("w2", "stop", t=9)
        wait_servers(seen, "hello/v1", "w1")
        docker.tell("w1", "stop", t=9)
        seen.wait(lambda: not seen.servers("hello/v1"), _EVENT_S, "it is gone")

    assert seen.states("hello/v1", "w2") == ["ready", "drain", ""]
    assert seen.states("hello/v1", "w1") == ["ready", ""]


@ONE_ENGINE
def test_a_server_keeps_its_id_when_a_restart_gives_it_another_address(
    docker: Engine, seen: Watched
) -> None:
    docker.run("w1", labels=_HELLO)
    wait_servers(seen, "hello/v1", "w1")
    before = seen.servers("hello/v1")
    docker.tell("w1", "stop", t=0)
    # It takes the address that is free now.
    docker.run("other")
    docker.start_again("w1")
    seen.wait(lambda: seen.servers("hello/v1") not in ({}, before), _EVENT_S, "another address")

    assert seen.servers("hello/v1") == {"w1": (f"{docker.address('w1')}:80", "ready")}


def test_a_restart_drains_and_ends_ready_and_a_hup_does_nothing(
    docker: Engine, seen: Watched
) -> None:
    docker.run("w1", labels=_HELLO, env={"GRACE": "0.5"})
    docker.run("w2", labels=_HELLO)
    wait_servers(seen, "hello/v1", "w1", "w2")
    docker.tell("w2", "kill", signal="HUP")
    docker.tell("w1", "restart", t=9)
    docker.tell("w2", "rename", name="w9")
    wait_servers(seen, "hello/v1", "w1", "w9")

    assert "drain" in seen.states("hello/v1", "w1")
    assert seen.states("hello/v1", "w2") == ["", "ready", ""]
    assert seen.servers("hello/v1")["w1"][0] == f"{docker.address('w1')}:80"


def test_a_container_serves_while_its_health_check_says_so(docker: Engine, seen: Watched) -> None:
    docker.run("w1", labels=_HELLO, health="test -e /tmp/ok")
    seen.wait(lambda: seen.servers("hello/v1"), _EVENT_S, "it is there")
    docker.exec("w1", "touch", "/tmp/ok")
    docker.check_health("w1")
    seen.wait(lambda: _state(seen) == "ready", _CHECKED_S, "it is healthy")
    docker.exec("w1", "rm", "/tmp/ok")
    docker.check_health("w1")
    seen.wait(lambda: _state(seen) == "maint", _CHECKED_S, "it is not healthy any more")

    assert seen.states("hello/v1", "w1")[-3:] == ["maint", "ready", "maint"]


@ONE_ENGINE
def test_a_paused_container_gets_nothing(docker: Engine, seen: Watched) -> None:
    docker.run("w1", labels=_HELLO)
    wait_servers(seen, "hello/v1", "w1")
    docker.tell("w1", "pause")
    seen.wait(lambda: _state(seen) == "maint", _EVENT_S, "maint")
    docker.tell("w1", "unpause")
    wait_servers(seen, "hello/v1", "w1")

    assert seen.states("hello/v1", "w1") == ["", "ready", "maint", "ready"]


def test_the_address_is_that_of_the_network_that_is_asked_for(docker: Engine) -> None:
    docker.ask("POST", "/networks/create", {"Name": "front", "CheckDuplicate": True})
    with watched(provider(docker.url, network="front")) as seen:
        docker.run("w1", labels=_HELLO)
        what = "no address in network front"
        seen.wait(lambda: what in str(seen.last.problems), _EVENT_S, what)
        docker.connect("front", "w1")
        wait_servers(seen, "hello/v1", "w1")
        networks = docker.inspect("w1")["NetworkSettings"]["Networks"]
        address = seen.servers("hello/v1")["w1"][0]
        docker.connect("front", "w1", "disconnect")
        seen.wait(lambda: not seen.servers("hello/v1"), _EVENT_S, "it is left out again")
        docker.remove("w1")
    docker.ask("DELETE", "/networks/front")

    assert address == f"{networks['front']['IPAddress']}:80"


@ONE_ENGINE
def test_containers_on_the_host_and_published_ports_are_reached_there(docker: Engine) -> None:
    with watched(provider(docker.url, network="host", host_address="10.0.1.11")) as seen:
        on_host = {**_HELLO, "lbctl.port": "8099"}
        docker.run("w1", labels=on_host, network="host", ports=(8099,))
        docker.run("w2", labels=_HELLO, published={80: 8098})
        wait_servers(seen, "hello/v1", "w1", "w2")

        assert [address for address, _ in seen.servers("hello/v1").values()] == [
            "10.0.1.11:8099",
            "10.0.1.11:8098",
        ]


def test_an_engine_that_is_killed_empties_nothing_and_is_followed_when_it_is_back(
    docker: Engine, seen: Watched
) -> None:
    docker.run("w1", labels=_HELLO)
    wait_servers(seen, "hello/v1", "w1")
    count = len(seen.snapshots)
    docker.kill()
    seen.wait(lambda: len(seen.errors) > 2, _EVENT_S, "errors")
    after = len(seen.snapshots)
    docker.start()
    docker.run("w2", labels=_HELLO)
    seen.wait(lambda: "w2" in seen.servers("hello/v1"), _EVENT_S, "w2 is found")

    assert after == count
    assert f"docker {docker.url}: " in seen.errors[0]


def test_a_silent_connection_is_noticed(engines: Mapping[str, Engine]) -> None:
    docker = engines["docker"]
    docker.run("w1", labels=_HELLO)
    with (
        open_directory() as short,
        docker_proxy(docker.socket, short / "sock") as (proxy, _),
        watched(provider(proxy.url, timeout_s=0.4)) as seen,
    ):
        wait_servers(seen, "hello/v1", "w1")
        proxy.fault = "no_answer"
        seen.wait(lambda: seen.errors, 0.3 + 0.4 + 1.0, "an error: ping, answer and a bit")
        proxy.fault = "none"
        docker.run("w2", labels=_HELLO)
        wait_servers(seen, "hello/v1", "w1", "w2")
    docker.remove_all()

    assert seen.errors[0] == f"docker {proxy.url}: no answer in 0.4 s"
