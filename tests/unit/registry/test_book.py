"""What the registry knows after a payload."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.registry.book import Table, applied, from_bytes, plain_service, to_bytes
from lbctl.settings.discovery import SourceCheck
from lbctl.settings.services import read_services
from tests.registries import ARTICLE, Plain, candidate, payload, plain, runs


def told(*payloads: Plain) -> Table:
    """What is known after all of them."""
    table: Table = {}
    for one in payloads:
        table = applied(table, payload(one)).table
    return table


def addresses(table: Table) -> dict[str, dict[str, str]]:
    return {
        name: {one.id: one.address for one in service.containers.values()}
        for name, service in table.items()
    }


def test_the_article_gives_the_servers_that_it_prints() -> None:
    found = applied({}, payload(ARTICLE))

    assert addresses(found.table) == {
        "app1": {"a23nj53h3j4": "192.168.1.9:80"},
        "app2": {"das843j3h3k": "192.168.1.10:80", "fds32k4354f": "192.168.1.11:80"},
    }
    assert [(one.service, one.id) for one in found.ignored] == [("app1", "jk3243j54jl")]


FIRST = plain([], candidate("a", x="10.0.0.1:81", y="10.0.0.2:81"))


def test_a_container_stays_as_long_as_it_runs() -> None:
    assert addresses(told(FIRST, plain(runs("a", y="10.0.0.2:81")))) == {"a": {"y": "10.0.0.2:81"}}


def test_a_service_without_containers_is_forgotten() -> None:
    assert told(FIRST, plain()) == {}


def test_a_service_that_came_back_says_anew_how_it_is_reached() -> None:
    after = applied(told(FIRST, plain()), payload(plain(runs("a", x="10.0.0.1:81"))))

    assert after.table == {}
    assert [one.id for one in after.ignored] == ["x"]


@pytest.mark.parametrize(
    ("ip", "address"), [("10.0.9.9:8080", "10.0.9.9:8080"), ("10.0.9.9", "10.0.9.9:81")]
)
def test_a_container_that_moved_is_where_it_runs_now(ip: str, address: str) -> None:
    """The port that is not said is the one that was known."""
    assert addresses(told(FIRST, plain(runs("a", x=ip)))) == {"a": {"x": address}}


def test_containers_of_a_candidate_are_added() -> None:
    second = plain(runs("a", x="10.0.0.1:81"), candidate("a", z="10.0.0.3"))

    assert addresses(told(FIRST, second)) == {"a": {"x": "10.0.0.1:81", "z": "10.0.0.3:80"}}


def test_what_a_candidate_says_of_its_service_counts_from_now_on() -> None:
    more = {"configMode": "path", "predicate": "/v2", "cookie": "SID"}
    [service] = told(FIRST, plain(runs("a", x="10.0.0.1:81"), candidate("a", more))).values()

    assert (service.mode, service.predicate, service.cookie) == ("path", "/v2", "SID")
    assert list(service.containers) == ["x"]


def test_a_running_container_of_another_service_is_not_this_one() -> None:
    assert told(FIRST, plain(runs("b", x="10.0.0.1:81"))) == {}


def test_a_host_speaks_of_its_own_containers_alone() -> None:
    one = plain([], candidate("a", x="10.0.0.1"), host="one")
    two = plain([], candidate("a", y="10.0.0.2"), host="two")

    assert set(addresses(told(one, two))["a"]) == {"x", "y"}
    assert set(addresses(told(one, two, plain(host="two")))["a"]) == {"x"}
    assert told(one, two, plain(host="two"), plain(host="one")) == {}


def test_without_a_host_a_payload_speaks_of_all_of_them() -> None:
    one = plain([], candidate("a", x="10.0.0.1"), host="one")

    assert told(one, plain()) == {}


def test_the_same_payload_again_changes_nothing_when_its_containers_run() -> None:
    again = {**FIRST, "running": runs("a", x="10.0.0.1:81", y="10.0.0.2:81")}

    assert told(FIRST, again, again) == told(FIRST)


IDS = st.lists(st.sampled_from("wxyz"), unique=True, max_size=4)


@st.composite
def _payloads(draw: st.DrawFn) -> Plain:
    running = [run for name in "ab" for run in runs(name, **dict.fromkeys(draw(IDS), "10.0.0.1"))]
    new = {name: dict.fromkeys(draw(IDS), "10.0.0.2:8080") for name in draw(IDS)}
    candidates = [candidate(name, **ips) for name, ips in new.items()]
    return plain(running, *candidates, host=draw(st.sampled_from(["", "one", "two"])))


@given(st.lists(_payloads(), max_size=5))
@settings(max_examples=200, deadline=None)
def test_after_any_payloads_no_service_is_empty_and_all_of_it_can_be_stored(
    found: list[Plain],
) -> None:
    table = told(*found)

    assert all(service.containers for service in table.values())
    assert from_bytes(to_bytes(table)) == table
    items = [plain_service(one, SourceCheck()) for one in table.values()]
    services, bad = read_services(items, "registry")
    assert (len(services), bad) == (len(table), ())


@given(_payloads())
@settings(max_examples=100, deadline=None)
def test_a_payload_told_twice_is_known_once(found: Plain) -> None:
    """What answers nothing is sent again: everything it adds runs, as its sender knows."""
    first = told(found)
    running = [
        run
        for name, service in first.items()
        for run in runs(name, **{one.id: one.address for one in service.containers.values()})
    ]

    assert told(found, {**found, "running": running}) == first


def test_the_order_of_services_and_containers_does_not_change_what_is_stored() -> None:
    ones = [candidate("a", x="10.0.0.1", y="10.0.0.2"), candidate("b", z="10.0.0.3")]

    assert {to_bytes(told(plain([], *some))) for some in itertools.permutations(ones)} == {
        to_bytes(told(plain([], *ones)))
    }


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b"[" * 100_000, b"\xff", b'{"format": 2, "services": []}'),
        *(b'{"format": 1, "services": [{}]}', b'{"format": 1, "services": 7}'),
        b'{"format":1,"services":[{"name":1,"mode":"host","predicate":"a","cookie":null}]}',
    ],
)
def test_what_somebody_else_has_stored_is_not_believed(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_bytes(content)


def test_a_service_is_one_of_lb_yaml_with_its_cookie_and_the_check_of_the_settings() -> None:
    check = SourceCheck(kind="http", path="/health")
    first = plain_service(told(ARTICLE)["app1"], check)

    assert first["route"] == {"host": "first.example.com"}
    assert first["cookie"] == "JSESSIONID"
    assert first["check"] == {"kind": "http", "path": "/health", "method": "HEAD"}
    assert first["servers"] == [{"id": "a23nj53h3j4", "address": "192.168.1.9:80"}]
