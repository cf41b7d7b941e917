"""What Docker 20.10 and Podman 4.3 answered, and what is read of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.discovery.docker_read import Container, read_inspected, read_listed, signal_number

ID = "992bf7cbee306ec19bced7ce908b8e4971c059009e33c7d182d4e7688f7ad508"
BRIDGE = {"IPAddress": "172.31.7.3", "GlobalIPv6Address": "", "IPPrefixLen": 24}

DOCKER_LISTED: dict[str, Any] = {
    "Id": ID,
    "Names": ["/proxy/alias", "/p1"],
    "Created": 1795357424,
    "Labels": {"lbctl.name": "hello/v1"},
    "State": "running",
    "Status": "Up About a minute (healthy)",
    "Ports": [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8088, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8089, "Type": "tcp"},
        {"PrivatePort": 53, "Type": "udp"},
    ],
    "NetworkSettings": {"Networks": {"bridge": BRIDGE}},
    "HostConfig": {"NetworkMode": "default"},
}
PODMAN_LISTED = {
    "Id": ID,
    "Names": ["/h1"],
    "Labels": {},
    "Created": 1795357424,
    "State": "running",
    "Status": "Up 1 second",
    "Ports": [],
    "NetworkSettings": {"Networks": None},
    "HostConfig": None,
}
DOCKER_INSPECTED: dict[str, Any] = {
    "Id": ID,
    "Name": "/p1",
    "Created": "2026-11-22T14:23:44.907499504Z",
    "State": {"Status": "paused", "Running": True, "Paused": True},
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8088"}], "81/tcp": None},
        "Networks": {"a": {"IPAddress": "", "GlobalIPv6Address": "fd00::5"}, "bridge": BRIDGE},
    },
    "Config": {
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Env": ["SERVICE_NAME=x", "EMPTY=", "odd"],
        "Labels": {"lbctl.name": "hello/v1"},
        "StopSignal": "SIGQUIT",
        "StopTimeout": 3,
    },
    "HostConfig": {"NetworkMode": "default"},
}
PODMAN_INSPECTED = {
    "Id": ID,
    "Name": "/st",
    "Created": "2026-11-22T14:23:44.907499504Z",
    "State": {"Status": "stopping", "Running": False, "Health": {"Status": "", "Log": None}},
    "NetworkSettings": {"Ports": {}, "Networks": None},
    "Config": {"ExposedPorts": None, "Env": None, "Labels": None, "StopSignal": "15"},
    "HostConfig": {"NetworkMode": "host"},
}


def test_the_list_of_docker_tells_addresses_ports_and_health() -> None:
    read = read_listed(DOCKER_LISTED)

    assert read == Container(
        id=ID,
        name="p1",
        created=1795357424.0,
        labels={"lbctl.name": "hello/v1"},
        health="healthy",
        networks={"bridge": ("172.31.7.3",)},
        ports=(80,),
        published={80: ("", 8088)},
        network_mode="default",
    )


def test_the_list_of_podman_may_say_next_to_nothing() -> None:
    assert read_listed(PODMAN_LISTED) == Container(id=ID, name="h1", created=1795357424.0)


def test_an_inspection_tells_environment_stop_signal_and_all_addresses() -> None:
    read = read_inspected(DOCKER_INSPECTED)

    assert read == Container(
        id=ID,
        name="p1",
        created=pytest.approx(1795357424.907, abs=0.001),  # type: ignore[arg-type]
        labels={"lbctl.name": "hello/v1"},
        environ={"SERVICE_NAME": "x", "EMPTY": ""},
        state="paused",
        networks={"a": ("fd00::5",), "bridge": ("172.31.7.3",)},
        ports=(80, 81),
        published={80: ("", 8088)},
        network_mode="default",
        stop_signal=3,
        stop_timeout_s=3.0,
        is_whole=True,
    )


def test_podman_calls_a_container_stopping_and_it_counts_as_running() -> None:
    read = read_inspected(PODMAN_INSPECTED)

    assert read is not None
    assert (read.state, read.health, read.network_mode) == ("stopping", "", "host")
    assert read.is_running


def test_the_environment_of_a_container_is_not_shown() -> None:
    secret = {**DOCKER_INSPECTED, "Config": {"Env": ["PASSWORD=hunter2"]}}

    assert "hunter2" not in repr(read_inspected(secret))


@pytest.mark.parametrize(
    ("said", "number"),
    [("SIGTERM", 15), ("quit", 3), ("15", 15), ("SIGRTMIN+3", 37), ("9", 9), ("", 0), ("SIGNO", 0)],
)
def test_a_signal_is_read_however_it_is_written(said: str, number: int) -> None:
    assert signal_number(said) == number


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(DOCKER_INSPECTED)), st.sampled_from(sorted(DOCKER_LISTED)), _JSON)
def test_garbage_in_any_place_is_survived(inspected: str, listed: str, garbage: object) -> None:
    read_inspected({**DOCKER_INSPECTED, inspected: garbage})
    read_listed({**DOCKER_LISTED, listed: garbage})
    config = {**DOCKER_INSPECTED["Config"], "Env": garbage, "StopSignal": garbage}
    read_inspected({**DOCKER_INSPECTED, "Config": {**config, "StopTimeout": garbage}})
    assert read_inspected(garbage) is None
    assert read_listed(garbage) is None
