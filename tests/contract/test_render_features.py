"""What generated frontends and backends do, on real HAProxy of three versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.layout import RunDir
from lbctl.model.service import (
    Cookie,
    HealthCheck,
    RateLimit,
    Route,
    Server,
    Service,
    ServiceTimeouts,
)
from lbctl.render.scene import RenderScene
from lbctl.settings.model import Haproxy, Http, Peers, Settings
from tests.compiled import (
    EVERYTHING,
    MANY,
    PEER,
    VERSIONS,
    Echo,
    Running,
    echo,
    free_port,
    judged,
    running,
    written,
)
from tests.compiled import service as plain

pytestmark = pytest.mark.contract

HTTP = Http(
    https_redirect=True,
    internal_hosts=("HAProxy*", "*.internal"),
    hsts_max_age_s=600,
    foreign_redirect="https://www.example.com/100%?a=1",
    known_hosts=("known.example", "*.known.example"),
    health_path="/alive",
    accept_proxy=True,
)

#: As the documents have it.
LOOK_UP = """\
    http-request set-var(txn.lbctl_host) 'req.hdr(host),lower,regsub("[.]?(:[0-9]*)?$","")'
    http-request set-var(txn.lbctl_path) path
    http-request set-var(txn.lbctl_route) \
str(/),concat(,txn.lbctl_host),concat(,txn.lbctl_path,/),map_beg({routes})
    http-request set-var(txn.lbctl_route) \
