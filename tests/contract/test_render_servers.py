"""Servers behind TLS and behind names, with traffic, on real HAProxy of three versions."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.layout import RunDir
from lbctl.model.service import HealthCheck, Server, ServerTls, Service
from lbctl.render.scene import RenderScene
from lbctl.settings.model import Haproxy, Peers, Settings
from tests.compiled import VERSIONS, Echo, Running, echo, free_port, running, written
from tests.compiled import service as plain
from tests.haproxies import wait_until
from tests.nameservers import NAME, nameserver
from tests.pems import issue

pytestmark = pytest.mark.contract


@pytest.fixture(name="version", params=VERSIONS, ids=str)
def _version(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


class Secret(Echo):
    """Speaks TLS, and knows which names it was asked for."""

    def __init__(self, pem: Path) -> None:
        super().__init__()
        self.names: set[str | None] = set()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.sni_callback = lambda _, name, __: self.names.add(name)
        # The handshake is the thread's of each connection.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )


@contextmanager
def secret(pem: Path) -> Iterator[Secret]:
    with Secret(pem) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_only_a_server_with_a_good_certificate_for_the_name_gets_requests(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    authority, stranger = (
        issue("authority", is_authority=True),
        issue("stranger", is_authority=True),
    )
    good, alien = tmp_path / "good.pem", tmp_path / "alien.pem"
    good.write_bytes(issue("api.internal", by=authority).both)
    alien.write_bytes(issue("api.internal", by=stranger).both)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    tls = ServerTls(ca_file=str(ca), sni="api.internal")
    with secret(good) as one, secret(alien) as other:
        services = [
            plain("good", one.address(), tls=tls),
            plain("alien", other.address(), tls=tls),
            plain("trusting", other.address(), tls=ServerTls(verify=False)),
            plain("misnamed", one.address(), tls=replace(tls, sni="db.internal")),
            plain("by-host", one.address(), tls=ServerTls(ca_file=str(ca))),
        ]
        with running(services, tmp_path, version=version) as haproxy:
            got = {one.name: haproxy.get(f"/{one.name}").status for one in services[:4]}
            fitting = haproxy.get("/by-host", {"Host": "api.internal:80"}).status
            unfitting = haproxy.get("/by-host", {"Host": "db.internal"}).status

    assert got == {"good": 200, "alien": 503, "trusting": 200, "misnamed": 503}
    assert (fitting, unfitting) == (200, 503)
    assert one.names == {"api.internal", "db.internal"}


def test_a_check_sees_that_a_certificate_is_not_good(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    authority = issue("authority", is_authority=True)
    good, alien = tmp_path / "good.pem", tmp_path / "alien.pem"
    good.write_bytes(issue("api.internal", by=authority).both)
    alien.write_bytes(issue("api.internal").both)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    with secret(good) as one, secret(alien) as other:
        servers = (
            Server(id="good", address=one.address()),
            Server(id="bad", address=other.address()),
        )
        quick = HealthCheck(path="/", interval_s=0.1, rise=1, fall=1)
        tls = ServerTls(ca_file=str(ca), sni="api.internal")
        services = [Service(name="app", servers=servers, tls=tls, check=quick)]
        with running(services, tmp_path, version=version) as haproxy:
            wait_until(lambda: states(haproxy) == {"good": "2", "bad": "0"})

            assert [haproxy.get("/app").status for _ in range(6)] == [200] * 6


def states(haproxy: Running, backend: str = "app") -> dict[str, str]:
    """``srv_op_state`` by server."""
    rows = haproxy.runtime(f"show servers state {backend}").splitlines()[2:]
    return {row.split()[3]: row.split()[5] for row in rows if row}


def serving(haproxy: Running) -> set[str]:
    """The addresses that answer, without their port; none where some request is not answered."""
    answers = [haproxy.get("/app") for _ in range(12)]
    is_well = all(one.status == 200 for one in answers)
    return {one.asked["address"].partition(":")[0] for one in answers} if is_well else set()


def test_every_address_of_a_name_serves_and_haproxy_follows_it(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    with echo() as web, nameserver(tmp_path, {"127.0.0.1", "127.0.0.2"}) as names:
        services = [plain("app", dns=f"{NAME}:{web.server_port}", slots=4)]
        with running(services, tmp_path, version=version, settings=names.settings) as haproxy:
            for addresses in ({"127.0.0.1", "127.0.0.2"}, {"127.0.0.2", "127.0.0.3"}):
                names.change(addresses)
                started = time.monotonic()
                wait_until(lambda wanted=addresses: serving(haproxy) == wanted, 15)  # type: ignore[misc]

                assert time.monotonic() - started < 10


def test_a_nameserver_that_is_silent_delays_the_start_by_seconds(tmp_path: Path) -> None:
    """The host's own resolver would wait 20 s for each of 20 servers, and the judge waits 60 s."""
    services = [plain("app", dns=f"{NAME}:80", slots=20)]
    _, configuration = written(services, Settings(), RenderScene(RunDir(tmp_path), (2, 6)))
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.53.53\n")
    words = f"mount --bind {resolv_conf} /etc/resolv.conf && exec haproxy -c -q -f {configuration}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.53.53", 53))
        started = time.monotonic()
        done = subprocess.run(["unshare", "-m", "sh", "-c", words], check=False, timeout=60)
        took_s = time.monotonic() - started
        silent.setblocking(False)

        assert done.returncode == 0
        assert len(silent.recv(512)) > 0
        assert took_s < 10


def test_a_client_stays_with_an_address_of_a_name_that_another_process_numbers_otherwise(
    tmp_path: Path,
) -> None:
    both = {"127.0.0.1", "127.0.0.2"}
    with echo() as web, nameserver(tmp_path, both) as names:
        peers = Peers(port_base=free_port() + 200)
        settings = replace(names.settings, haproxy=Haproxy(peers=peers))
        services = [plain("app", dns=f"{NAME}:{web.server_port}", slots=2, stick="source")]
        one, two = (tmp_path / name for name in ("one", "two"))
        for directory in (one, two):
            directory.mkdir()
        scene = RenderScene(RunDir(tmp_path), (2, 6), processes=2)
        more = {"settings": settings, "scene": scene}
        with running(services, one, peer="lbctl-local-01", **more) as a:  # type: ignore[arg-type]
            wait_until(lambda: set(slots(a)) == both, 15)
            order = slots(a)
            names.change({order[1]})
            with running(services, two, peer="lbctl-local-02", **more) as b:  # type: ignore[arg-type]
                wait_until(lambda: serving(b) == {order[1]}, 15)
                names.change(both)
                wait_until(lambda: slots(a) == slots(b)[::-1] == order, 15)
                wait_until(lambda: "used:1" in a.runtime("show table app"), 15)

                assert serving(a) == serving(b) == {order[1]}


def slots(haproxy: Running) -> list[str]:
    rows = haproxy.runtime("show servers state app").splitlines()[2:]
    return [row.split()[4] for row in rows if row]
