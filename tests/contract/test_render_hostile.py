"""Whatever services are called, HAProxy accepts the result, and no name becomes a directive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from lbctl.haproxy.lines import read
from lbctl.layout import RunDir
from lbctl.model.service import (
    Cookie,
    Route,
    Server,
    ServerTls,
    Service,
    ServiceTimeouts,
)
from lbctl.model.service import HealthCheck as Check
from lbctl.model.target import Target
from lbctl.render.scene import RenderScene
from lbctl.render.services import Compiled
from lbctl.settings.model import Settings
from tests.compiled import VERSIONS, judged, written

pytestmark = pytest.mark.contract

NASTY = [
    *(
        "a\nbackend evil",
        "\n    server evil 6.6.6.6:80",
        "x\r\ny",
        "\x00",
        "\x7f",
        "\x85",
        "\u2028",
    ),
    *(
        '"',
        "'",
        "\\",
        "a\\",
        "$HOME",
        "${HOME}",
        "%[env(HOME)]",
        "{ always_true }",
        "} or { src 0/0",
    ),
    *("# comment", " ", "", "../../etc/passwd", "a/../b", "\U0001f600", "\udc80"),
    *("ä", "nginx", "lbctl-stats-01", "FRONTEND", "a:b", "a.0123456789", "--", "-f /etc/passwd"),
    *("unix@/etc/passwd", "fd@3", "http", "defaults", "@@lbctl backends@@", "*", "*.", "@@lbctl@@"),
    *("# lbctl: backends of services: begin", "# lbctl: backends of services: end", "a,b(c)", ","),
]
LONG = "x" * 10_000
HOSTILE = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=40),
    st.tuples(st.sampled_from(NASTY), st.sampled_from(NASTY)).map("".join),
)
#: Half of the fields are well, so that the other half is not hidden by them.
PATHS = st.one_of(st.just("/a"), HOSTILE, HOSTILE.map("/{}".format))


def _or(good: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(good), st.just(good), HOSTILE)


ROUTES = st.builds(
    Route,
    path=PATHS,
    strip=st.booleans(),
    host=_or("app.example.com"),
    header=st.dictionaries(_or("x-version"), HOSTILE, max_size=2),
    port=st.sampled_from([None, None, 8080]),
)
SERVICES = st.builds(
    Service,
    name=HOSTILE,
    mode=st.sampled_from(["http", "http", "tcp"]),
    routes=st.lists(ROUTES, max_size=3).map(tuple),
    balance=_or("leastconn"),
    cookie=st.one_of(st.none(), st.builds(Cookie, name=_or("SID"))),
    check=st.one_of(st.none(), st.builds(Check, path=PATHS, host=_or("h"), expect=_or("200"))),
    timeouts=st.builds(ServiceTimeouts, server=_or("5s")),
    tls=st.one_of(st.none(), st.builds(ServerTls, verify=st.just(False), sni=_or("s.example"))),
    dns=st.one_of(st.none(), _or("localhost:80")),
    slots=st.just(1),
    allow=st.lists(_or("10.0.0.0/8"), max_size=2).map(tuple),
    servers=st.lists(st.builds(Server, id=HOSTILE, address=_or("127.0.0.1:80")), max_size=3).map(
        tuple
    ),
)

SECTIONS = {"global", "defaults", "frontend", "backend", "resolvers"}
BACKEND_WORDS = {
    *("backend", "mode", "balance", "hash-type", "timeout", "acl", "http-request", "cookie"),
    *("option", "http-check", "default-server", "server", "server-template", "tcp-request"),
    *("dynamic-cookie-key",),
}
SERVER_WORDS = {
    *("id", "weight", "cookie", "resolvers", "lbctl", "init-addr", "last,libc,none"),
}


def assert_nothing_injected(compiled: Compiled) -> None:
    target = compiled.target
    text = target.text()
    lines = read(text)
    opened = [line.words for line in lines if line.opens_section]
    backends = sorted(compiled.backends.values())

    assert {words[0] for words in opened} <= SECTIONS
    assert [words[1] for words in opened if words[0] == "backend"] == ["nginx", *backends]
    assert all(
        words[1] == "http" or words[1].startswith("lbctl-")
        for words in opened
        if words[0] == "frontend"
    )
    for line in lines:
        if line.section == "backend":
            assert line.keyword in BACKEND_WORDS
        if line.keyword == "server" and line.words[1] != "nginx":
            # Beside name, address and what they are called by, numbers alone.
            rest = [word for word in line.words[3:] if not word.isdecimal()]
            assert set(rest) - {line.words[1]} <= SERVER_WORDS
        if line.keyword == "option":
            assert line.words[1] in {
                *("httplog", "tcplog", "dontlognull", "redispatch", "idle-close-on-response"),
                *("forwardfor", "httpchk"),
            }
    assert Target.parse(text, target.files) == target
    for name, content in target.files.items():
        assert "/" not in name
        for row in content.removesuffix("\n").split("\n"):
            assert row.startswith("#") or len(row.split(" ")) == 2, (name, row)


def assert_harmless(
    services: Sequence[Service], directory: Path, version: tuple[int, int] = (2, 6)
) -> None:
    compiled, path = written(services, Settings(), RenderScene(RunDir(directory), version))
    assert_nothing_injected(compiled)
    left_out = {problem.service for problem in compiled.problems}

    assert left_out | set(compiled.backends) == {service.name for service in services}
    assert all(problem.what.isprintable() for problem in compiled.problems)
    assert judged(version, path) == (0, "")


def everywhere(text: str) -> list[Service]:
    """*text* in each place of a service, one at a time."""
    well = (Server(address="127.0.0.1:80"),)
    return [
        Service(name=f"name {text}", servers=well),
        Service(name="path", route=Route(path=f"/{text}", strip=True), servers=well),
        Service(name="host", route=Route(host=text), servers=well),
        Service(name="header", route=Route(path="/h", header={"x-a": text}), servers=well),
        Service(name="header name", route=Route(header={text: "v"}), servers=well),
        Service(name="cookie", cookie=text or "-", servers=well),
        Service(name="check path", check=Check(path=f"/{text}"), servers=well),
        Service(name="check host", check=Check(path="/", host=text), servers=well),
        Service(name="id", servers=(Server(id=f"id {text}", address="127.0.0.1:80"),)),
        Service(name="address", servers=(Server(address=f"{text}:80"),)),
        Service(name="dns", dns=f"{text}:80", slots=1),
        Service(name="sni", tls=ServerTls(sni=text, verify=False), servers=well),
        Service(name="balance", balance=f"hdr({text})", servers=well),
        Service(name="timeout", timeouts=ServiceTimeouts(server=text), servers=well),
        Service(name="deny", deny=(text,), servers=well),
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_nasty_text_in_any_place_is_told_apart_or_leaves_its_service_out(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    texts = [*NASTY, LONG, f"/{LONG}\n"]
    services = [
        replace(service, name=f"{number} {service.name}")
        for number, text in enumerate(texts)
        for service in everywhere(text)
    ]

    assert_harmless(services, tmp_path, version)


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(SERVICES, max_size=8, unique_by=lambda service: service.name))
@example([])
def test_hostile_services_never_inject_a_directive(tmp_path: Path, services: list[Service]) -> None:
    assert_harmless(services, tmp_path)