str(/*),concat(,txn.lbctl_path,/),map_beg({routes}) if !{{ var(txn.lbctl_route) -m found }}
    use_backend %[var(txn.lbctl_route)] if {{ var(txn.lbctl_route) -m found }}
"""


@pytest.fixture(scope="module", name="web")
def _web() -> Iterator[Echo]:
    with echo() as server:
        yield server


@pytest.fixture(params=VERSIONS, ids=str)
def version(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


def from_client(source: str = "192.0.2.7", port: int = 443) -> bytes:
    """What a balancer before us sends first."""
    return f"PROXY TCP4 {source} 198.51.100.1 40000 {port}\r\n".encode()


def test_a_frontend_behind_a_balancer_redirects_forwards_and_answers_probes(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    services = [plain("app", web.address(), route=Route(host="app.example.com"))]
    with running(services, tmp_path, version=version, settings=Settings(http=HTTP)) as haproxy:
        tls = haproxy.get("/x?y=1", {"Host": "App.example.com"}, opening=from_client())
        bare = haproxy.get("/x?y=1", {"Host": "app.example.com:80"}, opening=from_client(port=80))
        inside = haproxy.get("/", {"Host": "haproxy-service"}, opening=from_client(port=80))
        foreign = haproxy.get("/", {"Host": "evil.example"}, opening=from_client())
        known = haproxy.get("/", {"Host": "a.known.example"}, opening=from_client())
        probe = haproxy.get("/alive", {"Host": "10.0.0.1"}, opening=from_client(port=80))

    assert (tls.status, tls.asked["path"]) == (200, "/x?y=1")
    assert tls.seen["x-forwarded-for"] == "192.0.2.7"
    assert tls.seen["x-forwarded-proto"] == "https"
    assert tls.headers["strict-transport-security"] == "max-age=600"
    assert (bare.status, bare.headers["location"]) == (301, "https://app.example.com/x?y=1")
    assert "strict-transport-security" not in bare.headers
    assert (foreign.status, foreign.headers["location"]) == (301, HTTP.foreign_redirect)
    # Nobody serves these two, and nginx does not run here: they were not sent away.
    assert (inside.status, known.status, probe.status) == (503, 503, 200)


def test_limits_networks_and_a_port_of_its_own_hold(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    port = free_port() + 1
    services = [
        plain("limited", web.address(1), limit=RateLimit(requests=20, period_s=60)),
        plain("allowed", web.address(2), allow=("127.0.0.1",), deny=("127.0.0.2/32",)),
        plain("denied", web.address(3), deny=("127.0.0.0/8",)),
        plain("other", web.address(4), allow=tuple(f"10.0.{n}.0/24" for n in range(200))),
        plain("side", web.address(5), routes=(Route(port=port), Route(path="/side", strip=True))),
    ]
    scene = RenderScene(RunDir(tmp_path), version, processes=2, is_nbproc=True)
    with running(services, tmp_path, version=version, scene=scene) as haproxy:
        limited = [haproxy.get("/limited").status for _ in range(12)]
        got = {name: haproxy.get(f"/{name}").status for name in ("allowed", "denied", "other")}
        main, side = haproxy.get("/side/x"), haproxy.get("/side/x", port=port)

    # Half of 20: there are two processes.
    assert limited == [200] * 10 + [429] * 2
    assert got == {"allowed": 200, "denied": 403, "other": 403}
    assert (main.asked["path"], main.seen["x-forwarded-prefix"]) == ("/x", "/side")
    assert (side.asked["path"], side.asked["address"]) == ("/side/x", web.address(5))


def test_sessions_stay_with_their_server(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    servers = tuple(Server(id=f"c{n}", address=web.address(n)) for n in range(1, 4))
    services = [
        plain("app", servers=servers, cookie="JSESSIONID"),
        plain("own", servers=servers, cookie=Cookie(name="LB", kind="insert")),
    ]
    with running(services, tmp_path, version=version) as haproxy:
        for path, marked in (("/app", "{}~app123"), ("/own", "{}")):
            firsts = {}
            for _ in range(6):
                answer = haproxy.get(path)
                value = answer.headers["set-cookie"].partition(";")[0].partition("=")[2]
                firsts[value] = answer.asked["address"]

            assert firsts == {marked.format(s.id): s.address for s in servers}
            name = "JSESSIONID" if path == "/app" else "LB"
            for value, address in firsts.items():
                again = [haproxy.get(path, {"Cookie": f"{name}={value}"}) for _ in range(4)]
                assert {one.asked["address"] for one in again} == {address}
            if path == "/app":
                assert again[0].seen["cookie"] == "JSESSIONID=app123"


def test_checks_find_the_dead_server_and_a_name_that_is_unknown_does_not_stop_the_start(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    quick = HealthCheck(path="/health?deep=1", interval_s=0.1, timeout_s=0.5, rise=1, fall=1)
    dead = f"127.0.0.1:{free_port() + 7}"
    services = [
        Service(
            name="app",
            check=quick,
            servers=(Server(address=web.address()), Server(id="dead", address=dead)),
        ),
        plain("named", servers=(Server(id="db", address="nowhere.invalid:80"),)),
        plain("followed", dns="nowhere.invalid:80", slots=2, cookie="S"),
        plain("local", servers=(Server(id="one", address=f"localhost:{web.server_port}"),)),
    ]
    with running(services, tmp_path, version=version) as haproxy:
        deadline = time.monotonic() + 10
        while "app/dead" not in _down(haproxy):
            assert time.monotonic() < deadline, "the dead server was not found"
            time.sleep(0.02)
        answers = [haproxy.get("/app").status for _ in range(10)]
        named, local = haproxy.get("/named").status, haproxy.get("/local").status

        assert "app/" + web.address() not in _down(haproxy)
    assert answers == [200] * 10
    assert (named, local) == (503, 200)


def _down(haproxy: Running) -> set[str]:
    rows = haproxy.runtime("show servers state").splitlines()[2:]
    found = [row.split() for row in rows if row]
    return {f"{row[1]}/{row[3]}" for row in found if row[5] == "0"}


def test_tcp_services_listen_on_their_ports(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    port = free_port() + 1
    services = [
        plain(
            "db",
            web.address(),
            mode="tcp",
            route=Route(port=port),
            accept_proxy=True,
            timeouts=ServiceTimeouts(client="1m"),
        ),
        plain(
            "few",
            web.address(2),
            mode="tcp",
            routes=(Route(port=port + 1), Route(port=port + 2)),
            limit=RateLimit(requests=2, period_s=60),
        ),
    ]
    with running(services, tmp_path, version=version) as haproxy:
        answer = haproxy.get("/", port=port, opening=from_client())
        few = [haproxy.get("/", port=port + one).status for one in (1, 2)]
        with pytest.raises(OSError, match=r"reset|closed|Remote end"):
            haproxy.get("/", port=port + 1)

    assert answer.asked["address"] == web.address()
    assert few == [200, 200]


@pytest.mark.parametrize("settings", [Settings(), EVERYTHING], ids=["plain", "everything"])
def test_services_of_every_kind_are_accepted_without_a_warning(
    tmp_path: Path, version: tuple[int, int], settings: Settings
) -> None:
    _, path = written(MANY, settings, RenderScene(RunDir(tmp_path), version))

    assert judged(version, path) == (0, "")


@pytest.mark.parametrize(
    "balance", ["source", "uri", "hdr(x-user)", "first", "static-rr", "random"]
)
def test_every_algorithm_is_accepted_by_every_version(
    tmp_path: Path, version: tuple[int, int], balance: str
) -> None:
    servers = (Server(address="10.0.0.1:80"), Server(address="[fd00::1]:80", backup=True))
    services = [Service(name="app", balance=balance, servers=servers, send_proxy="v2")]
    _, path = written(services, Settings(), RenderScene(RunDir(tmp_path), version))

    assert judged(version, path) == (0, "")


def test_with_peers_a_limit_goes_on_where_the_other_process_was(tmp_path: Path, web: Echo) -> None:
    """One process on each host, here both on one: what one has counted the other one knows."""
    base = free_port() + 50
    peers = Peers(port_base=base, hosts=("127.0.0.1", "127.0.0.2"))
    settings = Settings(haproxy=Haproxy(peers=peers))
    services = [plain("app", web.address(), limit=RateLimit(requests=10, period_s=60))]
    first, second = tmp_path / "a", tmp_path / "b"
    for directory in (first, second):
        directory.mkdir()
    with (
        running(services, first, settings=settings, peer="lbctl-127.0.0.1-01") as one,
        running(services, second, settings=settings, peer="lbctl-127.0.0.2-01") as two,
    ):
        assert [one.get("/app").status for _ in range(10)] == [200] * 10
        deadline = time.monotonic() + 20
        while "http_req_rate(60000)=10" not in two.runtime("show table app"):
            assert time.monotonic() < deadline, two.runtime("show table app")
            time.sleep(0.05)
        assert two.get("/app").status == 429


def test_operators_haproxy_cfg_stays_and_services_cfg_has_the_backends(
    tmp_path: Path, web: Echo, version: tuple[int, int]
) -> None:
    own = tmp_path / "own.cfg"
    port = free_port() + 3
    own.write_text(
        "defaults\n    mode tcp\n    timeout connect 1s\n    timeout client 5s\n"
        f"    timeout server 5s\nfrontend mine\n    mode http\n    bind 127.0.0.1:{port}\n"
        "    use_backend hello:v1 if { path_beg /hello }\n"
        f"{LOOK_UP.format(routes=tmp_path / 'haproxy' / 'routes.map')}"
    )
    scene = RenderScene(RunDir(tmp_path), version, own=own.read_text())
    services = [
        plain("hello/v1", web.address(), route=Route(path="/hello/v1", strip=True)),
        plain("app", web.address(), routes=(Route(host="app.org"), Route(path="/app"))),
    ]
    more = own.read_text()
    with running(services, tmp_path, version=version, scene=scene, more=more) as haproxy:
        answer = haproxy.get("/hello/v1/x", port=port)
        by_host = haproxy.get("/y", {"Host": "App.org:81"}, port=port)
        anywhere = haproxy.get("/app/z", port=port)

    assert (by_host.asked["path"], anywhere.asked["path"]) == ("/y", "/app/z")
    assert answer.asked["path"] == "/x"
    assert haproxy.compiled.target.files["routes.map"].endswith(
        "/*/app/ app\n/*/hello/v1/ hello:v1\n/app.org/ app\n"
    )
    assert PEER not in haproxy.compiled.target.text()
