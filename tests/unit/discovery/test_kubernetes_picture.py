"""Services and EndpointSlices as services of ours: what they say, who gets requests."""

from __future__ import annotations

from typing import Any

import pytest

from lbctl.model.service import Route
from lbctl.settings.discovery import Kubernetes, SourceCheck
from tests.fakes.kubernetes_objects import (
    ENDED,
    ENDS,
    NOT_READY,
    READY,
    Plain,
    endpoint,
    endpoint_slice,
    service,
)
from tests.kubernetes_pictures import addresses, picture, seen, services


def states(*endpoints: Plain, **says: str) -> dict[str, str]:
    found = services(service(says=says), endpoint_slice(*endpoints))["hello"]
    return {one.id: one.state for one in found.servers}


def test_a_service_with_a_label_is_enough() -> None:
    found = services(service(), endpoint_slice(endpoint()))["hello"]

    assert found.mode == "http"
    assert found.route == Route(path="/hello", strip=True)
    assert [(one.id, one.address) for one in found.servers] == [("hello-1", "10.0.0.1:8080")]


def test_of_all_namespaces_the_name_says_which() -> None:
    found = services(service(), service(namespace="staging"), settings=Kubernetes())

    assert {*found} == {"default/hello", "staging/hello"}


def test_annotations_say_what_lb_yaml_can_say() -> None:
    said = {"name": "shop", "route.host": "shop.example.com", "check.path": "/up"}
    more = {"cookie": "SID", "balance": "leastconn", "weight": "50", "allow": "10.0.0.0/8"}
    found = services(service(says=said | more), endpoint_slice(endpoint()))["shop"]

    assert found.route == Route(host="shop.example.com")
    assert (found.cookie, found.balance, found.allow) == ("SID", "leastconn", ("10.0.0.0/8",))
    assert found.check is not None
    assert found.check.path == "/up"
    assert [one.weight for one in found.servers] == [50]


def test_an_annotation_counts_more_than_a_label() -> None:
    label = {"lbctl.name": "label"}

    assert {*services(service(labels=label))} == {"label"}
    assert {*services(service(labels=label, says={"name": "annotation"}))} == {"annotation"}


def test_the_check_is_the_sources_where_nothing_else_is_said() -> None:
    settings = Kubernetes(namespace="default", check=SourceCheck(kind="http", path="/health"))
    check = services(service(), settings=settings)["hello"].check

    assert check is not None
    assert (check.kind, check.path) == ("http", "/health")


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        (READY, "ready"),
        ({}, "ready"),
        ({"ready": None}, "ready"),
        (NOT_READY, "maint"),
        ({"ready": False}, "maint"),
        (ENDS, "drain"),
        (ENDED, "maint"),
        # publishNotReadyAddresses: it counts as ready whatever it does.
        ({"ready": True, "serving": False, "terminating": True}, "ready"),
        ({"ready": False, "serving": True, "terminating": False}, "maint"),
    ],
)
def test_conditions_say_who_gets_requests(conditions: object, state: str) -> None:
    found = states(endpoint(conditions=conditions), endpoint("10.0.0.2", "other"))

    assert found == {"hello-1": state, "other": "ready"}


def test_the_last_one_that_serves_is_not_drained() -> None:
    ends = endpoint(conditions=ENDS)

    assert states(ends) == {"hello-1": "ready"}
    assert states(ends, endpoint("10.0.0.2", "new", NOT_READY)) == {
        "hello-1": "ready",
        "new": "maint",
    }
    assert states(ends, endpoint("10.0.0.2", "new")) == {"hello-1": "drain", "new": "ready"}


def test_the_word_of_the_service_holds_for_all_its_servers() -> None:
    assert states(endpoint(), state="drain") == {"hello-1": "drain"}
    assert states(endpoint(conditions=NOT_READY), state="drain") == {"hello-1": "maint"}


def test_endpoints_without_a_pod_are_called_by_their_host_or_their_address() -> None:
    some = endpoint_slice(
        endpoint(pod=None, hostname="db-0"), endpoint("10.0.0.2", None), endpoint("10.0.0.3", "p")
    )
    found = services(service(), some)

    assert {*addresses(found)} == {"db-0", "10.0.0.2:8080", "p"}


def test_of_an_endpoint_that_is_said_twice_the_better_one_counts() -> None:
    """Slices are not changed all at once."""
    old = endpoint_slice(endpoint(conditions=NOT_READY), name="old")
    new = endpoint_slice(endpoint(), name="new")

    for objects in ((old, new), (new, old)):
        (server,) = services(service(), *objects)["hello"].servers
        assert server.state == "ready"


