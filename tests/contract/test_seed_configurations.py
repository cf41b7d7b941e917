"""Three published set-ups as an lb.yaml: each comes out, runs, and is better than its original."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.haproxy.lines import read
from lbctl.layout import ConfigDir
from lbctl.settings.load import load
from lbctl.settings.model import Settings
from tests.compiled import VERSIONS, Echo, Running, echo, running

pytestmark = pytest.mark.contract

#: Versioned services on path prefixes that are taken off (consul-template, 2015).
PREFIXES = """\
haproxy:
  maxconn: 1024
  timeouts: {connect: 5000ms, client: 50000ms, server: 50000ms}
services:
  - name: hello/v1
    route: {path: /hello/v1, strip: true}
    check: {kind: http, method: HEAD, path: /}
    servers: [{address: "WEB1"}, {address: "WEB2"}]
  - name: hello
    route: {path: /hello, strip: true}
    check: {kind: http, method: HEAD, path: /}
    servers: [{address: "WEB3"}]
"""

#: Behind a balancer that ends TLS and speaks the PROXY protocol (Kubernetes, 2017).
BEHIND_ELB = """\
haproxy:
  retries: 3
  timeouts: {connect: 30ms, client: 30000ms, server: 30000ms, check: 1000ms}
  defaults: {balance: leastconn}
http:
  accept_proxy: true
  https_redirect: true
  internal_hosts: ["HAProxy*"]
  foreign_redirect: https://www.example.com/
  health_path: /healthz
services:
  - name: app
    routes: [{host: app.example.com}, {host: haproxy-service}]
    check: {path: /health, host: app.example.com}
    servers: [{address: "WEB1"}]
"""

#: One application for each host, sessions by its own cookie (Lambda-Registry, 2016).
SESSIONS = """\
services:
  - name: app1
    route: {host: first.example.com}
    cookie: JSESSIONID
    servers: [{id: a23nj53h3j4, address: "WEB1"}]
  - name: app2
    route: {host: second.example.com}
    cookie: JSESSIONID
    servers:
      - {id: das843j3h3k, address: "WEB2"}
      - {id: fds32k4354f, address: "WEB3"}
"""


@pytest.fixture(scope="module", name="web")
def _web() -> Iterator[Echo]:
    with echo() as server:
        yield server


@pytest.fixture(params=VERSIONS, ids=str)
def version(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


def loaded(text: str, directory: Path, web: Echo) -> Settings:
    for number in range(1, 4):
        text = text.replace(f"WEB{number}", web.address(number))
    config = directory / "config"
    config.mkdir()
    (config / "lb.yaml").write_text(text)
    return load(ConfigDir(config), environ={})


def asked(haproxy: Running, path: str, host: str = "x", **more: str) -> tuple[str, str]:
    """Which web server was asked, and for what."""
    answer = haproxy.get(path, {"Host": host, **more})
    assert answer.status == 200
    return answer.asked["address"], answer.asked["path"]


def test_prefixes_are_whole_segments_and_are_taken_off(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    settings = loaded(PREFIXES, tmp_path, web)
    with running(settings.services, tmp_path, version=version, settings=settings) as haproxy:
        both = {asked(haproxy, "/hello/v1/x?a=b") for _ in range(4)}

        assert both == {(web.address(n), "/x?a=b") for n in (1, 2)}
        # The original has path_beg, which sends this one to v1.
        assert asked(haproxy, "/hello/v10/x") == (web.address(3), "/v10/x")
        assert asked(haproxy, "/hello/v1")[1] == "/"
        assert haproxy.get("/hellooo").status == 503
    words = {line.words for line in read((tmp_path / "haproxy" / "haproxy.cfg").read_text())}
    assert ("maxconn", "1024") in words
    assert ("timeout", "client", "50000ms") in words
    checked = ("meth", "HEAD", "uri", "/", "ver", "HTTP/1.1", "hdr", "Host", "localhost")
    assert ("http-check", "send", *checked) in words


def test_a_balancer_before_it_hands_on_clients_and_the_wrong_ones_are_sent_away(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    settings = loaded(BEHIND_ELB, tmp_path, web)
    by_tls = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"
    bare = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 80\r\n"
    with running(settings.services, tmp_path, version=version, settings=settings) as haproxy:
        app = haproxy.get("/a", {"Host": "app.example.com"}, opening=by_tls)
        to_tls = haproxy.get("/a", {"Host": "app.example.com"}, opening=bare)
        internal = haproxy.get("/a", {"Host": "HAProxy-service"}, opening=bare)
        foreign = haproxy.get("/a", {"Host": "other.example.com"}, opening=by_tls)

    assert app.seen["x-forwarded-for"] == "192.0.2.7"
    assert app.seen["x-forwarded-proto"] == "https"
    assert (to_tls.status, to_tls.headers["location"]) == (301, "https://app.example.com/a")
    assert (internal.status, internal.seen["x-forwarded-proto"]) == (200, "http")
    assert (foreign.status, foreign.headers["location"]) == (301, "https://www.example.com/")


def test_each_session_stays_with_its_container(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    settings = loaded(SESSIONS, tmp_path, web)
    with running(settings.services, tmp_path, version=version, settings=settings) as haproxy:
        assert asked(haproxy, "/", "first.example.com")[0] == web.address(1)
        # The original has one value for both, which sends half of the sessions astray.
        for container, number in (("das843j3h3k", 2), ("fds32k4354f", 3)):
            cookie = f"JSESSIONID={container}~app123"
            went = {asked(haproxy, "/", "second.example.com", Cookie=cookie) for _ in range(10)}

            assert went == {(web.address(number), "/")}


def test_names_that_nobody_knows_yet_do_not_stop_the_start(tmp_path: Path, web: Echo) -> None:
    text = BEHIND_ELB.replace("WEB1", "app.not-there-yet.invalid:9000")
    settings = loaded(text, tmp_path, web)
    settings = replace(settings, http=replace(settings.http, accept_proxy=False))
    with running(settings.services, tmp_path, settings=settings) as haproxy:
        assert haproxy.get("/a", {"Host": "haproxy-service"}).status == 503
        assert haproxy.get("/healthz").status == 200
