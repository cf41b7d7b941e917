"""The process model on real HAProxy: 2.6, 3.0 (independent processes) and 2.2 (native nbproc)."""

from __future__ import annotations

import datetime
import os
import re
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lbctl.errors import CheckError, ValidationError
from lbctl.haproxy.check import check_configuration
from lbctl.haproxy.cpus import usable_cpus
from lbctl.haproxy.version import read_version
from lbctl.layout import RunDir
from tests.binaries import BINARIES, installed
from tests.haproxies import WEB, Rendered, get, rendered, running

pytestmark = pytest.mark.contract

ODD_PASSWORD = "a b'c\"d$e\\f#g:h ${HOME} pä"


@pytest.fixture(name="binary", params=BINARIES)
def _binary(request: pytest.FixtureRequest) -> str:
    return installed(request.param)


@pytest.fixture(name="render")
def _render(binary: str, tmp_path: Path) -> Callable[..., Rendered]:
    return partial(rendered, binary, tmp_path)


def _page_pid(site: Rendered, number: int) -> str:
    """The pid that the stats page of process *number* shows."""
    found = re.search(r"pid = </b> (\d+)", get(site.stats_port(number))[1])
    assert found is not None
    return found[1]


def _sessions(site: Rendered, number: int, proxy: str) -> int:
    """Total sessions of a frontend, as the stats listener of process *number* counts them."""
    lines = get(site.stats_port(number), "/;csv")[1].splitlines()
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
    site = render()

    assert site.check() == []
    trusting = ssl.create_default_context(cafile=certs / "test.pem")
    trusting.set_alpn_protocols(["h2"])
    with (
        running(site),
        socket.create_connection(("127.0.0.1", site.port + 3), timeout=5) as plain,
        trusting.wrap_socket(plain, server_hostname="test.example") as secured,
    ):
        assert secured.version() == "TLSv1.3"
        assert secured.selected_alpn_protocol() == "h2"


def test_two_processes_share_the_port_and_each_shows_its_own_stats(
    render: Callable[..., Rendered],
) -> None:
    site = render(WEB)
    with running(site):
        pids = [site.info(number)["Pid"] for number in (1, 2)]
        pages = [{_page_pid(site, number) for _ in range(10)} for number in (1, 2)]
        answers = [get(site.port)[0] for _ in range(100)]
        web = [_sessions(site, number, "web") for number in (1, 2)]
        own = [_sessions(site, number, f"lbctl-stats-{number:02d}") for number in (1, 2)]

    assert pids[0] != pids[1]
    assert pages == [{pids[0]}, {pids[1]}]
    assert answers == [200] * 100
    assert sum(web) == 100
    assert min(own) >= 11
    if site.model.model == "processes":
        # SO_REUSEPORT hashes; one socket shared under nbproc may serve one client from one process.
        assert min(web) > 10


def test_each_process_is_held_on_its_cpu_with_one_thread(
    render: Callable[..., Rendered],
) -> None:
    site = render(WEB)
    with running(site):
        pids = [int(site.info(number)["Pid"]) for number in (1, 2)]
        threads = [site.info(number)["Nbthread"] for number in (1, 2)]
        masks = [os.sched_getaffinity(pid) for pid in pids]

    assert threads == ["1", "1"]
    if usable_cpus().count >= 2:
        assert masks == [{process.cpu} for process in site.model.processes]


def test_odd_passwords_open_stats_and_metrics_and_nothing_else_does(
    render: Callable[..., Rendered],
) -> None:
    site = render(WEB, password=ODD_PASSWORD)
    port = site.stats_port(1)
    with running(site):
        assert get(port)[0] == 401
        assert get(port, "/metrics")[0] == 401
        assert get(port, auth="admin:" + ODD_PASSWORD[:-1])[0] == 401
        assert get(port, "/healthz")[0] == 200
        status, page = get(port, auth="admin:" + ODD_PASSWORD)
        _, metrics = get(port, "/metrics", auth="admin:" + ODD_PASSWORD)

    assert status == 200
    assert "lbctl-stats-01" in page
    assert ("haproxy_process_uptime_seconds" in metrics) == (site.model.model == "processes")


def test_a_trailing_defaults_in_tcp_mode_does_not_silence_stats(
    render: Callable[..., Rendered],
) -> None:
    site = render(WEB + "defaults\n    mode tcp\n    timeout client 1ms\n    log global\n")
    with running(site):
        status, page = get(site.stats_port(2))

    assert status == 200
    assert "Statistics Report" in page


def test_an_operators_own_threads_and_daemon_change_nothing(
    binary: str, render: Callable[..., Rendered]
) -> None:
    # Up to 2.4 nbthread and nbproc exclude each other, and HAProxy itself says so.
    version = read_version(binary)
    threads = "" if version.has_native_nbproc else "    nbthread 2\n"
    site = render(f"global\n    daemon\n    maxconn 500\n{threads}{WEB}")
    limits = {"thread-hard-limit" in warning for warning in site.check()}

    assert limits == ({True} if version.threads_in == "limit" else set())
    with running(site) as masters:
        assert [master.poll() for master in masters] == [None] * len(masters)
        assert site.info(1)["Nbthread"] == "1"


def test_a_refusal_carries_haproxys_own_message_with_file_and_line(
    render: Callable[..., Rendered],
) -> None:
    site = render(WEB.replace("bind ", "bnid ") + "    no-such-word\n")
    shown = {site.run_dir.haproxy_cfg: "haproxy.cfg"}
    files = site.model.files("haproxy-01", site.run_dir)

    with pytest.raises(CheckError) as caught:
        check_configuration(site.binary, files, shown=shown)

    first, second, *_ = caught.value.problems
    assert [first.where, second.where] == ["haproxy.cfg:9", "haproxy.cfg:11"]
    assert "unknown keyword 'bnid'" in first.what
    assert not any("Fatal errors" in problem.what for problem in caught.value.problems)


def test_a_warning_is_returned_with_file_and_line(render: Callable[..., Rendered]) -> None:
    site = render(WEB.replace("    timeout server 5s\n", "") + "backend b\n    server s :1\n")
    warnings = site.check()

    assert warnings
    assert any("missing timeouts for backend 'b'" in warning for warning in warnings)


def test_a_check_by_the_processs_own_name_keeps_its_peers(render: Callable[..., Rendered]) -> None:
    site = render(f"{WEB}peers lbctl\n    peer lbctl-local-01 127.0.0.1:{{port}}\n")
    files = site.model.files("haproxy-01", site.run_dir)

    (without,) = check_configuration(site.binary, files)
    assert "Removing incomplete section 'peers lbctl'" in without
    assert check_configuration(site.binary, files, peer=site.model.peer("haproxy-01")) == ()


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
