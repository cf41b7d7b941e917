"""What a service says of itself, however it was given."""

from __future__ import annotations

import pytest

from lbctl.model.service import Cookie, Route, Server, Service


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("hello/v1", "/hello/v1"),
        ("/hello", "/hello"),
        ("a b", "/a%20b"),
        ("café", "/caf%C3%A9"),
        ('a"\n{#?', "/a%22%0A%7B%23%3F"),
        ("\ud800", "/%3F"),
        ("/", "/"),
    ],
)
def test_a_service_without_routes_has_the_path_of_its_name(name: str, path: str) -> None:
    assert Service(name=name).all_routes == (Route(path=path),)


def test_a_tcp_service_has_no_route_by_its_name() -> None:
    assert Service(name="a", mode="tcp").all_routes == ()


def test_route_comes_before_routes() -> None:
    first, second = Route(path="/a"), Route(host="b.example")

    assert Service(name="x", route=first, routes=(second,)).all_routes == (first, second)
    assert Service(name="x", routes=(second,)).all_routes == (second,)


def test_a_cookie_that_is_a_text_is_the_applications_own() -> None:
    assert Service(name="x", cookie="SID").sticky == Cookie(name="SID", kind="prefix")
    assert Service(name="x", cookie=Cookie(name="LB", kind="insert")).sticky == Cookie(
        name="LB", kind="insert"
    )
    assert Service(name="x").sticky is None


def test_a_server_is_known_by_its_id_else_by_its_address() -> None:
    assert Server(address="10.0.0.1:80").key == "10.0.0.1:80"
    assert Server(address="10.0.0.1:80", id="a23nj53h3j4").key == "a23nj53h3j4"
