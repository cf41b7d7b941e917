"""Services in lb.yaml: what they become, and every problem with its line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.errors import EXIT_CONFIG, ConfigError
from lbctl.layout import ConfigDir
from lbctl.model.service import Cookie, HealthCheck, RateLimit, Route, Server, ServerTls, Service
from lbctl.settings.load import effective, load
from lbctl.settings.model import Settings


def load_text(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "lb.yaml").write_text(text, encoding="utf-8")
    return load(ConfigDir(tmp_path), environ={})


def problems_of(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)
    return [str(problem) for problem in caught.value.problems]


WHOLE = """\
services:
  - name: hello/v1
    route: {path: /hello/v1, strip: true}
    routes: [{host: "*.Example.com", header: {X-Canary: "1"}}]
    balance: hdr(X-User)
    cookie: JSESSIONID
    check: {path: "/health?x=1", expect: 200-299, interval_s: 1}
    maxconn: 20
    timeouts: {server: 10s}
    limit: {requests: 5}
    allow: [10.0.0.0/8, "fd00::1"]
    tls: {}
    servers:
      - {id: a23nj53h3j4, address: "192.168.1.9:80"}
      - {address: "[fd00::9]:80", weight: 0, backup: yes}
  - {name: "ünïcode {name}", dns: "web.internal:80", slots: 3, cookie: {name: LB, kind: insert}}
  - {name: db, mode: tcp, route: {port: 5432}, accept_proxy: true, send_proxy: v2, stick: source}
"""


def test_a_service_is_read_with_all_it_may_say(tmp_path: Path) -> None:
    first, second, third = load_text(tmp_path, WHOLE).services

    assert first == Service(
        name="hello/v1",
        route=Route(path="/hello/v1", strip=True),
        routes=(Route(host="*.Example.com", header={"X-Canary": "1"}),),
        balance="hdr(X-User)",
        cookie="JSESSIONID",
        check=HealthCheck(path="/health?x=1", expect="200-299", interval_s=1.0),
        maxconn=20,
        timeouts=type(first.timeouts)(server="10s"),
        limit=RateLimit(requests=5, period_s=10),
        allow=("10.0.0.0/8", "fd00::1"),
        tls=ServerTls(),
        servers=(
            Server(id="a23nj53h3j4", address="192.168.1.9:80"),
            Server(address="[fd00::9]:80", weight=0, backup=True),
        ),
    )
    assert (second.dns, second.slots, second.sticky) == (
        "web.internal:80",
        3,
        Cookie(name="LB", kind="insert"),
    )
    assert (third.stick, third.stick_for_s) == ("source", 1800)
    assert (third.mode, third.route, third.accept_proxy, third.send_proxy) == (
        "tcp",
        Route(port=5432),
        True,
        "v2",
    )
    assert type(first.check and first.check.interval_s) is float


def test_services_are_printed_as_they_load(tmp_path: Path) -> None:
    settings = load_text(tmp_path, WHOLE)

    text = effective(settings)

    assert load_text(tmp_path, text) == settings
    assert "null" not in text.partition("services:")[2]


@pytest.mark.parametrize("text", ["services:", "services: ~", "services: []"])
def test_none_may_be_given(tmp_path: Path, text: str) -> None:
    assert load_text(tmp_path, text).services == ()


BROKEN = """\
services:
  - name: a
    route: {path: hello, strp: true, host: "exämple.de"}
    cookie: 5
    servers: [{address: 10.0.0.1},
      {address: "::1:80", weight: 300}]
  - nme: b
  - 7
  - [x]
  - name: ""
  - name: c
    mode: tcp
    name: d
    retries: "3"
  - name: e
    strip: true
    check: !x {expect: 200}
    limit: {}
    servers: {address: "a:1"}
    timeouts: {client: 5}
  - {name: f, accept_proxy: yes}
  - {name: g, accept_proxy: on!}
  - name: "\\n"
