"""deploy/compose: two nodes, a Consul and two web servers come up, serve, move, leave nothing."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from tests.composes import Compose, composed, document
from tests.podman import Podman

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]

VIP = "10.77.0.100"
URL = f"http://{VIP}/hello"
#: What a start leaves behind is no finding any more.
OVER_S = 15.0


@pytest.fixture(name="compose", scope="module")
def _compose(engine: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Up, and in its order: each node knows the other one and both web servers."""
    directory: Path = tmp_path_factory.mktemp("compose")
    with Lab(("a",)) as lab, composed(engine, lab["a"], directory) as compose:
        wait_until(
            lambda: is_well(compose), 30, "both nodes are well", every_s=0.3, seen=compose.said
        )
        yield compose


def is_well(compose: Compose) -> bool:
    """Each serves, and has heard that the other one could."""
    is_served = compose.servers("a") == compose.servers("b") == ["up", "up"]
    return is_served and all(hears_of_a_healthy_peer(compose.status(node)) for node in ("a", "b"))


def hears_of_a_healthy_peer(status: dict[str, Any]) -> bool:
    groups = [group for one in status["ha"]["peers"] for group in one["groups"]]
    return len(groups) == 1 and groups[0]["can_serve"] and not groups[0]["faults"]


def roles(compose: Compose) -> list[str]:
    """Of a and b, as each says it."""
    said = (compose.status(node) for node in ("a", "b"))
    return [one["ha"]["role"] if one.get("ha") else "" for one in said]


def test_the_virtual_ip_answers_for_a_service_that_consul_knows(compose: Compose) -> None:
    said = compose.get(URL, times=8)

    assert len(said) == 8
    assert set(said) == {"hello from web1", "hello from web2"}


def test_both_nodes_know_each_other_and_have_the_same_configuration(compose: Compose) -> None:
    def said() -> list[dict[str, Any]]:
        return [compose.status(node)["ha"] for node in ("a", "b")]

    # Of two that began at once either may have seen the other one's announcement: 12 s at most.
    wait_until(
        lambda: not any(ha["findings"] for ha in said()), OVER_S, "nothing is found", seen=said
    )

    assert [[one["hostname"] for one in ha["peers"]] for ha in said()] == [["b"], ["a"]]


def test_handover_moves_the_address_to_the_other_node(compose: Compose) -> None:
    before = roles(compose)
    master = "ab"[before.index("MASTER")]
    said = compose.lbctl(master, "handover")

    assert "has the addresses" in said
    assert roles(compose) == before[::-1]
    assert len(compose.get(URL, times=4)) == 4


def test_a_node_that_is_stopped_leaves_the_address_to_the_other(compose: Compose) -> None:
    master = "ab"[roles(compose).index("MASTER")]
    compose.run("stop", master)

    assert len(compose.get(URL, times=4)) == 4
    assert compose.status("ba"["ab".index(master)])["ha"]["role"] == "MASTER"


def test_down_leaves_neither_containers_nor_networks_nor_volumes(compose: Compose) -> None:
    assert all(compose.left().values())

    compose.run("down", "--volumes", "--timeout=3")

    assert not any(compose.left().values())


def test_what_the_engine_gives_away_by_itself_is_no_address_of_ours() -> None:
    said = document()
    (network,) = said["networks"]["lb"]["ipam"]["config"]
    given_away = ip_network(network["ip_range"])
    ours = [one["networks"]["lb"]["ipv4_address"] for one in said["services"].values()]

    assert len(set(ours)) == len(ours) == 5
    for address in (*ours, VIP):
        assert ip_address(address) in ip_network(network["subnet"])
        assert ip_address(address) not in given_away


def test_the_nodes_differ_in_name_address_and_state_alone() -> None:
    a, b = (document()["services"][name] for name in "ab")
    differing = {key for key in a if a[key] != b[key]}

    assert a.keys() == b.keys()
    assert differing == {"hostname", "networks", "volumes"}
    assert a["cap_add"] == ["NET_ADMIN", "NET_RAW"]
    assert "privileged" not in a
