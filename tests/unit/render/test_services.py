from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from lbctl.errors import RenderError
from lbctl.follow.overrides import Overrides
from lbctl.haproxy.lines import read
from lbctl.layout import RunDir, share
from lbctl.model.service import (
    Cookie,
    RateLimit,
    Route,
    Server,
    ServerTls,
    Service,
    ServiceTimeouts,
)
from lbctl.model.target import Target
from lbctl.render.scene import RenderScene
from lbctl.render.services import CompileCache, Compiled, compile_services
from lbctl.settings.discovery import Discovery, Dns, Hosts
from lbctl.settings.model import Haproxy, Http, Peers, Settings
from tests.compiled import EVERYTHING, MANY, WEB

FIXTURES = Path(__file__).parent / "fixtures"
SCENE = RenderScene(RunDir(Path("/run/lbctl")), (2, 6))


def compiled(*services: Service, settings: Settings | None = None, **more: object) -> Compiled:
    return compile_services(services, settings or Settings(), replace(SCENE, **more))  # type: ignore[arg-type]


def lines_of(one: Compiled, backend: str) -> list[str]:
    return one.target.backends[backend].text().splitlines()


def test_a_whole_configuration_reads_like_this() -> None:
    found = compiled(*MANY, settings=EVERYTHING, has_certs=True)
    text = found.target.text() + "".join(
        f"\n## {name}\n{content}" for name, content in sorted(found.target.files.items())
    )
    golden = FIXTURES / "services.txt"
    if os.environ.get("LBCTL_GOLDEN") == "write":
        golden.write_text(text)

    assert golden.read_text() == text
    assert found.problems == ()
    assert Target.parse(found.target.text(), found.target.files) == found.target


def test_a_source_that_drains_a_server_is_heard_and_the_operator_counts_more(
    tmp_path: Path,
) -> None:
    servers = (
        Server(id="a", address="10.0.0.1:80"),
        Server(id="b", address="10.0.0.2:80", weight=7, state="drain"),
        Server(id="c", address="10.0.0.3:80", state="maint"),
    )
    target = compiled(Service(name="app", servers=servers)).target
    overrides = Overrides(tmp_path / "states.json")
    overrides.set(("app", "b"), by="someone", at=1.0, admin="maint")
    admins = [one.admin for one in target.backends["app"].servers]
    text = target.text()
    applied = overrides.applied(target).backends["app"].servers

    assert admins == ["ready", "drain", "maint"]
    assert " weight 0 # drained; its weight is 7\n" in text
    assert "server c 10.0.0.3:80" in text
    assert text.count(" disabled") == 1
    assert [one.admin for one in applied] == ["ready", "maint", "maint"]


def test_the_order_of_services_makes_no_difference() -> None:
    shuffled = list(MANY)
    Random(7).shuffle(shuffled)

    assert compiled(*shuffled).target == compiled(*MANY).target


def test_the_shipped_template_says_what_is_generated_without_one() -> None:
    text = (share("conf") / "haproxy.cfg.j2").read_text()
    for version in ((2, 2), (3, 0)):
        more = {"settings": EVERYTHING, "version": version, "has_certs": True}
        own = compiled(*MANY, **more)  # type: ignore[arg-type]
        template = compiled(*MANY, template={"haproxy.cfg.j2": text}, **more)  # type: ignore[arg-type]

        assert template.target == own.target


def test_what_cannot_be_told_to_haproxy_leaves_its_service_out_and_no_other() -> None:
    bad = [
        Service(name="name\nserver", route=Route(host="a\nb")),
        Service(name="path", route=Route(path="relative")),
        Service(name="address", servers=(Server(address="unix@/x"),)),
        Service(name="twice", servers=(WEB[0], WEB[0])),
        Service(name="cookie", cookie="a b"),
        Service(name="balance", balance="best"),
        Service(name="net", allow=("10.0.0.0/33",)),
        Service(name="time", timeouts=ServiceTimeouts(server="5 s")),
        Service(name="tcp", mode="tcp"),
        Service(name="port", mode="tcp", route=Route(port=80)),
        Service(name="sni", tls=ServerTls(sni="a b")),
    ]
    found = compiled(*bad, MANY[0])

    assert {problem.service for problem in found.problems} == {one.name for one in bad}
    assert found.target == compiled(MANY[0]).target
    assert found.backends == {"hello/v1": "hello:v1"}
    assert all(problem.what.isprintable() for problem in found.problems)


