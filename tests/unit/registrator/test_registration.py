"""What containers are registered as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lbctl.discovery.docker_read import Container
from lbctl.registrator.registration import FORM, OWNER, Registration, Rules, Wanted, wanted

RULES = Rules(host="shop1", address="10.0.0.7")


def container(environ: Mapping[str, str] | None = None, name: str = "w1", **more: Any) -> Container:
    values: dict[str, Any] = {
        "id": name * 20,
        "name": name,
        "environ": environ or {"SERVICE_NAME": "hello/v1", "SERVICE_TAGS": "rest"},
        "networks": {"bridge": ("172.17.0.2",)},
        "ports": (80,),
        "published": {80: ("", 8080)},
        "image": "example.com:5000/sirile/scala-boot-test:1.0",
        "is_whole": True,
        **more,
    }
    return Container(**values)


def read(*containers: Container, rules: Rules = RULES, leaving: str = "") -> Wanted:
    return wanted(containers, frozenset({leaving}), rules)


def only(found: Wanted) -> Registration:
    (one,) = found.by_id.values()
    return one


def test_the_articles_container_is_registered_as_registrator_did() -> None:
    one = only(read(container()))

    assert one.id == "shop1:w1:80"
    assert {key: value for key, value in one.payload.items() if key != "Meta"} == {
        "ID": "shop1:w1:80",
        "Name": "hello/v1",
        "Address": "10.0.0.7",
        "Port": 8080,
        "Tags": ["rest"],
    }
    assert one.payload["Meta"] == {OWNER: "shop1", FORM: one.form}


def test_without_a_name_the_image_gives_it() -> None:
    assert only(read(container({"A": "b"}))).payload["Name"] == "scala-boot-test"
    assert not read(
        container({"A": "b"}), rules=Rules(host="h", address="", is_explicit=True)
    ).by_id


def test_several_ports_have_the_port_in_their_names_but_where_one_has_its_own() -> None:
    environ = {"SERVICE_NAME": "shop", "SERVICE_443_NAME": "shop-tls", "SERVICE_443_TAGS": "tcp"}
    published = {80: ("", 1), 443: ("", 2), 8080: ("", 3)}
    found = read(container(environ, ports=(80, 443, 8080, 9000), published=published))

    assert [(one.payload["Name"], one.payload["Tags"]) for one in found.by_id.values()] == [
        ("shop-80", []),
        ("shop-tls", ["tcp"]),
        ("shop-8080", []),
    ]


@pytest.mark.parametrize("variable", ["SERVICE_IGNORE", "SERVICE_80_IGNORE"])
def test_ignore_hides(variable: str) -> None:
    assert not read(container({"SERVICE_NAME": "a", variable: "1"})).by_id


def test_the_environment_counts_more_than_labels_and_the_port_more_than_both() -> None:
    labels = {"SERVICE_NAME": "label", "SERVICE_TAGS": "a\\,b, c", "SERVICE_80_ID": "mine"}
    one = only(read(container({"SERVICE_NAME": "env"}, labels=labels)))

    assert (one.id, one.payload["Name"], one.payload["Tags"]) == ("mine", "env", ["a,b", "c"])


@pytest.mark.parametrize(
    ("more", "rules", "place"),
    [
        ({}, RULES, ("10.0.0.7", 8080)),
        ({"published": {80: ("192.168.1.1", 81)}}, RULES, ("192.168.1.1", 81)),
        (
            {"published": {80: ("192.168.1.1", 81)}},
            Rules(host="h", address="10.0.0.9", is_forced=True),
            ("10.0.0.9", 81),
        ),
        ({}, Rules(host="h", address="", is_internal=True), ("172.17.0.2", 80)),
        ({"network_mode": "host", "published": {}}, RULES, ("10.0.0.7", 80)),
    ],
)
def test_where_it_is_reached(more: dict[str, Any], rules: Rules, place: tuple[str, int]) -> None:
    payload = only(read(container(**more), rules=rules)).payload

    assert (payload["Address"], payload["Port"]) == place


def test_a_port_that_is_not_published_is_nobodys() -> None:
    assert not read(container(published={})).by_id


@pytest.mark.parametrize(
    ("said", "check"),
    [
        ({"HTTP": "/health"}, {"HTTP": "http://10.0.0.7:8080/health", "Interval": "10s"}),
        (
            {"HTTPS": "/h", "INTERVAL": "2s", "TIMEOUT": "1s"},
            {"HTTP": "https://10.0.0.7:8080/h", "Interval": "2s", "Timeout": "1s"},
        ),
        ({"TCP": "true"}, {"TCP": "10.0.0.7:8080", "Interval": "10s"}),
        ({"TTL": "30s"}, {"TTL": "30s"}),
        (
            {"TCP": "1", "INITIAL_STATUS": "passing", "DEREGISTER_AFTER": "10m"},
            {
                "TCP": "10.0.0.7:8080",
                "Interval": "10s",
                "Status": "passing",
                "DeregisterCriticalServiceAfter": "10m",
            },
        ),
    ],
)
def test_checks_are_consuls(said: dict[str, str], check: dict[str, str]) -> None:
    environ = {f"SERVICE_CHECK_{key}": value for key, value in said.items()}
    one = only(read(container({"SERVICE_NAME": "a", **environ})))

    assert one.payload["Check"] == check
    assert not one.is_ours_to_pass
    assert set(one.payload["Meta"]) == {OWNER, FORM}


def test_a_script_is_never_run_and_named() -> None:
    found = read(container({"SERVICE_NAME": "a", "SERVICE_CHECK_SCRIPT": "rm -r /"}))

    assert "Check" not in only(found).payload
    assert "SERVICE_CHECK_SCRIPT" in found.problems[0]


def test_a_ttl_is_for_those_without_a_check() -> None:
    rules = Rules(host="h", address="10.0.0.7", ttl_s=15)
    own = {"SERVICE_NAME": "a", "SERVICE_CHECK_TCP": "true"}

    assert only(read(container(), rules=rules)).is_ours_to_pass
    assert not only(read(container(own), rules=rules)).is_ours_to_pass


def test_other_words_are_its_meta_as_far_as_consul_takes_them() -> None:
    environ = {
        "SERVICE_NAME": "a",
        "SERVICE_REGION": "eu",
        "SERVICE_A.B": "x",
        "SERVICE_L": "y" * 600,
    }
    labels = {"lbctl.route.host": "app.example.com", "lbctl.name": "b", "lbctl.80.port": "1"}
    found = read(container(environ, labels=labels))
    meta = only(found).payload["Meta"]

    assert {key for key in meta if not key.startswith("lbctl_")} == {"region", "lbctl-route-host"}
    assert len(found.problems) == 2


def test_of_two_with_one_id_the_older_is_registered() -> None:
    environ = {"SERVICE_NAME": "a", "SERVICE_ID": "same"}
    old = container(environ, "old", created=1.0)
    new = container(environ, "new", created=2.0, published={80: ("", 9090)})
    found = read(new, old)

    assert only(found).payload["Port"] == 8080
    assert "container new" in found.problems[0]


@pytest.mark.parametrize(("state", "is_leaving"), [("running", False), ("paused", True)])
def test_who_is_paused_is_leaving(state: str, is_leaving: bool) -> None:
    assert only(read(container(state=state))).is_leaving is is_leaving


def test_who_was_told_to_stop_is_leaving() -> None:
    assert only(read(container(), leaving="w1" * 20)).is_leaving


def test_the_form_differs_when_anything_does() -> None:
    changed = [
        {"SERVICE_NAME": "a"},
        {"SERVICE_NAME": "a", "SERVICE_TAGS": "x"},
        {"SERVICE_NAME": "a", "SERVICE_REGION": "x"},
        {"SERVICE_NAME": "a", "SERVICE_CHECK_TCP": "x"},
    ]

    assert len({only(read(container(one))).form for one in changed}) == len(changed)
    assert only(read(container())).form == only(read(container())).form
