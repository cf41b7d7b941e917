"""What takes most of a service's servers away waits: shown, confirmed, lasting or taken back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from tests.balancers import Balancer, balancer, servers

pytestmark = pytest.mark.system

#: Long enough for a busy machine to look before it is over.
LONG_S = 600
SHORT_S = 2.0
THROUGH_S = 15.0


@pytest.fixture(name="guarded", scope="module")
def _guarded(host: Lab) -> Iterator[Balancer]:
    with balancer(host) as made:
        made.settings["apply"] = {"hold_s": LONG_S}
        made.services["hello/v1"] = {"servers": servers("w1", "w2", "w3")}
        made.services["other"] = {"servers": servers("w4")}
        made.begin()
        yield made


@pytest.fixture(name="whole")
def _whole(guarded: Balancer) -> Balancer:
    """With everything that it began with."""
    guarded.settings["apply"] = {"hold_s": LONG_S}
    guarded.services = {
        "hello/v1": {"servers": servers("w1", "w2", "w3")},
        "other": {"servers": servers("w4")},
    }
    guarded.reload("--confirm")
    return guarded


def test_most_of_the_servers_are_held_back_and_said(whole: Balancer) -> None:
    whole.services["hello/v1"]["servers"] = servers("w1")
    whole.write()
    told = whole.lbctl("render", "--diff").splitlines()[-1]
    answer = whole.reload()

    assert told == "# held back for apply.hold_s, or until --confirm: hello/v1: 1 of 3 servers"
    assert [(one["service"], one["had"], one["wants"]) for one in answer["held"]] == [
        ("hello/v1", 3, 1)
    ]
    assert whole.asks() == {"w1", "w2", "w3"}
    assert "held back: hello/v1: 1 of 3 servers; it goes through in" in whole.warnings()
    assert "held: hello/v1: 1 of 3 servers" in whole.lbctl("services")
    assert "held back: hello/v1: 1 of 3 servers" in whole.events("reload")


def test_other_services_go_on_changing_while_one_is_held(whole: Balancer) -> None:
    whole.services["hello/v1"]["servers"] = servers("w1")
    whole.services["other"]["servers"] = servers("w4", "w3")
    answer = whole.reload()

    assert [one["service"] for one in answer["held"]] == ["hello/v1"]
    assert whole.asks("/other") == {"w3", "w4"}


def test_half_of_the_servers_or_other_ones_are_not_held(whole: Balancer) -> None:
    whole.services["hello/v1"]["servers"] = servers("w4", "w2")
    answer = whole.reload()

    assert answer["held"] == []
    assert whole.asks() == {"w2", "w4"}


def test_all_services_at_once_are_held_and_go_when_confirmed(whole: Balancer) -> None:
    whole.services = {}
    held = whole.reload()["held"]
    before = whole.asks(), whole.asks("/other")
    answer = whole.reload("--confirm")

    assert [one["service"] for one in held] == ["hello/v1", "other"]
    assert before == ({"w1", "w2", "w3"}, {"w4"})
    assert answer["reasons"] == ["hello/v1: the service goes", "other: the service goes"]
    assert whole.asks() == {"404"}


def test_a_loss_that_is_taken_back_is_forgotten(whole: Balancer) -> None:
    lost = whole.services.pop("other")
    whole.reload()
    whole.services["other"] = lost
    answer = whole.reload()

    assert (answer["did"], answer["held"]) == ("nothing", [])
    assert whole.warnings() == ""


def test_a_loss_that_lasts_goes_through_by_itself(whole: Balancer) -> None:
    whole.settings["apply"] = {"hold_s": SHORT_S}
    whole.reload()
    whole.services["hello/v1"]["servers"] = servers("w2")
    held = whole.reload()["held"]
    wait_until(lambda: whole.asks() == {"w2"}, THROUGH_S, "the loss to go through")

    assert [one["service"] for one in held] == ["hello/v1"]
    assert whole.warnings() == ""
