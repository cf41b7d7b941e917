"""Which service gets a request: the generated look-up on real HAProxy against plain sorting."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lbctl.model.service import Route, Service
from tests.compiled import VERSIONS, Echo, ask, echo, running, service

pytestmark = pytest.mark.contract


class Request(NamedTuple):
    path: str
    host: str
    headers: tuple[tuple[str, str], ...] = ()


@pytest.fixture(scope="module", name="web")
def _web() -> Iterator[Echo]:
    with echo() as server:
        yield server


def matches(route: Route, request: Request) -> bool:
    """The rule as the documents have it."""
    path = route.path.rstrip("/")
    host = request.host.lower().rpartition(":")[0] or request.host.lower()
    host = host.removesuffix(".")
    wanted = route.host.lower()
    fits_host = not wanted or (
        host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted
    )
    fits_path = not path or request.path == path or request.path.startswith(path + "/")
    has = {name.lower(): value for name, value in request.headers}
    return (
        route.port is None
        and fits_host
        and fits_path
        and all(has.get(name.lower()) == value for name, value in route.header.items())
    )


def winner(services: Sequence[Service], request: Request) -> tuple[str, Route] | None:
    """By plain sorting: what map_beg, variables and conditions must come to."""
    found = [
        (
            0 if route.host and not route.host.startswith("*.") else 1 if route.host else 2,
            -len(route.host),
            -len(route.path.rstrip("/")),
            -len(route.header),
            tuple(sorted((name.lower(), value) for name, value in route.header.items())),
            one.name,
            number,
            route,
        )
        for one in services
        for number, route in enumerate(one.all_routes)
        if matches(route, request)
    ]
    best = min(found, key=lambda key: key[:-1], default=None)
    return None if best is None else (best[5], best[7])


def stripped(route: Route, path: str) -> str:
    return (path[len(route.path.rstrip("/")) :] or "/") if route.strip else path


SEGMENTS = st.sampled_from(["a", "b", "hello", "v1", "v10", "x.y", "%20", ""])
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda parts: "/" + "/".join(parts))
HOSTS = st.sampled_from(
    ["", "app.example.com", "*.example.com", "*.app.example.com", "b.org", "*.org", "[::1]"]
)
ASKED_HOSTS = st.sampled_from(
    [
        *("app.example.com", "APP.example.com:80", "x.app.example.com", "y.x.app.example.com"),
        *("example.com", "z.example.com.", "b.org", "c.b.org:8080", "other", "[::1]:80", ""),
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(["X-Version", "x-tenant"]), st.sampled_from(["v1", "v2", "a, b"]), max_size=2
)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    path = draw(st.one_of(st.just(""), PATHS))
    return Route(
        path=path,
        strip=bool(path) and draw(st.booleans()),
        host=draw(HOSTS),
        header=draw(st.one_of(st.just({}), HEADERS)),
    )


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[list[Route]], list[Request]]:
    """Services' routes, of which no two are alike, and requests near them."""
    seen: dict[object, Route] = {}
    for route in draw(st.lists(routes(), min_size=1, max_size=12)):
        headers = tuple(sorted((name.lower(), value) for name, value in route.header.items()))
        seen.setdefault((route.host, route.path.rstrip("/"), headers), route)
    split: list[list[Route]] = []
    for route in seen.values():
        if split and draw(st.integers(0, 3)) == 0:
            split[-1].append(route)
        else:
            split.append([route])
    near = PATHS | st.sampled_from([route.path or "/" for route in seen.values()]).flatmap(
        lambda path: st.sampled_from([path, path + "/", path + "0", path + "/x/y", path + "//"])
    )
    sent = HEADERS.map(lambda headers: tuple(headers.items()))
    requests = draw(st.lists(st.builds(Request, near, ASKED_HOSTS, sent), min_size=8, max_size=30))
    return split, [one for one in requests if one.path.startswith("/")]


def assert_routed(
    directory: Path,
    web: Echo,
    split: Sequence[Sequence[Route]],
    requests: Sequence[Request],
    version: tuple[int, int] = (2, 6),
) -> None:
    services = [
        service(f"s{number:02d}", web.address(number), routes=tuple(group))
        for number, group in enumerate(split)
    ]
    directory.mkdir(exist_ok=True)
    # Whatever order they come in.
    backwards = services[::-1]
    with (
        running(backwards, directory, version=version) as haproxy,
        closing(http.client.HTTPConnection("127.0.0.1", haproxy.port, timeout=10)) as link,
    ):
        answers = [
            ask(link, f"{one.path}?q=%2F", {"Host": one.host, **dict(one.headers)})
            for one in requests
        ]
    for request, answer in zip(requests, answers, strict=True):
        expected = winner(services, request)
        if expected is None:
            assert answer.status == 503, request
            continue
        name, route = expected
        number = int(name[1:])

        assert answer.asked.get("address") == web.address(number), (request, expected)
        assert answer.asked["path"] == f"{stripped(route, request.path)}?q=%2F", (request, route)
        prefix = route.path.rstrip("/") if route.strip else ""
        assert answer.seen.get("x-forwarded-prefix", "") == prefix, (request, route)


@settings(
    max_examples=20,
    deadline=None,
    # Each try starts a HAProxy: to find the smallest example would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(scenes())
def test_a_request_goes_where_sorting_all_routes_sends_it(
    tmp_path: Path, web: Echo, scene: tuple[list[list[Route]], list[Request]]
) -> None:
    assert_routed(tmp_path, web, *scene)


def header(**values: str) -> Mapping[str, str]:
    return {name.replace("_", "-"): value for name, value in values.items()}


TABLE = [
    [Route(path="/hello/v1", strip=True)],
    [Route(path="/hello", strip=True), Route(path="/hello/v2")],
    [Route(host="app.example.com")],
    [Route(host="app.example.com", path="/admin/")],
    [Route(host="*.example.com", path="/w")],
    [Route(host="*.a.example.com"), Route(path="/")],
    [Route(path="/hello", header=header(x_version="v2"))],
    [Route(path="/hello/v1", header=header(x_version="v2", x_tenant="t"))],
    [Route(path="/q\"uo'te$x\\y%41", strip=True)],
]
REQUESTS = [
    Request(path, host, headers)
    for path in (
        *(
            "/",
            "/hello",
            "/hello/",
            "/hello/v1",
            "/hello/v1/",
            "/hello/v1//x",
            "/hello/v10",
            "/w/x",
        ),
        *("/hello/v2/x", "/admin", "/administrator", "/hellO", "/q\"uo'te$x\\y%41/z"),
    )
    for host in ("other:8080", "App.Example.Com", "b.a.example.com.", "b.example.com")
    for headers in ((), (("x-version", "v2"),), (("X-Version", "v2"), ("X-Tenant", "t")))
]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_haproxy_routes_alike(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    assert_routed(tmp_path, web, TABLE, REQUESTS, version)
