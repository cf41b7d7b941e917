"""What is kept of Consul between two answers."""

from __future__ import annotations

from lbctl.discovery.consul_picture import Picture
from lbctl.settings.discovery import Consul


def instance(identity: str) -> dict[str, object]:
    service = {"ID": identity, "Port": 80, "Tags": ["rest"]}
    return {"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Service": service, "Checks": []}


def picture() -> Picture:
    found = Picture(Consul(), "consul http://127.0.0.1:8500")
    found.catalog({"hello/v1": ["rest"]})
    found.service("hello/v1", [instance("h1")])
    return found


def services(known: Picture) -> list[str]:
    return [one.name for one in known.snapshot(1.0).services]


def test_a_service_that_is_listed_and_has_no_instance_to_be_seen_stays() -> None:
    known = picture()
    known.service("hello/v1", [])

    assert services(known) == ["hello/v1"]
    assert not known.snapshot(1.0).problems


def test_it_is_named_when_none_is_seen_again() -> None:
    known = picture()
    known.service("hello/v1", [])
    known.service("hello/v1", [])

    assert services(known) == ["hello/v1"]
    assert "Consul lists it, and shows no instance" in known.snapshot(1.0).problems[0]


def test_it_goes_with_the_list_and_comes_back_with_an_instance() -> None:
    known = picture()
    known.service("hello/v1", [])
    known.catalog({})
    gone = services(known)
    known.catalog({"hello/v1": ["rest"]})
    known.service("hello/v1", [instance("h2")])

    assert gone == []
    assert services(known) == ["hello/v1"]
    assert not known.snapshot(1.0).problems
