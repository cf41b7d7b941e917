"""Containers as services: what they say, where they are, who gets requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from lbctl.discovery.docker_read import Container
from lbctl.discovery.docker_services import Gathered, gather
from lbctl.model.service import Route, Server, Service
from lbctl.settings.discovery import Consul, Docker, SourceCheck

TAGS = Consul().tags
HELLO = {"lbctl.name": "hello/v1"}
REST = {"SERVICE_NAME": "hello/v1", "SERVICE_TAGS": "rest"}


def container(name: str = "w1", **said: Any) -> Container:
    said.setdefault("labels", HELLO)
    said.setdefault("networks", {"bridge": ("10.0.0.1",)})
    said.setdefault("ports", (80,))
    return Container(id=said.pop("id", name * 32), name=name, is_whole=True, **said)


def gathered(*containers: Container, docker: Docker | None = None, **more: Any) -> Gathered:
    return gather(containers, docker or Docker(), TAGS, **more)


def services(
    *containers: Container, docker: Docker | None = None, **more: Any
) -> dict[str, Service]:
    docker = docker or Docker()
    found = gathered(*containers, docker=docker, **more).judged(docker)
    return {one.name: one for one in found.services}


def addresses(*containers: Container, **docker: Any) -> Mapping[str, Sequence[str]]:
    found = services(*containers, docker=Docker(**docker))
    return {name: [server.address for server in one.servers] for name, one in found.items()}


def states(*containers: Container, leaving: Sequence[str] = ()) -> dict[str, str]:
    found = services(*containers, leaving=leaving)["hello/v1"]
    return {one.id: one.state for one in found.servers}


def test_a_name_is_enough_for_a_service() -> None:
    found = services(container())["hello/v1"]

    assert found.mode == "http"
    assert found.route == Route(path="/hello/v1", strip=True)
    assert found.servers == (Server(id="w1", address="10.0.0.1:80"),)


def test_labels_say_what_lb_yaml_can_say() -> None:
    said = {
        "lbctl.service": "app",
        "lbctl.route.host": "app.example.com",
        "lbctl.check.path": "/health",
        "lbctl.cookie": "JSESSIONID",
        "lbctl.balance": "leastconn",
        "lbctl.weight": "50",
        "lbctl.id": "first",
    }
    found = services(container(labels=said))["app"]

    assert found.route == Route(host="app.example.com")
    assert (found.cookie, found.balance) == ("JSESSIONID", "leastconn")
    assert found.check is not None
    assert (found.check.kind, found.check.path) == ("http", "/health")
    assert found.servers == (Server(id="first", address="10.0.0.1:80", weight=50),)


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        (REST, "http"),
        ({**REST, "SERVICE_TAGS": "blue, http"}, "http"),
        ({**REST, "SERVICE_TAGS": "tcp,lbctl.route.port=5432"}, "tcp"),
        ({**REST, "SERVICE_TAGS": "blue"}, None),
        ({"SERVICE_NAME": "hello/v1"}, None),
        ({"SERVICE_TAGS": "rest"}, None),
        ({**REST, "SERVICE_IGNORE": "true"}, None),
    ],
)
def test_a_tag_says_the_mode_of_a_service_named_in_the_environment(
    environ: dict[str, str], mode: str | None
) -> None:
    found = services(container(labels={}, environ=environ))

    assert (found["hello/v1"].mode if found else None) == mode


def test_registrators_check_is_taken() -> None:
    environ = {**REST, "SERVICE_CHECK_HTTP": "/health", "SERVICE_80_CHECK_HTTP": "/up"}
    check = services(container(labels={}, environ=environ))["hello/v1"].check

    assert check is not None
    assert (check.kind, check.path) == ("http", "/up")


def test_a_label_counts_more_than_the_environment() -> None:
    found = services(container(labels={"lbctl.name": "mine"}, environ=REST))

    assert list(found) == ["mine"]


@pytest.mark.parametrize("value", ["false", "0", "No", "off"])
def test_a_container_can_be_hidden(value: str) -> None:
    assert not services(container(labels={**HELLO, "lbctl.enable": value}))


def test_each_port_can_be_a_service_of_its_own() -> None:
    one = container(
        ports=(80, 8080, 9090),
        labels={
            "lbctl.8080.name": "app",
            "lbctl.check.path": "/h",
            "lbctl.8080.weight": "7",
            "lbctl.weight": "5",
        },
        environ={"SERVICE_9090_NAME": "metrics", "SERVICE_9090_TAGS": "rest"},
    )
    found = services(one)

    assert found["app"].servers == (Server(id="w1", address="10.0.0.1:8080", weight=7),)
    assert found["metrics"].servers == (Server(id="w1", address="10.0.0.1:9090", weight=5),)
    assert {one.check.path for one in found.values() if one.check} == {"/h"}


def test_two_ports_of_one_container_in_one_service_have_ids_of_their_own() -> None:
    one = container(ports=(80, 81), labels={"lbctl.80.name": "a", "lbctl.81.name": "a"})

    assert [server.id for server in services(one)["a"].servers] == ["w1", "w1-81"]


def test_one_id_for_many_containers_is_told_apart() -> None:
    labels = {**HELLO, "lbctl.id": "web"}
    many = [container(f"w{n}", labels=labels, networks={"b": (f"10.0.0.{n}",)}) for n in (1, 2, 3)]
    found = [server.id for server in services(*many)["hello/v1"].servers]

    assert found == ["web", "web-80", "web-w3w3w3w3w3w3"]


@pytest.mark.parametrize(
    ("said", "docker", "address"),
    [
        ({"networks": {"a": (), "b": ("10.1.0.1",)}}, {}, "10.1.0.1:80"),
        ({"networks": {"a": ("10.0.0.1",), "b": ("10.1.0.1",)}}, {"network": "b"}, "10.1.0.1:80"),
        ({"networks": {"a": ("fd00::5",)}}, {}, "[fd00::5]:80"),
        ({"networks": {"a": ("10.0.0.1", "fd00::5")}}, {}, "10.0.0.1:80"),
        ({"networks": {}, "network_mode": "host"}, {}, "127.0.0.1:80"),
        ({"networks": {}, "network_mode": "host"}, {"host_address": "10.0.1.11"}, "10.0.1.11:80"),
        ({"networks": {}, "published": {80: ("", 8088)}}, {}, "127.0.0.1:8088"),
        ({"networks": {}, "published": {80: ("10.0.1.9", 8088)}}, {}, "10.0.1.9:8088"),
        ({"published": {80: ("", 8088)}}, {"network": "host"}, "127.0.0.1:8088"),
        ({"ports": (80, 81), "labels": {**HELLO, "lbctl.port": "81"}}, {}, "10.0.0.1:81"),
    ],
)
def test_where_a_container_is_reached(
    said: dict[str, Any], docker: dict[str, Any], address: str
) -> None:
    assert addresses(container(**said), **docker) == {"hello/v1": [address]}


def test_a_container_in_the_network_of_another_one_is_reached_there() -> None:
    pod = container("pod", labels={}, networks={"net": ("10.0.0.9",)})
    member = container("m", networks={}, network_mode=f"container:{pod.id}")

    assert addresses(pod, member) == {"hello/v1": ["10.0.0.9:80"]}


@pytest.mark.parametrize(
    ("said", "docker", "problem"),
    [
        ({"ports": (80, 81)}, {}, "exposes ports 80, 81, and none is said: lbctl.port=80"),
        ({"ports": ()}, {}, "it exposes no TCP port, and none is said: lbctl.port=8080"),
        ({"labels": {**HELLO, "lbctl.port": "http"}}, {}, "lbctl.port = 'http' is no port"),
        ({}, {"network": "front"}, "no address in network front (its networks: bridge)"),
        ({}, {"network": "host"}, "port 80 is not published"),
        ({"networks": {}}, {}, "it has no address, and port 80 is not published"),
        ({"labels": {"lbctl.weight": "5"}}, {}, "name no service: add lbctl.name=NAME"),
        ({"labels": {**HELLO, "lbctl.weight": "much"}}, {}, "lbctl.weight = 'much' is left out"),
    ],
)
def test_what_is_left_out_is_named_with_its_container(
    said: dict[str, Any], docker: dict[str, Any], problem: str
) -> None:
    (told,) = gathered(container(**said), docker=Docker(**docker)).problems

    assert told.startswith("container w1")
    assert problem in told


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"health": "healthy"}, "ready"),
        ({"health": "starting"}, "maint"),
        ({"health": "unhealthy"}, "maint"),
        ({"state": "paused"}, "maint"),
        ({"state": "stopping"}, "drain"),
        ({"labels": {**HELLO, "lbctl.state": "drain"}}, "drain"),
        ({"labels": {**HELLO, "lbctl.state": "maint"}}, "maint"),
    ],
)
def test_who_gets_requests(said: dict[str, Any], state: str) -> None:
    other = container("w2", networks={"bridge": ("10.0.0.2",)})

    assert states(container(**said), other) == {"w1": state, "w2": "ready"}


def test_who_was_told_to_stop_is_drained_while_another_one_can_take_over() -> None:
    one, two = container("w1"), container("w2", networks={"bridge": ("10.0.0.2",)})

    assert states(one, two, leaving=[one.id]) == {"w1": "drain", "w2": "ready"}
    assert states(one, two, leaving=[one.id, two.id]) == {"w1": "ready", "w2": "ready"}
    assert states(one, leaving=[one.id]) == {"w1": "ready"}


def test_containers_that_have_ended_are_nobodys_servers() -> None:
    assert not services(container(state="exited"))


def test_the_newest_container_defines_the_service() -> None:
    old = container("a", created=1.0, labels={**HELLO, "lbctl.balance": "first"})
    new = container(
        "b",
        created=2.0,
        labels={**HELLO, "lbctl.balance": "leastconn"},
        networks={"n": ("10.1.0.1",)},
    )

    assert services(old, new)["hello/v1"].balance == "leastconn"
    assert gathered(old, new).judged(Docker()).problems == (
        "service hello/v1: a says something else of it than a newer one: it does not count",
    )


@pytest.mark.parametrize(
    ("slip", "servers"),
    [
        ({"lbctl.balance": "leastcon"}, ["a", "b"]),
        ({"lbctl.route.path": "/a\nb"}, ["a", "b"]),
        ({"lbctl.check.interval": "nan"}, ["a", "b"]),
        ({"lbctl.id": "a\x01"}, ["a", "b"]),
        ({"lbctl.weight": "9" * 5000}, ["a", "b"]),
        ({"lbctl.port": "9" * 5000}, ["a"]),
        ({"lbctl.mode": "htpp"}, ["a"]),
        ({"lbctl.mode": "tcp"}, ["a"]),
    ],
)
def test_a_slip_in_the_words_of_a_new_container_is_named_and_harms_no_other(
    slip: dict[str, str], servers: list[str]
) -> None:
    old = container("a", created=1.0, labels={**HELLO, "lbctl.balance": "first"})
    new = container("b", created=2.0, labels={**HELLO, **slip}, networks={"n": ("10.1.0.1",)})
    found = gathered(old, new)
    judged = found.judged(Docker())

    assert [one.id for one in judged.services[0].servers] == servers
    assert judged.services[0].mode == "http"
    assert any("b" in what for what in (*found.problems, *judged.problems))


def test_a_container_that_speaks_something_else_than_the_oldest_is_left_out() -> None:
    old = container("a", created=1.0)
    said = {**HELLO, "lbctl.mode": "tcp", "lbctl.route.port": "5432"}
    new = container("b", created=2.0, labels=said, networks={"n": ("10.1.0.1",)})
    told = gathered(old, new)

    assert [one.id for one in services(old, new)["hello/v1"].servers] == ["a"]
    assert told.problems == (
        "container b is left out of service hello/v1: it says mode tcp, and a, older, http",
    )


def test_the_check_is_that_of_the_source_where_nothing_is_said() -> None:
    docker = Docker(check=SourceCheck(kind="http", path="/up"))
    check = services(container(), docker=docker)["hello/v1"].check

    assert check is not None
    assert (check.kind, check.path) == ("http", "/up")


def test_the_order_of_the_list_does_not_matter() -> None:
    many = [container(f"w{n}", networks={"b": (f"10.0.0.{n}",)}) for n in range(1, 6)]

    assert services(*many) == services(*reversed(many))