user: no
"""


def test_every_problem_is_reported_at_once_in_its_line(tmp_path: Path) -> None:
    found = [one.removeprefix("lb.yaml:") for one in problems_of(tmp_path, BROKEN)]

    assert [one.partition(" (name, mode")[0] for one in found] == [
        "3: services[0].route.path = 'hello': must begin with /",
        "3: services[0].route.strp: unknown key; did you mean services[0].route.strip?",
        "3: services[0].route.host = 'exämple.de': must be written in ASCII: xn--exmple-cua.de",
        "4: services[0].cookie = 5: must be a text, or a mapping (name, kind), or null",
        (
            "5: services[0].servers[0].address = '10.0.0.1': must be host:port, as in 10.0.0.1:80, "
            "[fd00::1]:80 or db.example.com:5432"
        ),
        (
            "6: services[0].servers[1].address = '::1:80': must be host:port, as in 10.0.0.1:80, "
            "[fd00::1]:80 or db.example.com:5432"
        ),
        "6: services[0].servers[1].weight = 300: must be 0..256",
        "7: services[1].nme: unknown key; did you mean services[1].name?",
        "7: services[1]: name is missing",
        "8: services[2] = 7: must be a mapping",
        "9: services[3] is a list: must be a mapping",
        "10: services[4].name = '': must not be empty",
        "13: services: name is given twice, first in line 11; keep one",
        "14: services[5].retries = '3': must be a whole number 0..100, or null; without quotes",
        "16: services[6].strip: unknown key; did you mean services[6].route.strip?",
        "17: services: the tag !x is not understood",
        "17: services[6].check.expect = 200: must be text or null; write it in quotes",
        "18: services[6].limit: requests is missing",
        (
            "19: services[6].servers is a mapping: must be a list of mappings (address, id, "
            "weight, backup, state)"
        ),
        "20: services[6].timeouts.client = 5: must be a time with its unit, as in 5s or 500ms",
        "21: services[7].accept_proxy: goes with mode: tcp; for http there is http.accept_proxy",
        "22: services[8].accept_proxy = 'on!': must be true or false; without quotes",
        "23: services[9].name = '\\n': must not hold line breaks or other control characters",
        "24: user = no, which YAML reads as False: must be text; write it in quotes",
    ]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("route: {path: /a?b}", "must be a path alone, without ? and #"),
        ("route: {path: /a b}", "other characters as %XX"),
        ("route: {path: /a%2}", "other characters as %XX"),
        ("route: {path: /a/../b}", "must hold no . or .. between slashes"),
        ("route: {path: /é}", "other characters as %XX"),
        ("route: {host: 'a:80'}", "must be the name of a host, as in app.example.com, without"),
        ("route: {host: '*'}", "must be the name of a host"),
        ("route: {host: 10.0.0.300}", "is no IPv4 address"),
        ("route: {host: a..b}", "must be the name of a host"),
        ("route: {host: é\u0301..b}", "must be written in ASCII, as in xn--"),
        ("route: {}", "route: says nothing; path: / stands for all requests"),
        ("route: {strip: true, host: a}", "route: strip needs a path to strip"),
        ("route: {header: {Host: a}}", "header: Host is route.host"),
        ("route: {header: {X Y: a}}", "'X Y' cannot be the name of a header"),
        ("route: {header: {X: ' a'}}", "' a' is no value"),
        ("route: {header: {X: ''}}", "'' is no value"),
        ("route: {header: {X: a, x: b}}", "header names one twice"),
        ("route: {header: {X: 1}}", "route.header.X = 1: must be text; write it in quotes"),
        ("route: {header: [X]}", "route.header is a list: must be a mapping of names to texts"),
        ('route: {header: {X: "a\\n"}}', "must not hold line breaks"),
        ("route: {port: 0}", "must be 1..65535 or null"),
        ("route: {port: 80}", "route.port: 80 is a port of http.bind: change one of them"),
        ("route: {port: 443}", "443 is a port of http.tls_bind"),
        ("route: {port: 8001}", "8001 is a port of haproxy.stats.port_base"),
        ("route: {port: 10001}", "10001 is a port of haproxy.peers.port_base"),
        ("routes: [{path: /a}, {path: /a/}]", "routes[1]: asks for the same requests as the rou"),
        ("route: /a", "route = '/a': must be a mapping (path, strip, host, header, port), or null"),
        ("mode: udp", "mode = 'udp': must be http or tcp"),
        ("mode: tcp", "mode: tcp needs a port: route: {port: 5432}"),
        ("mode: tcp, route: {}", "route: mode: tcp needs a port"),
        ("mode: tcp, route: {port: 1, path: /, host: a}", "path and host goes with mode: http"),
        ("mode: tcp, route: {port: 1}, cookie: A", "cookie: goes with mode: http"),
        ("mode: tcp, route: {port: 1}, balance: uri", "balance: uri goes with mode: http"),
        ("mode: tcp, route: {port: 1}, balance: hdr(A)", "balance: hdr(A) goes with mode: http"),
        ("accept_proxy: true", "for http there is http.accept_proxy"),
        ("balance: rr", "must be one of roundrobin, leastconn"),
        ("balance: hdr()", "or hdr(NAME)"),
        ("balance: 'hdr(a b)'", "or hdr(NAME)"),
        ("cookie: 'a=b'", "cookie = 'a=b': must be a name: letters, digits"),
        ("cookie: ''", "cookie = '': must not be empty"),
        ("cookie: {kind: insert}", "cookie: name is missing"),
        ("cookie: {name: a b}", "cookie.name = 'a b': must be a name"),
        ("cookie: {name: a, kind: rewrite}", "must be prefix or insert"),
        ("check: {path: health}", "must begin with /"),
        ("check: {path: /a#b}", "without #"),
        ("check: {path: '/a?b c'}", "must stand there as in a request, without #"),
        ("check: {path: /, host: 'a b'}", "must be the name of a host"),
        ("check: {path: /, host: 'a:x'}", "must be a host, or host:port"),
        ("check: {path: /, method: POST}", "must be GET, HEAD, OPTIONS or null"),
        ("check: {path: /, expect: '700'}", "must be HTTP statuses"),
        ("check: {expect: '200'}", "expect needs a path, or kind: http"),
        ("check: {kind: tcp, path: /}", "path goes with kind: http"),
        ("check: {kind: none, rise: 2}", "kind: none checks nothing"),
        ("check: {interval_s: 0}", "must be 0.05..86400 or null"),
        ("timeouts: {queue: soon}", "must be a time as HAProxy writes it"),
        ("send_proxy: v3", "must be v1, v2 or null"),
        ("tls: {ca_file: ca.pem}", "must be an absolute path"),
        ("tls: {ca_file: /ca.pem, verify: false}", "ca_file judges nothing with verify: false"),
        ("tls: {sni: a b}", "must be the name of a host"),
        ("dns: web", "must be host:port, as in db.example.com:5432"),
        ("dns: _http._tcp", "must be as _http._tcp.web.example.com"),
        ("dns: '_http._tcp.a b'", "must be as _http._tcp.web.example.com"),
        ("dns: '10.0.0.1:80'", "an address stands under servers"),
        ("dns: '[::1]:80'", "an address stands under servers"),
        ("dns: 'a:80', servers: [{address: 'b:80'}]", "dns and servers exclude each other"),
        ("slots: 3", "slots: goes with dns"),
        ("stick: cookie", "must be source"),
        ("stick: source, cookie: A", "stick and cookie exclude each other: give one of the two"),
        ("stick: source, stick_for_s: 0", "must be 1..604800"),
        ("stick_for_s: 60", "stick_for_s: goes with stick"),
        ("limit: {requests: 0}", "must be 1..1000000000"),
        ("allow: [10.0.0.1/8]", "allow: 10.0.0.1/8 has bits beyond its prefix: is 10.0.0.0/8"),
        ("allow: [localhost]", "'localhost' is neither an address nor a network"),
        ("allow: ['fe80::1%eth0']", "has a zone"),
        ("allow: ['::1', '0::1']", "must name each once; twice: 0::1"),
        ("allow: 10.0.0.1", "must be a list of texts"),
        ("allow: [7]", "allow[0] = 7: must be text; write it in quotes"),
        ("allow: [10.0.0.1], deny: [10.0.0.1]", "deny: 10.0.0.1 is allowed and denied: choose"),
        ("servers: [{}]", "servers[0]: address is missing"),
        ("servers: [{address: ''}]", "must not be empty"),
        ("servers: [{address: 'a:0'}]", "must be host:port"),
        ("servers: [{address: 'a:65536'}]", "must be host:port"),
        ("servers: [{address: ':80'}]", "must be host:port"),
        ("servers: [{address: 'a b:80'}]", "must be host:port"),
        ("servers: [{address: '[10.0.0.1]:80'}]", "must be host:port"),
        ("servers: [{address: '[a]:80'}]", "must be host:port"),
        ("servers: [{address: 'fe80::1%eth0:80'}]", "must be host:port"),
        ("servers: [{address: '0.0.0.0:80'}]", "must be the address of a server, and 0.0.0.0 is"),
        ("servers: [{address: '10.0.0.300:80'}]", "'10.0.0.300' is no IPv4 address"),
        (
            "servers: [{address: 'a:1'}, {id: 'a:1', address: 'b:1'}]",
            "servers[1]: is known as a:1, as servers[0] is: give it an id of its own",
        ),
    ],
)
def test_a_wrong_service_is_named_with_its_rule(
    tmp_path: Path, service: str, expected: str
) -> None:
    (problem,) = problems_of(tmp_path, f"services:\n  - {{name: x, {service}}}")

    assert problem.startswith("lb.yaml:2: services[0]")
    assert expected in problem
    assert problem.isprintable()


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("{name: a, route: {path: /b}}", ".name: another service has this name: choose another"),
        ("{name: b, route: {path: /a/}}", ".route: asks for the same requests as service a: one"),
        ("{name: /a}", ": asks for the same requests as service a: one must differ"),
        ("{name: b, mode: tcp, route: {port: 90}}", ".route: port 90 is that of service a, of an"),
        ("{name: b, routes: [{host: X, path: /}]}", ".routes[0]: asks for the same requests as"),
        ("{name: b, routes: [{header: {x-a: b}}]}", ".routes[0]: asks for the same requests as"),
    ],
)
def test_two_services_that_cannot_both_be_are_told_at_the_second(
    tmp_path: Path, second: str, expected: str
) -> None:
    first = "{name: a, routes: [{path: /a}, {port: 90}, {host: x}, {header: {X-A: b}}]}"

    (problem,) = problems_of(tmp_path, f"services:\n  - {first}\n  - {second}\n")

    assert problem.startswith(f"lb.yaml:3: services[1]{expected}")


def test_routes_that_differ_in_anything_stand_beside_each_other(tmp_path: Path) -> None:
    routes = (
        "path: /a",
        "path: /A",
        "path: /a/b",
        "host: x",
        "host: x, path: /a",
        "header: {X: a}",
        "header: {X: A}",
        "header: {X: a, Y: a}",
        "port: 90",
        "port: 90, path: /a",
    )
    lines = [f"  - {{name: s{at}, route: {{{one}}}}}" for at, one in enumerate(routes)]

    assert len(load_text(tmp_path, "\n".join(["services:", *lines])).services) == len(routes)


def test_a_port_that_another_key_moves_to_is_taken_too(tmp_path: Path) -> None:
    services = "services: [{name: a, mode: tcp, route: {port: 8004}}]\n"

    assert load_text(tmp_path, services).services
    (problem,) = problems_of(tmp_path, f"haproxy: {{processes: 4}}\n{services}")
    assert problem == (
        "lb.yaml:2: services[0].route.port: 8004 is a port of haproxy.stats.port_base: change "
        "one of them"
    )


def test_services_stand_in_the_file_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(ConfigDir(tmp_path), environ={"LBCTL_SERVICES": "a"}, flags={"services": "[]"})

    assert [str(one) for one in caught.value.problems] == [
        "LBCTL_SERVICES: services: cannot be given here, only in lb.yaml",
        "--services: services: cannot be given here, only in lb.yaml",
    ]


def test_aliases_work_and_nested_ones_do_not_blow_up(tmp_path: Path) -> None:
    shared = (
        "services:\n  - {name: a, servers: &s [{address: 'a:1'}]}\n  - {name: b, servers: *s}\n"
    )
    deep = "\n".join(f"    - &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))
    bomb = f"services:\n  - name: x\n    allow:\n    - &a0 [x, x]\n{deep}\n"
    loop = "services: &s\n  - name: x\n    servers: *s\n    allow: *s\n"

    a, b = load_text(tmp_path, shared).services
    assert a.servers == b.servers
    assert len(problems_of(tmp_path, bomb)) == 40
    assert all("lb.yaml:" in one for one in problems_of(tmp_path, loop))


def test_a_document_too_deep_for_the_fast_parser_is_told_and_not_a_crash(tmp_path: Path) -> None:
    """In a process of its own: what is to be seen is that it lives."""
    (tmp_path / "lb.yaml").write_text(f"services: {'[' * 30_000}{']' * 30_000}\n")

    done = subprocess.run(
        [sys.executable, "-m", "lbctl", "config", "--config-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == EXIT_CONFIG
    assert "brackets or indentation are nested too deep" in done.stderr
