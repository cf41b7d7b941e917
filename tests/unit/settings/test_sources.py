"""Services of another source than lb.yaml: the good ones pass, the bad ones are named."""

from __future__ import annotations

import itertools

import pytest

from lbctl.model.service import Server, Service
from lbctl.settings.model import Settings
from lbctl.settings.services import read_services

GOOD = {"name": "good", "servers": [{"address": "10.0.0.1:80"}]}


def test_a_bad_service_is_named_and_no_others_affair() -> None:
    plain = [
        GOOD,
        {"name": "bad", "servers": [{"address": "10.0.0.1"}], "weight": 3},
        {"servers": []},
        7,
    ]

    services, bad = read_services(plain, "registry")

    assert services == (Service(name="good", servers=(Server(address="10.0.0.1:80"),)),)
    assert [one.name for one in bad] == ["bad", "bad", "services[2]", "services[3]"]
    assert str(bad[0]).startswith(
        "registry: service bad is left out: services[1].servers[0].address = '10.0.0.1': must be"
    )


def test_a_service_that_is_left_out_takes_no_route_from_others() -> None:
    plain = [
        {"name": "bad", "route": {"path": "/good"}, "accept_proxy": True},
        {"name": "good"},
    ]

    services, bad = read_services(plain, "registry")

    assert [one.name for one in services] == ["good"]
    assert [one.name for one in bad] == ["bad"]


@pytest.mark.parametrize("plain", [None, 5, "x", {}, {"services": []}])
def test_what_is_no_list_gives_nothing_and_is_told(plain: object) -> None:
    services, (bad,) = read_services(plain, "registry")

    assert services == ()
    assert "must be a list of mappings (name, mode" in bad.what


def test_of_two_that_clash_the_same_one_stays_whatever_the_order() -> None:
    plain = [
        {"name": name, "route": {"path": "/same"}, "servers": [{"address": f"{name}:1"}]}
        for name in ("b", "c", "a")
    ]

    for order in itertools.permutations(plain):
        services, bad = read_services(list(order), "docker")
        assert [one.name for one in services] == ["a"]
        assert sorted(one.name for one in bad) == ["b", "c"]
        assert all("same requests as service a" in one.what for one in bad)


def test_ports_are_looked_at_where_the_settings_are_known() -> None:
    plain = [{"name": "db", "mode": "tcp", "route": {"port": 80}}]

    assert read_services(plain, "consul")[1] == ()
    services, (bad,) = read_services(plain, "consul", Settings())
    assert (services, bad.name) == ((), "db")
    assert bad.what == "services[0].route.port: 80 is a port of http.bind: change one of them"


def test_a_name_that_cannot_be_printed_is_quoted() -> None:
    _, (bad,) = read_services([{"name": "a\nb"}], "registry")

    assert str(bad).isprintable()
