"""What Consul's answers come to."""

from __future__ import annotations

from typing import Any

import pytest

from lbctl.discovery.consul_read import Found, read_service, together
from lbctl.settings.discovery import Consul

SERF = {"CheckID": "serfHealth", "Status": "passing"}
OURS = {"CheckID": "service:x", "Status": "passing"}
MAINTAINED = {"CheckID": "_service_maintenance:x", "Status": "critical"}


def entry(identity: str = "h1", **more: Any) -> dict[str, Any]:
    """One of ``/v1/health/service``; *more*: of its service, ``node`` and ``checks``."""
    node = more.pop("node", "web1")
    checks = more.pop("checks", [SERF])
    service = {"ID": identity, "Port": 80, "Tags": ["rest"], "CreateIndex": 1, **more}
    return {"Node": {"Node": node, "Address": "10.0.0.1"}, "Service": service, "Checks": checks}


def read(*entries: object, name: str = "hello/v1", **settings: Any) -> Found:
    return read_service(name, entries, Consul(**settings))


def states(found: Found) -> list[str]:
    assert found.service is not None
    return [one.state for one in found.service.servers]


@pytest.mark.parametrize(
    ("checks", "state"),
    [
        ([], "ready"),
        ([SERF, OURS], "ready"),
        ([SERF, {**OURS, "Status": "warning"}], "maint"),
        ([SERF, {**OURS, "Status": "critical"}], "maint"),
        ([SERF, {**OURS, "Status": "never heard of"}], "maint"),
        ([{**SERF, "Status": "critical"}, OURS], "maint"),
        ([SERF, OURS, MAINTAINED], "drain"),
        ([SERF, OURS, {**MAINTAINED, "CheckID": "_node_maintenance"}], "drain"),
        ([SERF, {**OURS, "Status": "critical"}, MAINTAINED], "maint"),
        ([SERF, "garbage", OURS], "maint"),
    ],
)
def test_checks_say_the_state(checks: list[object], state: str) -> None:
    other = entry("h0", Port=81)

    assert states(read(other, entry(checks=checks)))[1] == state


def test_a_warning_serves_where_passing_is_not_all() -> None:
    found = read(entry(checks=[{**OURS, "Status": "warning"}]), passing=False)

    assert states(found) == ["ready"]


def test_lost_nodes_stay_only_when_nobody_else_is_left() -> None:
    lost = {**SERF, "Status": "critical"}
    ill = entry("h2", Port=82, checks=[lost, {**OURS, "Status": "critical"}])
    blind = read(entry("h1", checks=[lost, OURS]), ill)

    assert states(blind) == ["ready", "maint"]
    assert "hears of none of the nodes" in blind.problems[0]
    assert states(read(entry("h1", checks=[lost]), entry("h3", Port=83))) == ["maint", "ready"]


@pytest.mark.parametrize(
    ("said", "weights"),
    [
        ((1, 1), [100, 100]),
        ((7, 7), [100, 100]),
        ((1, 2), [100, 200]),
        ((1, 3), [85, 256]),
        ((1, 65535), [1, 256]),
        ((0, 1), [100, 100]),
    ],
)
def test_weights_keep_their_shares(said: tuple[int, int], weights: list[int]) -> None:
    found = read(
        *(entry(f"h{n}", Port=80 + n, Weights={"Passing": one}) for n, one in enumerate(said))
    )

    assert found.service is not None
    assert [one.weight for one in found.service.servers] == weights


def test_an_id_belongs_to_one_server() -> None:
    found = read(
        entry("hello/v1", node="web1", Port=1),
        entry("hello/v1", node="web2", Port=2, CreateIndex=2),
        entry("same", node="web1", Port=3, CreateIndex=3),
        entry("same", node="web2", Port=4, CreateIndex=4),
    )

    assert found.service is not None
    assert [one.id for one in found.service.servers] == ["web1", "web2", "same", "web2:same"]


def test_an_address_counts_once_and_serves_when_either_says_so() -> None:
    found = read(entry("h1", checks=[{**OURS, "Status": "critical"}]), entry("h2", CreateIndex=2))

    assert found.service is not None
    assert [(one.id, one.state) for one in found.service.servers] == [("h1", "ready")]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (entry("b", Port=0), "has no port"),
        (entry("b", Port=70000), "has the port 70000"),
        (entry("b", Port="80"), "has no port"),
        (entry("b", Address="0.0.0.0"), "which is none"),
        (entry("b", Address="::"), "which is none"),
        (entry("b", Address="a b"), "its address 'a b:80'"),
        (entry("b", Tags=["rest", "tcp"], CreateIndex=2), "its tags say http and tcp"),
        (entry("b", Tags=["tcp"], CreateIndex=2), "and the service is http"),
        (entry("b", Tags=["rest", "lbctl.weight=x"], CreateIndex=2), "lbctl.weight = 'x'"),
        (entry("b", Tags=["rest", "lbctl.id=x\x01"], CreateIndex=2), "lbctl.id = 'x\\x01'"),
        (entry("b\x1b[2J"), "its id 'b\\x1b[2J' must not hold line breaks"),
        (entry("b", node="n\n"), "its node 'n\\n' must not hold line breaks"),
        ({}, "? on node ?"),
        (None, "? on node ?"),
        ([], "? on node ?"),
        ({"Node": [], "Service": {"ID": {}, "Port": 80}, "Checks": 1}, "has no address"),
    ],
)
def test_a_bad_instance_costs_itself_at_most_and_is_named(wrong: object, words: str) -> None:
    found = read(wrong, entry("good", Port=8080))

    assert found.service is not None
    assert "good" in [one.id for one in found.service.servers]
    assert any(words in what for what in found.problems), found.problems
    assert all(what.isprintable() for what in found.problems)


def test_words_that_cannot_be_leave_the_service_out_only_when_nobody_says_better() -> None:
    bad = entry("b", Tags=["rest", "lbctl.balance=nonsense"], ModifyIndex=9)
    good = entry("g", Port=81, Tags=["rest", "lbctl.balance=leastconn"], CreateIndex=2)
    mixed = read(bad, good)

    assert mixed.service is not None
    assert mixed.service.balance == "leastconn"
    assert [one.id for one in mixed.service.servers] == ["b", "g"]
    assert "it does not count" in mixed.problems[-1]
    alone = read(bad)
    assert alone.service is None
    assert "the service is left out" in alone.problems[-1]


def test_the_newest_words_count() -> None:
    old = entry("a", Tags=["rest", "lbctl.balance=leastconn"], CreateIndex=5, ModifyIndex=5)
    new = entry("b", Port=81, Tags=["rest", "lbctl.balance=first"], CreateIndex=9, ModifyIndex=9)
    again = entry("a", Tags=["rest", "lbctl.balance=source"], CreateIndex=5, ModifyIndex=12)

    assert getattr(read(old, new).service, "balance", None) == "first"
    assert getattr(read(again, new).service, "balance", None) == "source"
    assert "b on node web1 says something else" in read(again, new).problems[0]


def test_of_two_services_with_one_route_the_first_by_name_stays() -> None:
    clashing = [
        read(entry(Tags=["rest", "lbctl.route.path=/same"]), name=name) for name in ("b", "a")
    ]
    services, problems = together(clashing)

    assert [one.name for one in services] == ["a"]
    assert problems[0].startswith("service b is left out: asks for the same requests")