def test_of_two_services_on_one_port_the_first_name_has_it() -> None:
    one, two = (Service(name=name, mode="tcp", route=Route(port=5432)) for name in ("a", "b"))
    found = compiled(two, one)

    assert [(p.service, p.what) for p in found.problems] == [("b", "port 5432 is 'a''s already")]


def test_maxconn_and_limits_are_divided_by_the_number_of_processes() -> None:
    service = replace(MANY[0], maxconn=3, limit=RateLimit(requests=7))
    text = "\n".join(lines_of(compiled(service, processes=4), "hello:v1"))

    assert "sc_http_req_rate(2) gt 1 }" in text
    assert " maxconn 1 " in text


def test_a_stick_table_has_peers_where_nobody_else_on_this_host_counts() -> None:
    peers = Settings(haproxy=Haproxy(peers=Peers(hosts=("10.0.0.1", "fd00::2"), port_base=7000)))
    one = compiled(MANY[0], settings=peers)
    several = compiled(MANY[0], settings=peers, processes=2)

    assert "store http_req_rate(10s) peers lbctl" in one.target.text()
    assert "    peer lbctl-10.0.0.1-01 10.0.0.1:7000\n" in one.target.before
    assert "    peer lbctl-fd00::2-01 [fd00::2]:7000\n" in one.target.before
    assert "peers lbctl" not in several.target.text()
    assert "peers lbctl" not in compiled(MANY[0], is_nbproc=True).target.text()


STUCK = replace(MANY[3], stick="source", stick_for_s=600)


@pytest.mark.parametrize("more", [{}, {"processes": 2}], ids=["one", "several"])
def test_a_client_sticks_to_its_server_in_all_processes(more: dict[str, int]) -> None:
    found = compiled(STUCK, **more)  # type: ignore[arg-type]

    assert "    stick-table type ipv6 size 100k expire 600s peers lbctl" in lines_of(found, "beta")
    assert "    stick on src" in lines_of(found, "beta")
    assert found.target.before.count("    peer lbctl-local-") == more.get("processes", 1)


def test_with_nbproc_each_process_has_clients_of_its_own() -> None:
    text = compiled(STUCK, processes=2, is_nbproc=True).target.text()

    assert "    stick-table type ipv6 size 100k expire 600s\n    stick on src\n" in text
    assert "peers lbctl" not in text


@pytest.mark.parametrize(
    ("more", "peers"),
    [({}, " peers lbctl"), ({"processes": 2, "is_nbproc": True}, "")],
    ids=["one", "nbproc"],
)
def test_limit_and_stick_share_a_table_where_both_are_copied_or_none(
    more: dict[str, int], peers: str
) -> None:
    found = compiled(replace(STUCK, limit=RateLimit(requests=8)), **more)  # type: ignore[arg-type]
    tables = [line for line in lines_of(found, "beta") if "stick" in line]

    assert tables == [
        f"    stick-table type ipv6 size 100k expire 600s store http_req_rate(10s){peers}",
        "    stick on src",
    ]


def test_counters_that_are_not_copied_are_apart_from_clients_that_are() -> None:
    found = compiled(replace(STUCK, limit=RateLimit(requests=8)), processes=2)
    tables = [line for line in lines_of(found, "beta") if "stick" in line]

    assert tables == [
        "    stick-table type ipv6 size 100k expire 10s store http_req_rate(10s)",
        "    stick on src table lbctl/beta",
    ]
    assert "    table beta type ipv6 size 100k expire 600s\n" in found.target.before


@pytest.mark.parametrize(("version", "key"), [((2, 2), ""), ((2, 6), " srvkey addr")])
def test_servers_of_a_name_are_known_by_address_where_haproxy_can(
    version: tuple[int, int], key: str
) -> None:
    text = compiled(replace(MANY[2], stick="source"), version=version).target.text()

    assert f"stick-table type ipv6 size 100k expire 1800s{key} peers lbctl\n" in text


