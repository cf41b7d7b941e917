"""Two nodes whose only source of services does not answer: what they know, and what they do not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lbctl.lab.bundle import Node
from lbctl.lab.pair import VIP, Pair, make_pair
from lbctl.lab.wait import wait_until
from tests.consuls import ConsulAgent, consul
from tests.pairs import faults, own_lab, wait_well

pytestmark = pytest.mark.system

#: A node that may take the address has done so: listening, its programs, the dead time, a second.
TAKEN_S = 3.0 + 1.5 + 0.3 + 1.0
#: From one attempt to the next, and what a fault takes until it is over.
AGAIN_S = 15.0 + 10.0
WEBS = {"web1", "web2"}


@dataclass(frozen=True, slots=True)
class Place:
    pair: Pair
    consul: ConsulAgent

    def settings(self, node: Node) -> dict[str, Any]:
        """b has the address whenever it may."""
        skew = 100 if node is self.pair.a else 0
        return {
            "ha": {"engine": "native", "advbase_ms": 100, "advskew": skew, "drain_s": 0},
            "haproxy": {"processes": 1},
            "discovery": {"consul": {"url": self.consul.url}},
        }

    def start(self, node: Node) -> None:
        node.configure(settings=self.settings(node))
        self.pair.start_node(node)

    def asks(self, address: str) -> str:
        """Who answers there for ``/shop``, or with which status nobody does; empty: no answer."""
        form = "%{http_code} %header{x-web}"
        argv = ["curl", "-s", "-m", "1", "-o", "/dev/null", "-w", form, f"http://{address}/shop"]
        said = self.pair.client.run(argv, check=False).stdout.strip()
        return said.removeprefix("200 ").removeprefix("000")

    def first(self, node: Node, within_s: float = 15.0) -> str:
        """The first answer of all in this life of a node."""
        address = node.host.address
        return wait_until(lambda: self.asks(address), within_s, "an answer", every_s=0.005)

    def started(self, node: Node) -> bool:
        return node.run_dir.supervisord_conf.exists()

    def wait_failing(self, node: Node) -> None:
        """Until the node says that it is out of touch with its only source."""

        def is_failing() -> bool:
            return [one["state"] for one in node.agent_status()["discovery"]] == ["failing"]

        wait_until(is_failing, 5, f"{node.name} says so")

    def wait_serves(self, address: str) -> None:
        wait_until(lambda: self.asks(address) in WEBS, 5, f"{address} serves")


@pytest.fixture(name="place", scope="module")
def _place() -> Iterator[Place]:
    """a serves, and has the address; b was never started."""
    with own_lab("a", "b", "c", "client", "web1", "web2") as lab:
        pair = make_pair(lab)
        with consul(lab["c"].directory / "consul", host=lab["c"], is_lasting=True) as agent:
            for host in (pair.web1, pair.web2):
                agent.register("shop", host.name, 80, Address=host.address)
            place = Place(pair, agent)
            place.start(pair.a)
            wait_until(lambda: place.asks(VIP) in WEBS, 15, "a serves")
            yield place


@pytest.fixture(name="well")
def _well(place: Place) -> tuple[Node, Node]:
    """(a, b), serving; b has the address."""
    a, b = place.pair.nodes
    if not place.started(b):
        place.start(b)
    master, _ = wait_well(place.pair)
    assert master is b
    for address in (VIP, a.host.address):
        place.wait_serves(address)
    return a, b


def test_a_fresh_node_that_knows_no_service_leaves_the_address_to_one_that_does(
    place: Place,
) -> None:
    a, b = place.pair.nodes
    place.consul.kill()
    place.start(b)
    seen, answers = set[str](), set[str]()
    end = time.monotonic() + TAKEN_S
    while time.monotonic() < end:
        seen |= place.pair.holders()
        answers.add(place.asks(VIP))
    wrong = faults(b)
    ready = b.host.run(
        ["curl", "-s", "--unix-socket", str(b.run_dir.api_socket), "http://b/readyz"]
    )
    place.consul.start()
    wait_until(lambda: place.pair.holders() == {b.host.mac}, AGAIN_S, "b has it")

    assert seen == {a.host.mac}
    assert answers <= WEBS
    assert any("discovery" in one for one in wrong)
    assert "consul: not heard yet" in ready.stdout
    assert place.asks(VIP) in WEBS


def test_nodes_that_start_while_consul_is_away_serve_what_it_said_last(
    place: Place, well: tuple[Node, Node]
) -> None:
    place.consul.kill()
    for node in well:
        node.stop()
    for node in well:
        place.start(node)
    firsts = {place.first(node) for node in well}
    wait_well(place.pair)
    for node in well:
        place.wait_failing(node)
    asked = place.asks(VIP)
    place.consul.start()

    assert firsts <= WEBS
    assert asked in WEBS
