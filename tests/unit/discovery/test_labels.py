"""Labels, meta and tags become what lb.yaml would say; what is wrong in them is named."""

from __future__ import annotations

from typing import Any

import pytest

from lbctl.discovery.defaults import discovered
from lbctl.discovery.labels import Words, of_mapping, of_tags, read_words
from lbctl.model.service import Cookie, HealthCheck, Route, Server, Service
from lbctl.settings.discovery import SourceCheck
from lbctl.settings.services import read_services

HTTP = SourceCheck(kind="http")


def read(*, mode: str = "http", check: SourceCheck = HTTP, **labels: str) -> Service:
    """The service that these words make, with one server."""
    words = read_words((name.replace("__", "."), value) for name, value in labels.items())
    plain = discovered("hello/v1", mode, check, words, [{"address": "10.0.0.1:80"}])
    (service,), bad = read_services([plain], "docker")
    assert not bad
    return service


def test_words_are_typed_as_their_keys_are() -> None:
    pairs = {
        "route.host": "app.example.com",
        "route.strip": "yes",
        "route.header.X-Api": "2",
        "cookie": "JSESSIONID",
        "balance": "leastconn",
        "retries": "0",
        "check.interval_s": "0.5",
        "allow": "10.0.0.0/8, fd00::/8",
        "limit.requests": "100",
        "send_proxy": "v2",
    }
    words = read_words(pairs.items())

    assert words == Words(
        {
            "route": {"host": "app.example.com", "strip": True, "header": {"X-Api": "2"}},
            "cookie": "JSESSIONID",
            "balance": "leastconn",
            "retries": 0,
            "check": {"interval_s": 0.5},
            "allow": ["10.0.0.0/8", "fd00::/8"],
            "limit": {"requests": 100},
            "send_proxy": "v2",
        }
    )


def test_labels_meta_and_tags_say_the_same() -> None:
    labels = of_mapping({"lbctl.route.header.X-Api": "2", "org.x": "y", "lbctl.backup": "true"})
    meta = of_mapping({"lbctl-route-header-X-Api": "2", "version": "1", "lbctl-backup": "1"})
    tags = of_tags(["rest", "lbctl.route.header.X-Api=2", "lbctl.backup", "a=lbctl.x"])
    expected = Words({"route": {"header": {"X-Api": "2"}}}, {"backup": True})

    assert read_words(labels) == read_words(meta) == read_words(tags) == expected


def test_lists_of_mappings_are_counted_from_any_number() -> None:
    service = read(routes__0__path="/a", routes__7__host="x.example.com", routes__0__strip="true")

    assert service.route is None
    assert service.routes == (Route(path="/a", strip=True), Route(host="x.example.com"))


def test_words_of_one_server_are_apart_and_those_of_the_source_are_its_own() -> None:
    words = read_words(
        [("weight", "50"), ("id", "web1"), ("state", "drain"), ("port", "80"), ("mode", "tcp")],
        own=("port",),
    )

    assert words.server == {"weight": 50, "id": "web1", "state": "drain"}
    assert words.own == {"port": "80"}
    assert words.service == {"mode": "tcp"}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("weight", "abc", "lbctl.weight = 'abc' is left out: must be a whole number 0..256"),
        ("weight", "257", "lbctl.weight = '257' is left out: must be 0..256"),
        ("state", "gone", "lbctl.state = 'gone' is left out: must be ready, drain or maint"),
        ("backup", "maybe", "lbctl.backup = 'maybe' is left out: must be true or false"),
        ("servers.0.address", "x", "is left out: each server has its own words"),
        ("servers", "x", "is left out: each server has its own words"),
        ("routes.path", "/a", "lbctl.routes.path is left out: routes is a list: routes.0.path"),
        ("routes.99999999999.path", "/a", "routes is a list"),
        ("balance.x", "y", "lbctl.balance.x is left out: balance has nothing below it"),
    ],
)
def test_a_bad_word_is_named_and_left_out_alone(name: str, value: str, problem: str) -> None:
    words = read_words([("cookie", "A"), (name, value), ("id", "web1")])

    assert len(words.problems) == 1
    assert problem in words.problems[0]
    assert words.service["cookie"] == "A"
    assert words.server == {"id": "web1"}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("balance", "best", "services[0].balance = 'best'"),
        ("retries", "many", "services[0].retries = 'many': must be a whole number 0..100"),
        ("cokie", "X", "services[0].cokie: unknown key; did you mean services[0].cookie?"),
        ("route.hots", "x", "services[0].route.hots: unknown key; did you mean"),
        ("route", "x", "services[0].route = 'x': must be a mapping"),
        ("allow", "everybody", "services[0].allow"),
        ("", "x", "unknown key"),
    ],
)
def test_a_bad_word_of_a_service_keeps_it_out_and_says_the_rule(
    name: str, value: str, problem: str
) -> None:
    words = read_words([(name, value)])
    services, bad = read_services([discovered("hello/v1", "http", HTTP, words)], "docker")

    assert services == ()
    assert "service hello/v1 is left out" in str(bad[0])
    assert problem in str(bad[0])


