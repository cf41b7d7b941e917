"""Services of several sources beside each other: whose word counts, and what is told."""

from __future__ import annotations

import pytest

from lbctl.model.service import Route, Server, Service
from lbctl.settings.discovery import Api, Discovery, Hosts
from lbctl.settings.model import Settings
from lbctl.settings.services import read_services, refused

_OPERATORS = Service(name="z-app", route=Route(host="app.example.com"))


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (
            Service(name="a-thief", route=Route(host="APP.example.com")),
            "asks for the same requests as service z-app: one must differ",
        ),
        (
            Service(name="db", mode="tcp", route=Route(port=8001)),
            "route.port: 8001 is a port of haproxy.stats.port_base: change one of them",
        ),
        (
            Service(name="web", mode="tcp", route=Route(port=80)),
            "route.port: 80 is a port of http.bind: change one of them",
        ),
    ],
)
def test_who_comes_later_takes_nothing_from_those_before(found: Service, what: str) -> None:
    said = refused([_OPERATORS, found], Settings())

    assert said == {found.name: what}


def test_ports_of_the_api_and_of_dnsmasq_are_not_for_services() -> None:
    hosts = Hosts(path="/etc/hosts", dnsmasq=True, dnsmasq_port=5353)
    settings = Settings(api=Api(bind="[::]:9000"), discovery=Discovery(hosts=hosts))
    found = [
        Service(name=str(port), mode="tcp", route=Route(port=port)) for port in (53, 5353, 9000)
    ]

    assert refused(found, settings) == {
        "5353": "route.port: 5353 is a port of discovery.hosts.dnsmasq_port: change one of them",
        "9000": "route.port: 9000 is a port of api.bind: change one of them",
    }


def test_services_that_ask_for_different_requests_stand_beside_each_other() -> None:
    others = [
        Service(name="a", route=Route(host="app.example.com", path="/a")),
        Service(name="db", mode="tcp", route=Route(port=5432)),
    ]

    assert refused([_OPERATORS, *others], Settings()) == {}


def test_a_source_may_leave_to_others_where_a_tcp_service_listens() -> None:
    plain = [{"name": "db", "mode": "tcp", "servers": [{"address": "10.0.0.1:5432"}]}]

    good, bad = read_services(plain, "consul")

    assert good == (Service(name="db", mode="tcp", servers=(Server(address="10.0.0.1:5432"),)),)
    assert bad == ()