@pytest.mark.parametrize(("prefer", "expected"), [("ipv4", "10.0.0.1"), ("ipv6", "[fd00::1]")])
def test_of_two_addresses_of_a_pod_the_preferred_one_counts(prefer: str, expected: str) -> None:
    four = endpoint_slice(endpoint(), endpoint("10.0.0.9", "four"), name="4")
    six = endpoint_slice(endpoint("fd00::1"), endpoint("fd00::9", "six"), name="6", family="IPv6")
    found = addresses(services(service(), four, six, prefer=prefer))

    assert found == {
        "hello-1": f"{expected}:8080",
        "four": "10.0.0.9:8080",
        "six": "[fd00::9]:8080",
    }


def test_addresses_that_are_names_are_left_out_and_named() -> None:
    names = endpoint_slice(endpoint("db.example.com"), family="FQDN")
    found = seen(service(), names)

    assert found.services[0].servers == ()
    (said,) = found.problems
    assert said.startswith("Service default/hello: EndpointSlice hello-l28pc: ")
    assert said.endswith("its addresses are names, which are left out")


TWO = (("http", 80, "TCP"), ("admin", 9000, "TCP"), ("dns", 53, "UDP"))
TWO_HERE = (("http", 8080, "TCP"), ("admin", 8090, "TCP"), ("dns", 5353, "UDP"))


@pytest.mark.parametrize(("said", "port"), [("http", 8080), ("admin", 8090), ("9000", 8090)])
def test_a_port_is_said_by_its_name_or_its_number(said: str, port: int) -> None:
    found = services(
        service(ports=TWO, says={"port": said}), endpoint_slice(endpoint(), ports=TWO_HERE)
    )

    assert addresses(found) == {"hello-1": f"10.0.0.1:{port}"}


def test_each_port_may_be_a_service_of_its_own() -> None:
    said = {
        "http.name": "shop",
        "9000.name": "shop-admin",
        "admin.allow": "10.0.0.0/8",
        "check.path": "/h",
    }
    one = service(ports=TWO, says=said)
    found = services(one, endpoint_slice(endpoint(), ports=TWO_HERE))

    assert addresses(found, "shop") == {"hello-1": "10.0.0.1:8080"}
    assert addresses(found, "shop-admin") == {"hello-1": "10.0.0.1:8090"}
    assert found["shop-admin"].allow == ("10.0.0.0/8",)
    assert not found["shop"].allow
    assert [one.check and one.check.path for one in found.values()] == ["/h", "/h"]


def test_pods_that_call_another_number_by_that_name_are_reached_there() -> None:
    other = endpoint_slice(endpoint("10.0.0.2", "p2"), ports=(("http", 9999, "TCP"),), name="b")
    found = services(service(), endpoint_slice(endpoint()), other)

    assert addresses(found) == {"hello-1": "10.0.0.1:8080", "p2": "10.0.0.2:9999"}


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (
            service(ports=TWO),
            "it has the ports http, admin, and none is said: lbctl.port=http",
        ),
        (service(says={"port": "nope"}), "it has no port 'nope' (its TCP ports: http)"),
        (service(ports=()), "it has no TCP port"),
        (service(ports=TWO, says={"port": "dns"}), "its port dns is UDP, not TCP"),
        (service(says={"mode": "udp"}), "lbctl.mode = 'udp' is neither http nor tcp"),
        (
            service(kind="ExternalName"),
            "it is of type ExternalName, and has no endpoints: write the name into lb.yaml",
        ),
    ],
)
def test_a_service_that_cannot_be_served_is_named_and_all_else_goes_on(
    one: Plain, why: str
) -> None:
    found = seen(one, service("other"))

    assert found.problems == (f"Service default/hello is left out: {why}",)
    assert [other.name for other in found.services] == ["other"]


def test_a_service_may_be_switched_off() -> None:
    assert not services(service(says={"enable": "false"}))


def test_an_id_for_all_pods_is_left_out_and_named() -> None:
    found = seen(service(says={"id": "one"}), endpoint_slice(endpoint()))

    assert [one.id for one in found.services[0].servers] == ["hello-1"]
    assert found.problems == ("Service default/hello: lbctl.id is left out: each pod has its own",)


def test_services_of_one_name_are_one_with_weights_of_their_own() -> None:
    """A canary."""
    old = service(says={"weight": "90"})
    said = {"name": "hello", "weight": "10"}
    new = service("canary", created="2026-09-01T00:00:00Z", says=said)
    pod = endpoint_slice(endpoint("10.0.0.2", "c1"), of="canary")
    found = services(old, new, endpoint_slice(endpoint()), pod)

    assert {one.id: one.weight for one in found["hello"].servers} == {"hello-1": 90, "c1": 10}


