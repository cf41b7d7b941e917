"""What one end knows the other knows too, though only changes are told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.discovery.saved import plain_service
from lbctl.discovery.state import SourceState
from lbctl.discovery.wire import Heard, Receiver, Sender, Update, settled
from lbctl.errors import ProviderReplyError
from lbctl.model.service import (
    Cookie,
    HealthCheck,
    Route,
    Server,
    Service,
    ServiceTimeouts,
    Snapshot,
)
from lbctl.settings.services import read_services
from tests.fakes.provider import service

FULL = Service(
    name="hello/v1",
    routes=(Route(path="/a", strip=True, header={"X-A": "b"}), Route(host="*.example.com")),
    balance="leastconn",
    cookie=Cookie(name="JSESSIONID", kind="insert"),
    check=HealthCheck(kind="http", path="/health", interval_s=0.5, rise=1),
    retries=0,
    timeouts=ServiceTimeouts(server="3s"),
    allow=("10.0.0.0/8",),
    servers=(
        Server(address="10.0.0.1:80", id="web1", weight=0, backup=True, state="drain"),
        Server(address="[fd00::1]:80"),
    ),
)
WHO = "consul http://10.0.0.5:8500"
STATE = SourceState(source="consul", target="http://10.0.0.5:8500", since=5.0)

SERVICES = st.lists(
    st.sampled_from(["a", "b", "c", "ä/v1"]).flatmap(
        lambda name: st.integers(1, 3).map(lambda last: service(name, f"10.0.0.{last}:80"))
    ),
    unique_by=lambda one: one.name,
)
SNAPSHOTS = st.builds(
    Snapshot,
    st.sampled_from(["consul", "docker"]),
    SERVICES.map(tuple),
    st.floats(0, 1e9),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
    st.dictionaries(st.just("haproxy.maxconn"), st.text(max_size=3)),
    st.dictionaries(st.sampled_from("xy"), st.just(("10.0.0.1", "fd00::1"))),
)


def told(sender: Sender, receiver: Receiver, *heard: Heard) -> list[Any]:
    lines = sender.lines(Update(heard, ())).splitlines()
    return [receiver.take(json.loads(line)) for line in lines]


def test_a_service_is_read_as_it_was_written_with_every_key() -> None:
    plain = json.loads(json.dumps(plain_service(FULL)))

    assert read_services([plain], "consul") == ((FULL,), ())
    assert "mode" not in plain


@given(st.lists(SNAPSHOTS, max_size=8), st.sets(st.integers(0, 7)))
def test_both_ends_agree_over_any_changes_and_any_new_connections(
    snapshots: list[Snapshot], reconnects: set[int]
) -> None:
    sender, receiver = Sender(), Receiver()
    have: dict[str, Snapshot] = {}
    for number, snapshot in enumerate(snapshots):
        if number in reconnects:
            sender = Sender()
        new = have[snapshot.source] = settled(have.get(snapshot.source), snapshot)
        *_, got = (one for one in told(sender, receiver, Heard(new)) if isinstance(one, Heard))

        assert got == Heard(new)


def test_only_what_changed_is_told_and_what_did_not_stays_the_same_object() -> None:
    sender, receiver = Sender(), Receiver()
    one, other = service("a"), service("b")
    first = told(sender, receiver, Heard(Snapshot("consul", (one, other), 1.0)))[0]
    line = sender.lines(Update((Heard(Snapshot("consul", (one, FULL), 2.0)),), ()))
    second = receiver.take(json.loads(line))
    assert isinstance(second, Heard)
    again = told(Sender(), receiver, Heard(Snapshot("consul", (one, FULL), 3.0)))[0]

    assert set(json.loads(line)["services"]) == {"b", "hello/v1"}
    assert json.loads(line).keys() == {"source", "at", "is_saved", "services"}
    assert second.snapshot.services[0] is first.snapshot.services[0]
    assert [*map(id, again.snapshot.services)] == [*map(id, second.snapshot.services)]


def test_states_are_told_when_they_change_and_with_every_beat() -> None:
    sender, receiver = Sender(), Receiver()
    state = replace(STATE, problems=("x",), more={"connections": 3})
    first = sender.lines(Update((), (state,)))
    same = sender.lines(Update((), (state,)))

    assert receiver.take(json.loads(first)) == (state,)
    assert same == b""
    assert sender.beat() == first


@pytest.mark.parametrize(
    "line",
    [
        None,
        [],
        {},
        {"source": "consul"},
        {"source": "consul", "at": "x", "is_saved": False},
        {"source": "consul", "at": 1, "is_saved": False, "services": [1]},
        {"source": "consul", "at": 1, "is_saved": False, "names": {"a": 1}},
        {"source": "consul", "at": 1, "is_saved": False, "names": {"a": ["10.0.0.256"]}},
        {"source": "consul", "at": 1, "is_saved": False, "settings": 1},
        {"source": "consul", "at": 1, "is_saved": False, "settings": {"haproxy.maxconn": 1}},
        {"states": 1},
        {"states": [{}]},
        {"states": ["x"]},
        {"states": [{"source": "consul", "target": "t", "since": "x"}]},
        {"states": [{"source": ["consul"], "target": "t", "since": 1.0}]},
        {"source": "consul", "at": 10**400, "is_saved": False},
    ],
    ids=repr,
)
def test_a_line_that_makes_no_sense_is_refused(line: object) -> None:
    with pytest.raises(ProviderReplyError):
        Receiver().take(line)


def test_a_service_that_makes_no_sense_is_left_out_and_named_and_the_rest_stays() -> None:
    plain = {"a": {"name": "a", "balance": 1}, "b": plain_service(service("b"))}
    heard = Receiver().take({"source": "consul", "at": 1, "is_saved": True, "services": plain})

    assert isinstance(heard, Heard)
    assert [one.name for one in heard.snapshot.services] == ["b"]
    assert "service a is left out" in heard.snapshot.problems[0]


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (STATE, "consul http://10.0.0.5:8500: not heard yet; nothing of it is known"),
        (
            replace(STATE, heard_at=60.0, services=4, servers=12, is_saved=True),
            f"{WHO}: not heard yet; keeping 4 services with 12 servers, last heard 40 s ago",
        ),
        (
            replace(STATE, state="failing", error="no answer", heard_at=99.9, services=1),
            "no answer; keeping 1 service with 0 servers, last heard 0.1 s ago",
        ),
        (
            replace(STATE, state="failing", error="no answer", heard_at=99.9, names=3),
            "no answer; keeping 3 names, last heard 0.1 s ago",
        ),
        (
            replace(STATE, state="failing", error="no answer", heard_at=99.9),
            "no answer; keeping no service, last heard 0.1 s ago",
        ),
        (
            replace(STATE, state="failing", error="no answer", heard_at=100.0 - 7200, services=2),
            "no answer; keeping 2 services with 0 servers, last heard 2 h ago",
        ),
        (
            replace(STATE, state="live", services=2, servers=1),
            "consul http://10.0.0.5:8500: 2 services with 1 server",
        ),
    ],
    ids=["new", "saved", "failing", "names", "nothing", "long", "live"],
)
def test_how_a_source_stands_is_a_sentence(state: SourceState, sentence: str) -> None:
    assert state.sentence(100.0) == sentence


def test_that_a_source_is_back_says_after_how_long() -> None:
    live = replace(STATE, state="live", services=1, servers=1)
    failing = replace(STATE, state="failing", error="x", since=66.0, heard_at=60.0)
    doubted = replace(failing, state="doubted")

    assert live.back(failing, 100.0) == f"{WHO}: answers again after 34 s"
    assert live.back(STATE, 100.0) == f"{WHO}: 1 service with 1 server"
    assert live.back(replace(failing, heard_at=None), 100.0) == live.back(STATE, 100.0)
    assert live.back(doubted, 100.0) == f"{WHO}: 1 service with 1 server, after 34 s of doubt"
