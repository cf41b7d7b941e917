"""What deploy/kubernetes configures: judged by ``lbctl check``, and asked of a real HAProxy."""

from __future__ import annotations

import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.cli.main import main
from lbctl.layout import ConfigDir
from lbctl.model.service import HealthCheck, Route, Server, Service
from lbctl.settings.load import load
from tests.compiled import VERSIONS, Answer, Echo, Running, echo, free_port, running

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2] / "deploy" / "kubernetes"
ARTICLE = ROOT / "overlays" / "article"
CLIENT, HERE = "192.0.2.7", "198.51.100.1"
HOST = "app.example.com"
#: Of each service one server, by the last number of its address.
SERVERS = {"app": 1, "app-next": 2, "api": 3}


def by_line(port: int) -> bytes:
    """Version 1, as a Classic Load Balancer says it."""
    return f"PROXY TCP4 {CLIENT} {HERE} 40000 {port}\r\n".encode()


def by_bytes(port: int) -> bytes:
    """Version 2, as a Network Load Balancer says it: with a TLV of its own behind the addresses."""
    own = b"\xea" + struct.pack("!H", 4) + b"\x01vpc"
    addresses = socket.inet_aton(CLIENT) + socket.inet_aton(HERE) + struct.pack("!HH", 40000, port)
    size = struct.pack("!H", len(addresses) + len(own))
    return b"\r\n\r\n\x00\r\nQUIT\n" + b"\x21\x11" + size + addresses + own


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    """HAProxy judges as its own user, who enters no directory of pytest's."""
    with tempfile.TemporaryDirectory(prefix="lbctl-deployed-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("name", ["base", "overlays/example", "overlays/article"])
def test_lbctl_finds_nothing_wrong(
    name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, secrets = place / "config", place / "secrets"
    shutil.copytree(ROOT / name, config)
    secrets.mkdir()
    for one in ("stats-password", "read-token"):
        (secrets / one).write_text("hunter2" * 7)
        (secrets / one).chmod(0o440)
    lb_yaml = config / "lb.yaml"
    lb_yaml.write_text(lb_yaml.read_text().replace("/etc/lbctl", str(secrets)))
    others = ("--run-dir", str(place / "run"), "--state-dir", str(place / "state"))
    code = main(["check", "--config-dir", str(config), *others])
    said = capsys.readouterr()
    # Nobody knows the names of a cluster here; and the token that looks alone stays inside of one.
    known = ("could not resolve address", "without api.tls.cert_file")
    warnings = [one for one in said.err.splitlines() if not any(word in one for word in known)]

    assert code == 0, said
    assert warnings == []


def test_the_articles_own_file_needs_no_more_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "haproxy.cfg"
    shutil.copy(ARTICLE / "haproxy.cfg", path)
    code = main(["migrate", str(path), "--config-dir", str(tmp_path)])
    said = capsys.readouterr()

    assert code == 0, said
    assert "nothing had to change; nothing was written" in said.out


def test_the_articles_own_file_is_what_migrate_made_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Path(__file__).parent / "migrate" / "kubernetes.cfg"
    made = tmp_path / "made.cfg"
    code = main(["migrate", str(original), "--output", str(made), "--config-dir", str(tmp_path)])
    capsys.readouterr()
    shipped = (ARTICLE / "haproxy.cfg").read_text()

    assert code == 0
    # A container has no syslog: the one line that migrate leaves to the operator.
    assert shipped == made.read_text().replace("/dev/log", "stdout format raw")


@pytest.fixture(name="web", scope="module")
def _web() -> Iterator[Echo]:
    with echo() as server:
        yield server


class Example:
    """The example, as it runs: on ports that are free here, with the servers that a cluster has."""

    def __init__(self, haproxy: Running, inside: int) -> None:
        self._haproxy = haproxy
        self._inside = inside

    def asked(self, path: str, opening: bytes, host: str = HOST, **more: str) -> Answer:
        return self._haproxy.get(path, {"Host": host, **more}, opening=opening)

    def inside(self, path: str, host: str) -> Answer:
        """From the cluster, on port 8000."""
        return self._haproxy.get(path, {"Host": host}, port=self._inside)


@pytest.fixture(name="example", scope="module", params=VERSIONS, ids=str)
def _example(
    request: pytest.FixtureRequest, web: Echo, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Example]:
    settings = load(ConfigDir(ROOT / "overlays" / "example"), environ={})
    port = free_port()
    services = [_here(one, web, port) for one in settings.services]
    directory = tmp_path_factory.mktemp("example")
    with running(
        services, directory, version=request.param, settings=replace(settings, services=())
    ) as haproxy:
        assert haproxy.port == port
        yield Example(haproxy, port + 1)


def _here(one: Service, web: Echo, port: int) -> Service:
    if one.name == "cluster":
        (server,) = one.servers
        assert server.address == "127.0.0.1:9000"
        back = (replace(server, address=f"127.0.0.1:{port}"),)
        return replace(one, route=Route(port=port + 1), servers=back)
    server = Server(address=web.address(SERVERS[one.name]))
    return replace(one, servers=(server,), check=HealthCheck(kind="none"))


@pytest.mark.parametrize("proxied", [by_line, by_bytes], ids=["v1", "v2"])
def test_both_versions_of_the_proxy_protocol_say_who_and_how(
    example: Example, proxied: object
) -> None:
    assert callable(proxied)
    tls = example.asked("/x", proxied(443))
    bare = example.asked("/x?a=b", proxied(80))

    assert tls.seen["x-forwarded-for"] == CLIENT
    assert tls.seen["x-forwarded-proto"] == "https"
    assert tls.headers["strict-transport-security"] == "max-age=31536000"
    assert (bare.status, bare.headers["location"]) == (301, f"https://{HOST}/x?a=b")
    assert "strict-transport-security" not in bare.headers


def test_host_header_and_path_say_who_answers(example: Example, web: Echo) -> None:
    tls = by_bytes(443)
    answers = {
        "app": example.asked("/x", tls),
        "app-next": example.asked("/x", tls, **{"X-Canary": "1"}),
        "api": example.asked("/api/x", tls),
    }
    foreign = example.asked("/x", tls, "other.example.com")

    for name, answer in answers.items():
        assert answer.asked["address"] == web.address(SERVERS[name]), name
    assert answers["api"].asked["path"] == "/api/x"
    assert (foreign.status, foreign.headers["location"]) == (301, "https://www.example.com/")


def test_the_cluster_calls_without_tls_and_all_others_are_sent_to_it(
    example: Example, web: Echo
) -> None:
    inside = example.inside("/x", "haproxy-service")
    outside = example.inside("/x", HOST)

    assert inside.asked["address"] == web.address(SERVERS["app"])
    assert inside.seen["x-forwarded-for"] == "127.0.0.1"
    assert inside.seen["x-forwarded-proto"] == "http"
    assert (outside.status, outside.headers["location"]) == (301, f"https://{HOST}/x")