def test_an_operators_own_tables_find_peers_of_every_process() -> None:
    text = "backend x\n    stick-table type ip size 1k peers lbctl\n{{ backends }}\n"
    found = compiled(MANY[3], template={"haproxy.cfg.j2": text}, processes=2)

    assert "    peer lbctl-local-01 127.0.0.1:10001\n    peer lbctl-local-02" in found.target.before


def test_servers_of_balance_first_are_numbered_in_their_order() -> None:
    found = compiled(replace(MANY[0], balance="first"))

    assert [server.id for server in found.target.backends["hello:v1"].servers] == [1, 2]


@pytest.mark.parametrize(
    ("service", "fixed"),
    [
        (MANY[0], ""),
        (MANY[1], "servers with names"),
        (MANY[2], "server-template"),
        (replace(MANY[0], balance="static-rr"), "balance static-rr"),
        (replace(MANY[0], balance="source"), ""),
    ],
)
def test_a_backend_says_whether_servers_may_come_and_go(service: Service, fixed: str) -> None:
    (backend,) = compiled(service).target.backends.values()

    assert backend.fixed == fixed


def test_without_a_check_a_connection_is_tried_every_two_seconds() -> None:
    found = compiled(MANY[3])

    assert "    default-server check inter 2s rise 2 fall 3" in lines_of(found, "beta")


def test_resolvers_are_there_only_for_names() -> None:
    assert "resolvers" not in compiled(MANY[0]).target.text()
    assert "    parse-resolv-conf\n" in compiled(MANY[2]).target.before


def test_the_nameserver_of_the_bundle_is_asked_where_no_other_is_named() -> None:
    hosts = Hosts(path="/etc/hosts", dnsmasq=True, dnsmasq_port=5353)
    own = Settings(discovery=Discovery(hosts=hosts))
    named = Settings(discovery=Discovery(hosts=hosts, dns=Dns(nameservers=("10.0.0.2",))))

    assert "nameserver dnsmasq 127.0.0.1:5353" in compiled(MANY[2], settings=own).target.before
    assert 'nameserver dns1 "10.0.0.2:53"' in compiled(MANY[2], settings=named).target.before
    assert "127.0.0.1:5353" not in compiled(MANY[2], settings=named).target.before


def test_srv_records_have_no_port_and_are_nothing_for_the_hosts_resolver() -> None:
    service = Service(name="app", dns="_http._tcp.web.service.consul", slots=3)
    lines = lines_of(compiled(service), "app")

    assert any(
        line.strip()
        == "server-template dns 1-3 _http._tcp.web.service.consul weight 100 resolvers lbctl"
        " init-addr none"
        for line in lines
    )


def test_a_name_that_is_neither_srv_nor_has_a_port_leaves_its_service_out() -> None:
    found = compiled(Service(name="app", dns="_http._tcp.web\n    server evil 10.0.0.1:80"))

    assert [one.service for one in found.problems] == ["app"]


def test_a_timeout_that_has_no_effect_is_noted() -> None:
    service = replace(MANY[0], timeouts=ServiceTimeouts(client="1s"))

    (note,) = compiled(service).notes

    assert note == (
        "'hello/v1': timeouts.client has no effect with mode http, where services share a "
        "frontend: haproxy.timeouts.client counts"
    )


def test_an_unchanged_service_is_not_compiled_again() -> None:
    cache = CompileCache()
    before = compile_services(MANY, Settings(), SCENE, cache)
    changed = replace(MANY[0], servers=WEB[:1])
    after = compile_services((changed, *MANY[1:]), Settings(), SCENE, cache)
    equal = compile_services((changed, *map(replace, MANY[1:])), Settings(), SCENE, cache)

    assert after.target == compiled(changed, *MANY[1:]).target
    assert after.target.backends["beta"] is before.target.backends["beta"]
    assert equal.target.backends["beta"] is before.target.backends["beta"]
    assert len(after.target.backends["hello:v1"].servers) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"sources": {"beta": "consul"}},
        {"processes": 2},
        {"version": (3, 0)},
        {"run": RunDir(Path("/elsewhere"))},
        {"has_certs": True},
        {"own": "# mine\n"},
    ],
)
def test_a_cache_forgets_what_another_scene_changes(change: dict[str, object]) -> None:
    cache = CompileCache()
    compile_services(MANY, Settings(), SCENE, cache)
    scene = replace(SCENE, **change)  # type: ignore[arg-type]

    expected = compile_services(MANY, Settings(), scene)
    assert compile_services(MANY, Settings(), scene, cache) == expected


