"""The process model on real HAProxy: 2.6, 3.0 (independent processes) and 2.2 (native nbproc)."""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lbctl.errors import CheckError, ValidationError
from lbctl.haproxy.check import check_configuration
from lbctl.haproxy.cpus import usable_cpus
from lbctl.haproxy.processes import ProcessModel, plan_processes
from lbctl.haproxy.version import read_version
from lbctl.layout import RunDir
from lbctl.render.haproxy import generated_cfg, process_files
from lbctl.settings.model import Haproxy, Http, Settings, Stats

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
FETCHED = {number: str(ROOT / f".cache/haproxy-{number}/bin/haproxy") for number in ("2.2", "3.0")}
BINARIES = {"2.6": "haproxy", **FETCHED}
ODD_PASSWORD = "a b'c\"d$e\\f#g:h ${HOME} pä"

WEB = """\
global
    log stdout format raw daemon
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string ok
"""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A run dir with every file that HAProxy loads."""

    binary: str
    run_dir: RunDir
    model: ProcessModel
    port: int

    def check(self) -> list[str]:
        return [
            warning
            for program in self.model.programs
            for warning in check_configuration(self.binary, self.model.files(program, self.run_dir))
        ]

    def info(self, number: int) -> dict[str, str]:
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.settimeout(2)
            runtime.connect(str(self.run_dir.runtime_socket(number)))
            runtime.sendall(b"show info\n")
            reply = b"".join(iter(lambda: runtime.recv(65536), b""))
        return dict(line.split(": ", 1) for line in reply.decode().splitlines() if ": " in line)

    def stats_port(self, number: int) -> int:
        return self.model.processes[number - 1].stats_port


@pytest.fixture(params=BINARIES)
def binary(request: pytest.FixtureRequest) -> str:
    path = BINARIES[request.param]
    if shutil.which(path) is None:
        pytest.fail(f"{path} is missing: run scripts/setup test")
    return path


@pytest.fixture
def render(binary: str, tmp_path: Path) -> Callable[..., Rendered]:
    def rendered(
        operator: str | None = None, *, password: str | None = None, bind: str = "127.0.0.1"
    ) -> Rendered:
        run_dir = RunDir(tmp_path / "run dir")
        run_dir.certs.mkdir(parents=True, exist_ok=True)
        run_dir.nginx.mkdir(exist_ok=True)
        port = _free_ports(4)
        settings = Settings(
            haproxy=Haproxy(processes=2, stats=Stats(bind=bind, port_base=port + 1)),
            http=Http(bind=f"127.0.0.1:{port}", tls_bind=f"127.0.0.1:{port + 3}"),
        )
        version = read_version(binary)
        model = plan_processes(settings.haproxy, run_dir, usable_cpus(), version)
        files = process_files(
            model.processes,
            settings,
            run_dir,
            is_nbproc=model.model == "nbproc",
            password=password,
            has_exporter=version.has_exporter,
            threads_in=version.threads_in,
        )
        has_certs = any(run_dir.certs.iterdir())
        text = operator and operator.replace("{port}", str(port))
        files[run_dir.haproxy_cfg] = text or generated_cfg(settings, run_dir, has_certs=has_certs)
        for path, content in files.items():
            path.write_text(content)
        return Rendered(binary, run_dir, model, port)

    return rendered


def _free_ports(count: int) -> int:
    """The first of *count* ports side by side that nobody listens on."""
    for base in range(21000 + os.getpid() % 5000, 31000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    pytest.fail("no free ports")


@contextlib.contextmanager
def _running(rendered: Rendered) -> Iterator[list[subprocess.Popen[bytes]]]:
    """All programs, until every stats listener answers; ended by their own process handles."""
    masters = [
        subprocess.Popen(rendered.model.argv(program, rendered.run_dir, binary=rendered.binary))
        for program in rendered.model.programs
    ]
    try:
        for process in rendered.model.processes:
            _wait_until(lambda port=process.stats_port: _get(port, "/healthz")[0] == 200)  # type: ignore[misc]
        yield masters
    finally:
        for master in masters:
            master.terminate()
        for master in masters:
            master.wait(10)


def _wait_until(claim: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(OSError):
            if claim():
                return
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


def _get(port: int, path: str = "/", *, auth: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Connection": "close"}
    if auth is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(auth.encode()).decode()
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()


def _page_pid(rendered: Rendered, number: int) -> str:
    """The pid that the stats page of process *number* shows."""
    found = re.search(r"pid = </b> (\d+)", _get(rendered.stats_port(number))[1])
    assert found is not None
    return found[1]


def _sessions(rendered: Rendered, number: int, proxy: str) -> int:
    """Total sessions of a frontend, as the stats listener of process *number* counts them."""
    lines = _get(rendered.stats_port(number), "/;csv")[1].splitlines()
    columns = lines[0].removeprefix("# ").split(",")
    rows = [dict(zip(columns, line.split(","), strict=False)) for line in lines[1:]]
    return sum(
        int(row["stot"]) for row in rows if (row["pxname"], row["svname"]) == (proxy, "FRONTEND")
    )


def _make_certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("test.example")]), critical=False)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (directory / "test.pem").write_bytes(private + pem)


@pytest.mark.parametrize("bind", ["127.0.0.1", "*", "::1", "[::]"])
def test_generated_files_load_without_a_warning(render: Callable[..., Rendered], bind: str) -> None:
    assert render(bind=bind, password="p").check() == []


def test_generated_files_with_certificates_load_without_a_warning_and_serve_tls(
    render: Callable[..., Rendered], tmp_path: Path
) -> None:
    certs = RunDir(tmp_path / "run dir").certs
    certs.mkdir(parents=True)
    _make_certificate(certs)
    rendered = render()

    assert rendered.check() == []
    trusting = ssl.create_default_context(cafile=certs / "test.pem")
    trusting.set_alpn_protocols(["h2"])
    with (
        _running(rendered),
        socket.create_connection(("127.0.0.1", rendered.port + 3), timeout=5) as plain,
        trusting.wrap_socket(plain, server_hostname="test.example") as secured,
    ):
        assert secured.version() == "TLSv1.3"
        assert secured.selected_alpn_protocol() == "h2"


def test_two_processes_share_the_port_and_each_shows_its_own_stats(
    render: Callable[..., Rendered],
) -> None:
    rendered = render(WEB)
    with _running(rendered):
        pids = [rendered.info(number)["Pid"] for number in (1, 2)]
        pages = [{_page_pid(rendered, number) for _ in range(10)} for number in (1, 2)]
        answers = [_get(rendered.port)[0] for _ in range(100)]
        web = [_sessions(rendered, number, "web") for number in (1, 2)]
        own = [_sessions(rendered, number, f"lbctl-stats-{number:02d}") for number in (1, 2)]

    assert pids[0] != pids[1]
    assert pages == [{pids[0]}, {pids[1]}]
    assert answers == [200] * 100
    assert sum(web) == 100
    assert min(own) >= 11
    if rendered.model.model == "processes":
        # SO_REUSEPORT hashes; one socket shared under nbproc may serve one client from one process.
        assert min(web) > 10


def test_each_process_is_held_on_its_cpu_with_one_thread(
    render: Callable[..., Rendered],
) -> None:
    rendered = render(WEB)
    with _running(rendered):
        pids = [int(rendered.info(number)["Pid"]) for number in (1, 2)]
        threads = [rendered.info(number)["Nbthread"] for number in (1, 2)]
        masks = [os.sched_getaffinity(pid) for pid in pids]

    assert threads == ["1", "1"]
    if usable_cpus().count >= 2:
        assert masks == [{process.cpu} for process in rendered.model.processes]


def test_odd_passwords_open_stats_and_metrics_and_nothing_else_does(
    render: Callable[..., Rendered],
) -> None:
    rendered = render(WEB, password=ODD_PASSWORD)
    port = rendered.stats_port(1)
    with _running(rendered):
        assert _get(port)[0] == 401
        assert _get(port, "/metrics")[0] == 401
        assert _get(port, auth="admin:" + ODD_PASSWORD[:-1])[0] == 401
        assert _get(port, "/healthz")[0] == 200
        status, page = _get(port, auth="admin:" + ODD_PASSWORD)
        _, metrics = _get(port, "/metrics", auth="admin:" + ODD_PASSWORD)

    assert status == 200
    assert "lbctl-stats-01" in page
    assert ("haproxy_process_uptime_seconds" in metrics) == (rendered.model.model == "processes")


def test_a_trailing_defaults_in_tcp_mode_does_not_silence_stats(
    render: Callable[..., Rendered],
) -> None:
    rendered = render(WEB + "defaults\n    mode tcp\n    timeout client 1ms\n    log global\n")
    with _running(rendered):
        status, page = _get(rendered.stats_port(2))

    assert status == 200
    assert "Statistics Report" in page


def test_an_operators_own_threads_and_daemon_change_nothing(
    binary: str, render: Callable[..., Rendered]
) -> None:
    # Up to 2.4 nbthread and nbproc exclude each other, and HAProxy itself says so.
    version = read_version(binary)
    threads = "" if version.has_native_nbproc else "    nbthread 2\n"
    rendered = render(f"global\n    daemon\n    maxconn 500\n{threads}{WEB}")
    limits = {"thread-hard-limit" in warning for warning in rendered.check()}

    assert limits == ({True} if version.threads_in == "limit" else set())
    with _running(rendered) as masters:
        assert [master.poll() for master in masters] == [None] * len(masters)
        assert rendered.info(1)["Nbthread"] == "1"


def test_a_reload_keeps_answering(render: Callable[..., Rendered]) -> None:
    rendered = render(WEB)
    statuses = []
    with _running(rendered) as masters:
        before = {number: rendered.info(number)["Pid"] for number in (1, 2)}

        def are_new() -> bool:
            statuses.append(_get(rendered.port)[0])
            return all(_page_pid(rendered, number) != old for number, old in before.items())

        def did_reload() -> bool:
            # A master of 2.5 and later executes itself anew once its first worker serves, and
            # loses a SIGUSR2 that comes within those milliseconds (20 of 20 times): ask again.
            for master in masters:
                master.send_signal(signal.SIGUSR2)
            with contextlib.suppress(AssertionError):
                _wait_until(are_new, within_s=2)
            return are_new()

        _wait_until(did_reload)
        statuses += [_get(rendered.port)[0] for _ in range(50)]
        pids = [rendered.info(number)["Pid"] for number in (1, 2)]

        assert pids == [_page_pid(rendered, number) for number in (1, 2)]

    assert set(statuses) == {200}


def test_a_refusal_carries_haproxys_own_message_with_file_and_line(
    render: Callable[..., Rendered],
) -> None:
    rendered = render(WEB.replace("bind ", "bnid ") + "    no-such-word\n")
    shown = {rendered.run_dir.haproxy_cfg: "haproxy.cfg"}
    files = rendered.model.files("haproxy-01", rendered.run_dir)

    with pytest.raises(CheckError) as caught:
        check_configuration(rendered.binary, files, shown=shown)

    first, second, *_ = caught.value.problems
    assert [first.where, second.where] == ["haproxy.cfg:9", "haproxy.cfg:11"]
    assert "unknown keyword 'bnid'" in first.what
    assert not any("Fatal errors" in problem.what for problem in caught.value.problems)


def test_a_warning_is_returned_with_file_and_line(render: Callable[..., Rendered]) -> None:
    rendered = render(WEB.replace("    timeout server 5s\n", "") + "backend b\n    server s :1\n")
    warnings = rendered.check()

    assert warnings
    assert any("missing timeouts for backend 'b'" in warning for warning in warnings)


def test_files_without_a_listener_are_refused(binary: str, tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text("global\n    maxconn 10\n")

    with pytest.raises(CheckError, match=r"(?i)no.*listen"):
        check_configuration(binary, [file])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can check as another user")
def test_a_file_that_the_unprivileged_user_cannot_read_is_refused(
    binary: str, tmp_path: Path
) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(WEB.replace("{port}", "20999"))

    assert check_configuration(binary, [file]) == ()
    with pytest.raises(CheckError, match=r"(?i)permission denied|could not open"):
        check_configuration("haproxy", [file], run_as="nobody")


def test_a_missing_program_and_an_unknown_user_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="install the Debian package haproxy"):
        check_configuration(str(tmp_path / "haproxy"), [])
    if os.geteuid() == 0:
        with pytest.raises(ValidationError, match="no such user"):
            check_configuration("haproxy", [], run_as="no-such-user")
