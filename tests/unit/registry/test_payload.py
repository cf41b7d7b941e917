"""What a payload may be, and how a wrong one is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.registry.payload import Candidate, Payload, Running, read_payload
from lbctl.registry.reading import PROBLEMS_MAX, PayloadError
from lbctl.registry.words import BODY_MAX_BYTES, CONTAINERS_MAX, split_ip
from tests.registries import ARTICLE, Plain, article, body, candidate, payload, plain, runs


def problems(raw: bytes) -> list[str]:
    with pytest.raises(PayloadError) as caught:
        read_payload(raw)
    return [str(one) for one in caught.value.problems]


def test_the_request_of_the_article_is_understood() -> None:
    found = payload(ARTICLE)

    assert found.table == "astro"
    assert found.running[1] == Running("app1", "jk3243j54jl", "192.168.1.8", 80)
    assert found.candidates[0] == Candidate(
        "app1", "host", "first.example.com", "JSESSIONID", {"a23nj53h3j4": "192.168.1.9:80"}
    )


@pytest.mark.parametrize("mode", ["path", "Path", "PATH"])
@pytest.mark.parametrize("predicate", ["/hello/v1", "hello/v1"])
def test_a_path_has_its_slash_however_it_is_given(mode: str, predicate: str) -> None:
    more = {"configMode": mode, "predicate": predicate}
    [found] = payload(plain([], candidate("a", more))).candidates

    assert (found.mode, found.predicate) == ("path", "/hello/v1")


@pytest.mark.parametrize("nothing", [{}, {"predicate": None}, {"predicate": ""}])
def test_a_path_that_is_not_given_is_the_name_of_the_service(nothing: Plain) -> None:
    [found] = payload(plain([], candidate("höf", {"configMode": "path", **nothing}))).candidates

    assert found.predicate == "/h%C3%B6f"


@pytest.mark.parametrize("mode", [{}, {"configMode": None}, {"configMode": ""}])
@pytest.mark.parametrize("cookie", [{}, {"cookie": None}, {"cookie": ""}])
def test_host_mode_and_no_cookie_are_what_nothing_means(mode: Plain, cookie: Plain) -> None:
    more = {**mode, **cookie, "predicate": "a.example.com"}
    [found] = payload(plain([], candidate("a", more))).candidates

    assert (found.mode, found.cookie) == ("host", None)


@pytest.mark.parametrize(
    ("ip", "port", "address"),
    [
        ("10.0.0.1", None, "10.0.0.1:80"),
        ("10.0.0.1", 8080, "10.0.0.1:8080"),
        ("10.0.0.1", "8080", "10.0.0.1:8080"),
        ("10.0.0.1:9000", 8080, "10.0.0.1:9000"),
        ("fd00::1", None, "[fd00::1]:80"),
        ("[fd00::1]:9000", None, "[fd00::1]:9000"),
        ("fd00::1:80", 8080, "[fd00::1:80]:8080"),
    ],
)
def test_a_container_is_where_its_ip_says_else_on_the_port_of_its_service(
    ip: str, port: object, address: str
) -> None:
    more = {"predicate": "a.example.com", "port": port}
    [found] = payload(plain([], candidate("a", more, one=ip))).candidates

    assert found.containers == {"one": address}


@pytest.mark.parametrize(
    "text",
    [
        *("", "web.example.com:80", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:+80"),
        *("10.0.0:80", "[10.0.0.1]:80", "[fd00::1", "fd00::1%eth0", "0.0.0.0:80", "224.0.0.1"),
        *("[::]", "10.0.0.1:٨٠", "unix@/run/x", "${HOME}:80", "10.0.0.1:80 check"),
    ],
)
def test_what_is_no_address_of_a_container_is_none(text: str) -> None:
    assert split_ip(text) is None


Change = Callable[[Plain], Any]

WRONG: dict[str, tuple[Change, str]] = {
    "no table": (lambda p: p.pop("table"), "table: is missing"),
    "no list of what runs": (lambda p: p.pop("running"), "running: is missing"),
    "null is no list of what runs": (
        lambda p: p.update(running=None),
        "running: must be a list",
    ),
    "no candidates": (lambda p: p.pop("candidates"), "candidates: is missing"),
    "a table with a slash": (
        lambda p: p.update(table="a/b"),
        "table: 'a/b': must be 1 to 100 letters, digits, dots, - or _, and not begin with a dot",
    ),
    "an unknown key": (
        lambda p: p["candidates"][0].update(configmode="path"),
        "candidates[0].configmode: unknown key; did you mean configMode?",
    ),
    "a number for an id": (
        lambda p: p["running"][1].update(id=7),
        "running[1].id: 7: must be text",
    ),
    "the same container twice": (
        lambda p: p["running"].append(p["running"][0]),
        "running[2].id: 'a23nj53h3j4': is that of running[0], of this service too",
    ),
    "the same id in one service": (
        lambda p: p["candidates"][1]["containers"].append({"id": "das843j3h3k", "ip": "10.0.0.1"}),
        "candidates[1].containers[2].id: 'das843j3h3k': is in this list twice",
    ),
    "two candidates of one service": (
        lambda p: p["candidates"][1].update(serviceName="app1"),
        (
            "candidates[1].serviceName: 'app1': is that of candidates[0] too; one candidate for "
            "each service"
        ),
    ),
    "two services on one host": (
        lambda p: p["candidates"][1].update(predicate="FIRST.example.com"),
        (
            "candidates[1].predicate: 'FIRST.example.com': candidates[0] asks for the same "
            "requests: one must differ"
        ),
    ),
    "a mode of its own": (
        lambda p: p["candidates"][0].update(configMode="header"),
        "candidates[0].configMode: 'header': must be host or path",
    ),
    "no name in host mode": (
        lambda p: p["candidates"][0].pop("predicate"),
        "candidates[0].predicate: is missing: with configMode host, the default, it is the name",
    ),
    "no ip": (
        lambda p: p["candidates"][1]["containers"][0].pop("ip"),
        "candidates[1].containers[0].ip: is missing",
    ),
    "a host that would be a line": (
        lambda p: p["candidates"][0].update(predicate="x\n    bind :22"),
        (
            "candidates[0].predicate: 'x\\n    bind :22': must not hold line breaks or other "
            "control characters"
        ),
    ),
    "half a character": (
        lambda p: p["candidates"][0].update(serviceName="\ud800"),
        (
            "candidates[0].serviceName: '\\ud800': must not hold line breaks or other "
            "control characters"
        ),
    ),
    "a cookie with a blank": (
        lambda p: p["candidates"][0].update(cookie="a b"),
        "candidates[0].cookie: 'a b': must be a name: letters, digits and !#$%&'*+-.^_`|~",
    ),
    "a port of its own kind": (
        lambda p: p["candidates"][0].update(port=True),
        "candidates[0].port: True: must be 1..65535",
    ),
    "a long name": (
        lambda p: p["running"][0].update(id="x" * 201),
        f"running[0].id: '{'x' * 56}...: has 201 characters; at most 200 are taken",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_place(name: str) -> None:
    change, said = WRONG[name]
    found = article()
    change(found)

    assert problems(body(found)) == [said]


def test_every_problem_is_named_at_once() -> None:
    found = article()
    del found["table"]
    found["running"][0]["ip"] = "nowhere"
    found["candidates"][1]["containers"][1] = "fds32k4354f"

    assert [one.partition(":")[0] for one in problems(body(found))] == [
        "table",
        "running[0].ip",
        "candidates[1].containers[1]",
    ]


def test_thousands_of_problems_are_counted() -> None:
    found = problems(body(plain(runs("a", **{f"i{n}": "nowhere" for n in range(1000)}))))

    assert len(found) == PROBLEMS_MAX + 1
    assert found[-1] == f"payload: {1000 - PROBLEMS_MAX} more problems"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "payload: is not JSON"),
        (b"{", "payload: is not JSON"),
        (b"\xff\xfe", "payload: is not UTF-8"),
        (b"[]", "payload: must be an object"),
        (b"null", "payload: must be an object"),
        (b"[" * 200_000, "payload: is nested too deeply"),
        (b'{"a":' * 100_000, "payload: is nested too deeply"),
        (b'{"table": NaN}', "payload: is not JSON: NaN is no value of it"),
        (b'{"table": "a", "table": "b"}', "payload: table is in one object twice; keep one"),
        (b'{"table": ' + b"9" * 5000 + b"}", "table: 1e+20: must be text"),
    ],
)
def test_what_is_no_payload_at_all_is_said(raw: bytes, said: str) -> None:
    assert problems(raw)[0].startswith(said)


def test_ten_megabytes_are_not_looked_at() -> None:
    with pytest.raises(PayloadError) as caught:
        read_payload(b"[" * (10 << 20))

    assert caught.value.status == 413
    assert f"at most {BODY_MAX_BYTES}" in str(caught.value)


def test_more_containers_than_are_taken_are_counted_and_not_looked_at() -> None:
    raw = json.dumps({**ARTICLE, "running": [0] * (CONTAINERS_MAX + 1)}).encode()

    assert problems(raw) == [
        f"running: has {CONTAINERS_MAX + 1} items; at most {CONTAINERS_MAX} are taken"
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["table", "running", "candidates", "id", "ip", "containers", "port", "x"]
            )
            | st.text(),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON | st.binary())
@settings(max_examples=300, deadline=None)
def test_anything_is_a_payload_or_a_list_of_problems(found: object) -> None:
    raw = found if isinstance(found, bytes) else json.dumps(found).encode()
    said: object = None
    try:
        found = read_payload(raw)
    except PayloadError as error:
        said = error.problems

    assert said or isinstance(found, Payload)