def test_beside_an_own_haproxy_cfg_only_ports_and_backends_are_generated() -> None:
    found = compiled(*MANY, own="frontend mine\n    mode http\n")
    opened = [line.words for line in read(found.target.text()) if line.opens_section]

    assert [words for words in opened if words[0] != "backend"] == [
        ("defaults",),
        ("frontend", "lbctl-http-8080"),
        ("frontend", "lbctl-tcp-5432"),
        ("resolvers", "lbctl"),
        ("peers", "lbctl"),
    ]
    assert "default_backend nginx" not in found.target.text()
    assert "/*/hello/v1/ hello:v1" in found.target.files["routes.map"]


def test_beside_an_own_haproxy_cfg_nothing_is_generated_for_no_services() -> None:
    found = compiled(own="frontend mine\n")

    assert read(found.target.text()) == ()
    assert "routes.map" in found.target.files


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("x {{ backends }}\n", r"rendered line 1: {{ backends }} must stand alone on its line"),
        ("{{ backends }}\n{{ backends }}\n", "{{ backends }} is there twice"),
        ("global\n", r"no {{ backends }} alone on a line, and 1 service"),
        ("{{ frontends }}\n", "no {{ backends }}"),
        ("{% for b in backends %}{% endfor %}\n", r"haproxy.cfg.j2:1: .*Marker.*iterable"),
        ("{{ backends | quote }}\n", "haproxy.cfg.j2:1: "),
    ],
)
def test_a_misused_marker_is_named(template: str, says: str) -> None:
    with pytest.raises(RenderError) as caught:
        compiled(MANY[0], template={"haproxy.cfg.j2": template})

    assert re.search(says.replace("{{", r"\{\{").replace("}}", r"\}\}"), str(caught.value))


def test_a_template_that_writes_its_backends_itself_needs_no_place_for_them() -> None:
    text = "{% for service in services %}\nbackend {{ service.name | quote }}\n{% endfor %}\n"
    found = compiled(MANY[3], template={"haproxy.cfg.j2": text})

    assert found.target.before == 'backend "beta"\n'
    assert not found.target.backends


def test_a_template_may_have_a_frontend_of_its_own_with_the_look_up() -> None:
    text = "frontend mine\n    bind :80\n{{ routes }}\n{{ backends }}\nlisten after\n"
    found = compiled(MANY[3], template={"haproxy.cfg.j2": text})

    assert "    use_backend %[var(txn.lbctl_route),field(1,/)]" in found.target.before
    assert found.target.after == "listen after\n"


def test_without_a_template_jinja2_is_not_loaded() -> None:
    code = "import sys, lbctl.render.services; assert 'jinja2' not in sys.modules"
    subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=20)


@pytest.mark.parametrize(
    ("http", "route", "is_secure"),
    [
        (Http(https_redirect=True), Route(path="/a"), True),
        (Http(), Route(path="/a"), False),
        (Http(https_redirect=True, internal_hosts=("*.internal",)), Route(path="/a"), False),
        (Http(https_redirect=True), Route(path="/a", port=8080), False),
    ],
)
def test_an_inserted_cookie_is_secure_where_nothing_is_served_in_plain(
    http: Http, route: Route, is_secure: bool
) -> None:
    sticky = Service(name="a", route=route, cookie=Cookie(name="LB", kind="insert"), servers=WEB)
    (line,) = (
        one
        for one in lines_of(compiled(sticky, settings=Settings(http=http)), "a")
        if one.startswith("    cookie")
    )

    assert (" secure" in line) == is_secure