def test_nobody_gets_the_requests_of_another_namespace_by_its_name() -> None:
    ours = service(says={"name": "shop"})
    thief = service("thief", "evil", created="2026-10-01T00:00:00Z", says={"name": "shop"})
    slices = (
        endpoint_slice(endpoint()),
        endpoint_slice(endpoint("6.6.6.6", "t"), of="thief", namespace="evil"),
    )
    found = seen(ours, thief, *slices, settings=Kubernetes())

    assert [one.address for one in found.services[0].servers] == ["10.0.0.1:8080"]
    (said,) = found.problems
    assert said.startswith("Service evil/thief is left out of service shop: ")
    assert said.endswith("Service default/hello, older, has that name in another namespace")


def test_a_new_one_that_speaks_something_else_harms_nobody() -> None:
    said = {"name": "hello", "mode": "tcp"}
    new = service("canary", created="2026-09-01T00:00:00Z", says=said)
    found = seen(service(), new, endpoint_slice(endpoint()))

    assert [one.mode for one in found.services] == ["http"]
    (problem,) = found.problems
    assert problem.startswith("Service default/canary is left out of service hello: ")
    assert problem.endswith("it says mode tcp, and default/hello, older, http")


def test_words_that_make_no_sense_cost_their_service_alone() -> None:
    found = seen(
        service(says={"balance": "heavy"}),
        service("other", says={"nonsense": "1"}),
        service("good"),
    )

    assert [one.name for one in found.services] == ["good"]
    assert all("Service default/" in one for one in found.problems)
    assert len(found.problems) == 2


def test_what_is_no_object_is_named_and_what_it_was_stays() -> None:
    made = picture(service(), endpoint_slice(endpoint()))
    broken = endpoint_slice(endpoint())
    broken["endpoints"] = {"a": 1}
    made.put("slices", broken)
    made.put("services", {"metadata": {"name": "x"}})
    found = made.snapshot(0.0, is_sure=False)

    assert [one.id for one in found.services[0].servers] == ["hello-1"]
    assert found.problems == (
        "EndpointSlice default/hello-l28pc is left out: its endpoints are no list",
        "Service ? is left out: an object has no namespace, or no name",
    )


@pytest.mark.parametrize(
    "one",
    [
        {},
        {"addresses": None},
        {"addresses": []},
        {"addresses": [1]},
        "x",
        None,
        {"addresses": [""]},
    ],
    ids=repr,
)
def test_an_endpoint_without_an_address_is_none(one: Any) -> None:
    assert states(endpoint(), one) == {"hello-1": "ready"}


@pytest.mark.parametrize("address", ["10.0.0.1\nserver evil 1.2.3.4:80", "a b", "10.0.0.1:1"])
def test_what_is_no_address_is_named_and_left_out(address: str) -> None:
    found = seen(service(), endpoint_slice(endpoint(address, "bad"), endpoint()))

    assert [one.id for one in found.services[0].servers] == ["hello-1"]
    assert len(found.problems) == 1
    assert "it is left out" in found.problems[0]
    assert "\n" not in found.problems[0]


def test_a_slice_that_means_every_port_or_has_no_endpoints_has_no_server() -> None:
    every = endpoint_slice(endpoint())
    every["ports"] = [{"name": "http", "protocol": "TCP"}]
    none = endpoint_slice(name="none")
    none["endpoints"] = None
    found = seen(service(), every, none)

    assert found.services[0].servers == ()
    assert found.problems == ()


def test_a_list_takes_away_what_is_not_in_it() -> None:
    made = picture(service(), service("old"), endpoint_slice(endpoint()))
    made.replace("services", [service()])
    made.replace("slices", [endpoint_slice(endpoint("10.0.0.5", "p5"))])
    found = made.snapshot(0.0, is_sure=False)

    assert [one.name for one in found.services] == ["hello"]
    assert [one.id for one in found.services[0].servers] == ["p5"]


def test_what_did_not_change_is_not_worked_out_again() -> None:
    made = picture(service(), service("other"), endpoint_slice(endpoint()))
    first = {one.name: one for one in made.snapshot(0.0, is_sure=False).services}
    made.put("slices", endpoint_slice(endpoint("10.0.0.2", "p2")))
    made.replace("services", [service(), service("other")])
    second = {one.name: one for one in made.snapshot(0.0, is_sure=False).services}

    assert second["other"] is first["other"]
    assert second["hello"] is not first["hello"]
