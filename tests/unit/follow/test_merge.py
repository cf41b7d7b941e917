"""Several sources as one: who defines a service, whose servers it has, what is said of the rest."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from lbctl.follow.merge import Merged, merged
from lbctl.model.service import Route, Server, Service, Snapshot
from tests.fakes.world import service

A, B, C = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"


def snapshot(source: str, *services: Service) -> Snapshot:
    return Snapshot(source, services, 0.0)


def addresses(found: Merged, name: str = "hello") -> list[str]:
    return [one.address for one in found.services[name].servers]


def test_the_operators_definition_has_the_servers_of_all_sources_in_their_order() -> None:
    own = Service(name="hello", route=Route(path="/x"), servers=(Server(address=A),))

    found = merged(
        [
            snapshot("docker", service("hello", C)),
            snapshot("consul", service("hello", B)),
            snapshot("lb.yaml", own),
        ]
    )

    assert addresses(found) == [A, B, C]
    assert found.services["hello"].route == Route(path="/x")
    assert found.sources == {"hello": ("lb.yaml", "consul", "docker")}
    assert found.clashes == ()


def test_a_server_that_two_sources_have_counts_once() -> None:
    one = Service(name="hello", servers=(Server(address=A, id="a"), Server(address=B)))
    other = Service(name="hello", servers=(Server(address=B, id="b"), Server(address=A, id="a")))

    assert addresses(merged([snapshot("consul", one), snapshot("docker", other)])) == [A, B]


def test_one_id_at_two_addresses_is_a_clash_and_the_first_one_counts() -> None:
    one = Service(name="hello", servers=(Server(address=A, id="a"),))
    other = Service(name="hello", servers=(Server(address=B, id="a"),))

    found = merged([snapshot("consul", one), snapshot("docker", other)])

    assert addresses(found) == [A]
    assert found.clashes == (
        "hello of docker: 10.0.0.2:80 is not taken: 10.0.0.1:80 has the id a already",
    )


def test_definitions_that_differ_are_a_clash_that_says_whose_counts() -> None:
    found = merged(
        [
            snapshot("docker", service("hello", B, balance="first")),
            snapshot("consul", service("hello", A)),
        ]
    )

    assert addresses(found) == [A, B]
    assert found.clashes == ("hello of docker: other balance than of consul, which counts",)


@pytest.mark.parametrize("first", ["lb.yaml", "consul"])
def test_servers_that_speak_another_thing_are_not_taken(first: str) -> None:
    tcp = replace(service("hello", B), mode="tcp", route=Route(port=5432))

    found = merged([snapshot(first, service("hello", A)), snapshot("docker", tcp)])

    assert addresses(found) == [A]
    assert found.clashes == (
        f"hello of docker: another mode than of {first}: its servers are not taken",
    )


def test_what_has_not_changed_stays_the_same_object() -> None:
    many = [service(f"s{number}", A) for number in range(3)]
    own = [Service(name=one.name, route=Route(path="/x")) for one in many]
    before = merged([snapshot("lb.yaml", *own), snapshot("consul", *many)])
    many[0] = service("s0", A, B)

    found = merged([snapshot("lb.yaml", *own), snapshot("consul", *many)], before)

    assert addresses(found, "s0") == [A, B]
    assert found.services["s1"] is before.services["s1"]
    assert found.services["s2"] is before.services["s2"]


def test_a_thousand_services_are_merged_in_milliseconds_when_one_changes() -> None:
    servers = tuple(Server(address=f"10.0.0.{number}:80") for number in range(10))
    many = [Service(name=f"s{number}", servers=servers) for number in range(1000)]
    before = merged([snapshot("consul", *many)])
    took: list[float] = []
    for number in range(10):
        many[0] = replace(many[0], servers=servers[:number])
        began = time.perf_counter()
        before = merged([snapshot("consul", *many)], before)
        took.append(time.perf_counter() - began)

    # The quickest of them: whatever else runs on this machine.
    assert min(took) < 0.005
