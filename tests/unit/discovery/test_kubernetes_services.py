"""Which of several words, ports and endpoints count."""

from __future__ import annotations

from tests.fakes.kubernetes_objects import endpoint, endpoint_slice, service
from tests.kubernetes_pictures import addresses, seen, services


def test_the_newest_word_of_a_service_counts_and_the_other_is_named() -> None:
    old = service(says={"balance": "leastconn"})
    said = {"name": "hello", "balance": "source"}
    found = seen(old, service("canary", created="2026-09-01T00:00:00Z", says=said))

    assert [one.balance for one in found.services] == ["source"]
    assert "Service default/hello says something else of it" in found.problems[0]


def test_an_address_of_two_services_counts_once() -> None:
    both = service(), service("canary", says={"name": "hello"})
    found = services(*both, endpoint_slice(endpoint()), endpoint_slice(endpoint(), of="canary"))

    assert [one.address for one in found["hello"].servers] == ["10.0.0.1:8080"]


def test_a_port_that_is_called_as_a_word_is_meant_by_its_number_alone() -> None:
    ports = (("check", 80, "TCP"), ("other", 81, "TCP"))
    said = {"port": "other", "check.path": "/up", "80.name": "checked"}
    found = services(service(ports=ports, says=said))

    # What is said for one port alone makes the Service that one.
    assert {*found} == {"checked"}
    assert found["checked"].check is not None
    assert found["checked"].check.path == "/up"


def test_a_port_of_another_protocol_with_the_same_name_is_not_meant() -> None:
    """As DNS has it: TCP and UDP by one name, here by different numbers."""
    here = (("dns", 5353, "UDP"), ("dns", 5354, "TCP"))
    found = services(service(ports=(("dns", 53, "TCP"),)), endpoint_slice(endpoint(), ports=here))

    assert addresses(found) == {"hello-1": "10.0.0.1:5354"}


def test_only_a_pod_gives_a_server_its_name() -> None:
    node = endpoint(targetRef={"kind": "Node", "name": "node-07"})

    assert {*addresses(services(service(), endpoint_slice(node)))} == {"10.0.0.1:8080"}