def test_a_bad_word_of_a_server_is_told_in_short_however_long_it_is() -> None:
    (problem,) = read_words([("weight", "9" * 5000)]).problems

    assert problem.startswith("lbctl.weight = '999")
    assert len(problem) < 200


def test_words_above_and_below_each_other_are_named_in_either_order() -> None:
    above = read_words([("cookie", "A"), ("cookie.kind", "insert")])
    below = read_words([("cookie.name", "A"), ("cookie", "B")])

    assert above.problems == ("lbctl.cookie.kind is left out: lbctl.cookie is a text",)
    assert below.problems == ("lbctl.cookie is left out: there are words below it",)


def test_a_name_alone_makes_a_service_at_its_own_path() -> None:
    assert read() == Service(
        name="hello/v1",
        route=Route(path="/hello/v1", strip=True),
        check=HealthCheck(kind="http", path="/", method="HEAD", host="localhost"),
        servers=(Server(address="10.0.0.1:80"),),
    )


@pytest.mark.parametrize(
    ("words", "route"),
    [
        ({"route__host": "a.example.com"}, Route(host="a.example.com")),
        ({"route__path": "/x"}, Route(path="/x")),
        ({"route__port": "8080"}, Route(port=8080)),
        ({"route__strip": "false"}, Route(path="/hello/v1")),
        ({"routes__0__path": "/x"}, None),
    ],
    ids=str,
)
def test_words_that_say_which_requests_take_the_place_of_the_path(
    words: dict[str, str], route: Route | None
) -> None:
    more: dict[str, Any] = {**words}

    assert read(**more).route == route


@pytest.mark.parametrize(
    ("mode", "source", "words", "check"),
    [
        ("http", SourceCheck(), {}, HealthCheck(kind="tcp")),
        ("http", SourceCheck(kind="none"), {}, HealthCheck(kind="none")),
        ("tcp", HTTP, {}, HealthCheck(kind="tcp")),
        ("http", SourceCheck(kind="none"), {"rise": "1"}, HealthCheck(kind="tcp", rise=1)),
        ("http", HTTP, {"kind": "tcp"}, HealthCheck(kind="tcp")),
        ("http", HTTP, {"kind": "none"}, HealthCheck(kind="none")),
        (
            "http",
            SourceCheck(),
            {"path": "/health"},
            HealthCheck(kind="http", path="/health", method="HEAD", host="localhost"),
        ),
        (
            "http",
            SourceCheck(kind="http", path="/up", method="GET", host="x"),
            {"interval_s": "5"},
            HealthCheck(kind="http", path="/up", method="GET", host="x", interval_s=5.0),
        ),
    ],
    ids=str,
)
def test_the_check_is_the_sources_and_key_by_key_the_services(
    mode: str, source: SourceCheck, words: dict[str, str], check: HealthCheck
) -> None:
    more: dict[str, Any] = {f"check__{name}": value for name, value in words.items()}
    if mode == "tcp":
        more["route__port"] = "5432"

    assert read(mode=mode, check=source, **more).check == check


def test_an_http_check_asks_for_the_routes_host() -> None:
    of_route, of_any = read(route__host="a.example.com"), read(route__host="*.example.com")

    assert of_route.check == HealthCheck(kind="http", path="/", method="HEAD")
    assert of_any.check == HealthCheck(kind="http", path="/", method="HEAD", host="localhost")


def test_a_port_and_a_cookie_come_from_words() -> None:
    tcp = read(mode="tcp", route__port="5432")
    cookie = read(cookie__name="SRV", cookie__kind="insert")

    assert (tcp.mode, tcp.route) == ("tcp", Route(port=5432))
    assert cookie.cookie == Cookie(name="SRV", kind="insert")
