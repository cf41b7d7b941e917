"""Names in servers' addresses, put in from a hosts file."""

from __future__ import annotations

import pytest

from lbctl.follow.desired import Desired
from lbctl.follow.guard import Guard
from lbctl.follow.naming import Family, named, preferred
from lbctl.model.names import backend_name
from lbctl.model.service import Server, Service, Snapshot

BOTH = ("fd00::1", "10.0.0.9")


def of(*addresses: str) -> dict[str, Service]:
    return {"hello": Service(name="hello", servers=tuple(Server(address=a) for a in addresses))}


def test_a_name_is_replaced_and_its_server_stays_who_it_was() -> None:
    found = named(of("AppSrv1:80", "10.0.0.1:80", "elsewhere:80"), {"appsrv1": ("10.0.0.5",)})

    assert found.services["hello"].servers == (
        Server(id="AppSrv1:80", address="10.0.0.5:80"),
        Server(address="10.0.0.1:80"),
        Server(address="elsewhere:80"),
    )
    assert found.places() == {("hello", "AppSrv1:80"): "10.0.0.5"}


@pytest.mark.parametrize(("prefer", "address"), [("ipv4", "10.0.0.9:80"), ("ipv6", "[fd00::1]:80")])
def test_the_preferred_family_is_taken(prefer: Family, address: str) -> None:
    found = named(of("app:80"), {"app": BOTH}, prefer)

    assert found.services["hello"].servers[0].address == address


def test_another_family_is_better_than_none() -> None:
    assert preferred(("fd00::1",), "ipv4") == "fd00::1"


def test_services_without_names_are_the_same_objects() -> None:
    services = of("10.0.0.1:80")

    assert named(services, {"app": BOTH}).services["hello"] is services["hello"]


def test_a_service_changes_only_when_its_own_name_does() -> None:
    services = of("app:80")
    before = named(services, {"app": ("10.0.0.1",)})
    same = named(services, {"app": ("10.0.0.1",), "other": ("10.0.0.2",)}, before=before)
    moved = named(services, {"app": ("10.0.0.3",)}, before=same)

    assert same.services["hello"] is before.services["hello"]
    assert moved.services["hello"].servers[0].address == "10.0.0.3:80"


def test_a_name_that_goes_from_the_file_keeps_its_last_address() -> None:
    desired = Desired(Guard(0.0), backend_name)
    desired.offer(Snapshot("lb.yaml", tuple(of("app:80").values()), 0.0))
    desired.offer(Snapshot("hosts", (), 0.0, names={"app": ("10.0.0.1",)}))
    before = desired.places()
    is_news = desired.offer(Snapshot("hosts", (), 1.0, names={}))
    kept = desired.places()
    desired.forget("hosts")

    assert is_news
    assert kept == before == {("hello", "app:80"): "10.0.0.1"}
    assert desired.places() == {}
