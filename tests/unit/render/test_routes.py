from __future__ import annotations

import pytest

from lbctl.model.service import Route, Service
from lbctl.render.routes import build_routes, entries_of, levels
from lbctl.render.words import UnfitError


def claims(*services: Service) -> list[tuple[str, str, object]]:
    return [(one.name, f"b-{one.name}", entries_of(one)) for one in services]


def map_of(*services: Service) -> list[str]:
    routes = build_routes(claims(*services))  # type: ignore[arg-type]
    return [line for line in routes.text.splitlines() if not line.startswith("#")]


def test_a_line_has_host_and_whole_segments() -> None:
    assert map_of(
        Service(name="hello/v1"),
        Service(name="app", routes=(Route(host="App.Example.com"), Route(path="/a b/ü/"))),
        Service(name="wild", route=Route(host="*.example.com", path="/x", port=8080)),
    ) == [
        "/*/a%20b/%C3%BC/ b-app",
        "/*/hello/v1/ b-hello/v1",
        "/app.example.com/ b-app",
        ":8080/*.example.com/x/ b-wild",
    ]


def test_values_of_headers_are_hashed_and_every_line_has_its_length() -> None:
    anywhere, by_header = map_of(
        Service(name="a", route=Route(path="/a", header={"X-B": "v", "x-a": "w"})),
        Service(name="b", route=Route(path="/")),
    )

    assert anywhere == "/*/ b-b/1"
    assert by_header == (
        "x-a=AFF024FE4AB0FECE4091DE044C58C9AE4233383A&x-b=7A38D8CBD20D9932BA948EFAA364BB62651D5AD4"
        "/*/a/ b-a/3"
    )


def test_of_two_services_with_one_route_the_first_name_gets_it_and_the_other_is_told() -> None:
    routes = build_routes(
        claims(  # type: ignore[arg-type]
            Service(name="a", route=Route(path="/x/")), Service(name="b", route=Route(path="/x"))
        )
    )

    assert "/*/x/ b-a\n" in routes.text
    assert routes.lost == ("'b': route '/*/x/' is 'a''s already; it gets no request by it",)


def test_no_two_endings_of_one_level_fit_one_host() -> None:
    assert levels([".a.b.org", ".b.org", ".x.org", ".c.a.b.org", ".d.a.b.org"]) == (
        (".c.a.b.org", ".d.a.b.org"),
        (".a.b.org",),
        (".b.org", ".x.org"),
    )


@pytest.mark.parametrize(
    ("route", "says"),
    [
        (Route(host="a b"), "host 'a b'"),
        (Route(host="a.*.org"), "host"),
        (Route(path="x"), "path 'x': it must begin with /"),
        (Route(path="/a?b"), "no [?] or #"),
        (Route(path="/a\nb"), "control characters"),
        (Route(path="/" + "x" * 2001), "longer than 2000"),
        (Route(header={"a b": "v"}), "header 'a b'"),
        (Route(header={"a": ""}), "no value that a request has"),
        (Route(header={"a": "v", "A": "w"}), "two values"),
    ],
)
def test_what_no_request_has_is_refused(route: Route, says: str) -> None:
    with pytest.raises(UnfitError, match=says):
        entries_of(Service(name="a", route=route))
