"""Configurations that people have published, migrated, and run as the bundle runs them."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lbctl.cli.main import main
from lbctl.haproxy.check import check_configuration
from lbctl.haproxy.cpus import usable_cpus
from lbctl.haproxy.processes import plan_processes
from lbctl.haproxy.version import read_version
from lbctl.layout import RunDir
from lbctl.render.haproxy import process_files
from lbctl.settings.model import Haproxy, Settings, Stats
from tests.binaries import installed
from tests.origins import Origin, ask, basic
from tests.places import NOBODY, free_ports
from tests.two_processes import free_port, wait_until

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
INPUTS = Path(__file__).parent / "migrate"
#: Its 30 ms to connect are the article's; on a busy machine HAProxy itself is held up for longer.
PATIENT = {"timeout connect    30ms": "timeout connect    5s"}


@pytest.fixture(params=["2.6", "3.0"])
def binary(request: pytest.FixtureRequest) -> str:
    return installed(request.param)


Balance = Callable[..., contextlib.AbstractContextManager[None]]


@pytest.fixture
def balance(
    binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Balance:
    """Migrate an input with other addresses, check that nobody warns, and run it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LBCTL_CONFIG_DIR", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()

    def migrated(name: str, changes: dict[str, str]) -> str:
        """What migrate said on stderr."""
        text = (INPUTS / name).read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        old_file, new_file = tmp_path / "old.cfg", RunDir(tmp_path / "run").haproxy_cfg
        new_file.parent.mkdir(parents=True)
        old_file.write_text(text)
        assert main(["migrate", str(old_file), "--output", str(new_file)]) == 0
        return capsys.readouterr().err

    @contextlib.contextmanager
    def balanced(
        name: str, changes: dict[str, str], answers_on: int, warning: str = ""
    ) -> Iterator[None]:
        warned = migrated(name, changes)
        assert bool(warned) == bool(warning)
        assert all(warning in line for line in warned.splitlines())
        run_dir, (stats_port, _) = RunDir(tmp_path / "run"), free_ports(2)
        with _processes(binary, run_dir, stats_port, warning=warning):
            wait_until(lambda: _listens(answers_on), "the migrated file listens")
            yield

    return balanced


@contextlib.contextmanager
def _processes(
    binary: str,
    run_dir: RunDir,
    stats_port: int,
    password: str | None = None,
    warning: str = "",
) -> Iterator[None]:
    settings = Settings(haproxy=Haproxy(processes=2, stats=Stats(port_base=stats_port)))
    version = read_version(binary)
    model = plan_processes(settings.haproxy, run_dir, usable_cpus(), version)
    files = process_files(
        model.processes,
        settings,
        run_dir,
        is_nbproc=False,
        password=password,
        has_exporter=version.has_exporter,
        threads_in=version.threads_in,
    )
    files[run_dir.services_cfg] = "# none\n"
    for path, content in files.items():
        path.write_text(content)
    for program in model.programs:
        warned = check_configuration(binary, model.files(program, run_dir))
        assert all(warning and warning in one for one in warned)
    masters = [
        subprocess.Popen(model.argv(program, run_dir, binary=binary)) for program in model.programs
    ]
    try:
        for process in model.processes:
            wait_until(lambda port=process.stats_port: _listens(port), "stats")  # type: ignore[misc]
        yield
    finally:
        for master in masters:
            master.terminate()
        for master in masters:
            master.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_consul_template_route_strips_its_prefix_and_checks_carry_the_host(
    balance: Balance,
) -> None:
    port, stats = free_port(), free_port()
    with Origin("host0").running() as origin:
        changes = {
            "*:80": f"127.0.0.1:{port}",
            "*:1936": f"127.0.0.1:{stats}",
            "192.168.99.100:32768": origin.address,
        }
        with balance("consul-template.cfg", changes, port):
            routed = ask(port, "/hello/v1/x?a=/hello/v1/y")
            bare = ask(port, "/hello/v1")
            other = ask(port, "/nothing")
            page = ask(stats, Authorization=basic("someuser", "password"))
            closed = ask(stats)
            wait_until(lambda: any(one[":method"] == "HEAD" for one in origin.seen), "a check")
    checks = [one for one in origin.seen if one[":method"] == "HEAD"]

    assert routed.asked[":path"] == "/x?a=/hello/v1/y"
    assert routed.asked["x-forwarded-for"] == "127.0.0.1"
    assert bare.asked[":path"] == "/"
    assert other.status == 503
    assert [(one[":path"], one["host"]) for one in checks[:1]] == [("/", "localhost")]
    assert "Statistics Report" in page.text
    assert closed.status == 401


def test_kubernetes_routes_by_host_redirects_and_takes_the_proxy_protocol(
    balance: Balance,
) -> None:
    plain, tls, stats = free_port(), free_port(), free_port()
    line = b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n"
    with Origin("app").running() as origin:
        changes = PATIENT | {
            "*:26999": f"127.0.0.1:{stats}",
            "*:8000": f"127.0.0.1:{plain}",
            "*:9000": f"127.0.0.1:{tls}",
            "app app:9000": f"app {origin.address}",
        }
        with balance("kubernetes.cfg", changes, plain):
            internal = ask(plain, "/a", Host="haproxy.local")
            outside = ask(plain, "/a", Host="app.example.com")
            app = ask(tls, "/b", proxy_line=line, Host="app.example.com")
            stranger = ask(tls, "/b", proxy_line=line, Host="example.org")
            page = ask(stats)

    assert internal.asked[":path"] == "/a"
    assert (outside.status, outside.headers["location"]) == (301, "https://app.example.com/a")
    assert app.asked["x-forwarded-for"] == "192.0.2.7"
    assert app.asked["x-forwarded-proto"] == "https"
    assert (stranger.status, stranger.headers["location"]) == (301, "https://www.example.com/")
    assert "Statistics Report" in page.text


def test_kubernetes_starts_although_its_servers_name_is_unknown(balance: Balance) -> None:
    plain, tls, stats = free_port(), free_port(), free_port()
    changes = PATIENT | {
        "*:26999": f"127.0.0.1:{stats}",
        "*:8000": f"127.0.0.1:{plain}",
        "*:9000": f"127.0.0.1:{tls}",
        "app:9000": "not-there-yet.invalid:9000",
    }
    with balance("kubernetes.cfg", changes, plain, "could not resolve address"):
        answer = ask(plain, "/", Host="haproxy.local")

    assert answer.status == 503


def test_lambda_registry_routes_by_host_and_every_session_stays_on_its_server(
    balance: Balance,
) -> None:
    port = free_port()
    with (
        Origin("app1").running() as app1,
        Origin("das843j3h3k").running() as one,
        Origin("fds32k4354f").running() as two,
    ):
        changes = {
            ":80\nacl": f"127.0.0.1:{port}\nacl",
            "192.168.1.9:80": app1.address,
            "192.168.1.10:80": one.address,
            "192.168.1.11:80": two.address,
        }
        with balance("lambda-registry.cfg", changes, port):
            first = ask(port, Host="first.example.com")
            sessions = [ask(port, Host="second.example.com") for _ in range(6)]
            cookies = [each.headers["set-cookie"].partition(";")[0] for each in sessions]
            later = [ask(port, Host="second.example.com", Cookie=each) for each in cookies * 3]
    began_on = [each.asked[":server"] for each in sessions]

    assert first.asked[":server"] == "app1"
    assert set(began_on) == {"das843j3h3k", "fds32k4354f"}
    assert [each.asked[":server"] for each in later] == began_on * 3
    assert {each.asked["cookie"] for each in later} == {"JSESSIONID=abc"}


def _password_by_the_printed_command(said: str, directory: Path) -> str:
    """Run what migrate printed, as an operator would, and read the password file."""
    (command,) = [line for line in said.splitlines() if line.startswith("(umask")]
    subprocess.run(["sh", "-euc", command], check=True, timeout=5)
    path = directory / "config" / "stats-password"

    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text().rstrip("\n")


@pytest.mark.parametrize("name", ["article.cfg", "fish.cfg"])
def test_the_statistics_of_each_process_answer_with_the_old_login(
    name: str,
    binary: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LBCTL_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    run_dir = RunDir(tmp_path / "run")
    run_dir.haproxy_cfg.parent.mkdir(parents=True)
    text = (INPUTS / name).read_text().replace(":80\n", f"127.0.0.1:{free_port()}\n")
    old = tmp_path / "old.cfg"
    old.write_text(text.replace(":443 ssl no-sslv3 crt keys/default.pem", f"*:{free_port()}"))

    assert main(["migrate", str(old), "--output", str(run_dir.haproxy_cfg)]) == 0

    printed = capsys.readouterr()
    said = printed.out
    password = _password_by_the_printed_command(said, tmp_path)
    base, other = free_ports(2)
    with _processes(binary, run_dir, base, password):
        login = basic("admin", "foobar23")
        pages = [ask(port, Authorization=login) for port in (base, other)]
        closed = ask(base)

    assert printed.err == ""
    assert password == "foobar23"
    assert "foobar23" not in said
    assert all("Statistics Report" in page.text for page in pages)
    assert closed.status == 401


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """What fish's ``keys/default.pem`` is, without the key."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=fish"]
    subprocess.run(
        ["openssl", "req", *subject, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
        timeout=30,
    )
    (tmp_path / "keys").mkdir()
    pair = certificate.read_bytes() + key.read_bytes()
    (tmp_path / "keys" / "default.pem").write_bytes(pair)
    return certificate


def test_fish_serves_its_backend_over_http_and_tls(balance: Balance, certificate: Path) -> None:
    port, tls = free_port(), free_port()
    trusting = ssl.create_default_context(cafile=certificate)
    trusting.check_hostname = False
    with Origin("node1").running() as origin:
        changes = {
            "bind :80\n": f"bind 127.0.0.1:{port}\n",
            "bind :443 ": f"bind 127.0.0.1:{tls} ",
            "127.0.0.1:8081": origin.address,
        }
        with balance("fish.cfg", changes, port):
            answer = ask(port, "/x")
            with (
                socket.create_connection(("127.0.0.1", tls), timeout=5) as raw,
                trusting.wrap_socket(raw) as secured,
            ):
                secured.sendall(b"GET /y HTTP/1.0\r\n\r\n")
                reply = b"".join(iter(lambda: secured.recv(65536), b""))

    assert answer.asked[":path"] == "/x"
    assert b'":path": "/y"' in reply


def test_rules_on_lines_do_the_same_on_paths_and_headers(balance: Balance) -> None:
    port, proxied = free_port(), free_port()
    with Origin("web").running() as origin:
        changes = {
            "0.0.0.0:10001": f"127.0.0.1:{port}",
            "127.0.0.1:10002": f"127.0.0.1:{proxied}",
            "192.0.2.1:80": origin.address,
        }
        with balance("rules.cfg", changes, port):
            first = ask(port, "/old/a?b=/old/c", Host="WWW.example.com", X_Drop="1", X_Keep="100%")
            blocked = ask(port, "/secret/x")
            admin = ask(port, "/ADMIN/x")
            inside = ask(port, "/static/private")
            bot = ask(port, "/", User_Agent="some robot")
            monitored = ask(proxied, "/", proxy_line=b"PROXY TCP4 10.1.1.1 10.1.1.2 1 2\r\n")

    assert first.asked[":path"] == "/new/a?b=/old/c"
    assert first.asked["host"] == "example.com"
    assert first.asked["x-keep"] == "100% kept"
    assert first.asked["x-added"] == "after the deletion"
    assert "x-drop" not in first.asked
    assert "server" not in first.headers
    assert first.headers["x-served"] == "by haproxy"
    assert [blocked.status, admin.status, bot.status] == [403, 403, 500]
    assert inside.asked[":path"] == "/private"
    assert (monitored.status, monitored.headers.get("x-served")) == (200, None)


def test_a_template_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new.cfg"
    code = main(
        [
            "migrate",
            str(INPUTS / "consul-template.ctmpl"),
            "--output",
            str(output),
            "--config-dir",
            str(tmp_path),
        ]
    )

    assert code == 13
    assert "migrate the file that it renders" in capsys.readouterr().err
    assert not output.exists()


def test_each_removed_global_would_end_an_unprivileged_haproxy(binary: str, tmp_path: Path) -> None:
    """The reasons that migrate gives are HAProxy's own behaviour, and not a memory."""
    assert os.geteuid() == 0
    lines = [
        "pidfile /nowhere/haproxy.pid",
        "chroot /var/empty",
        "user daemon",
        "ulimit-n 99999999",
    ]
    tmp_path.chmod(0o755)
    ended = {}
    for line in ["maxconn 100", *lines]:
        port, file = free_port(), tmp_path / "haproxy.cfg"
        file.write_text(
            f"global\n {line}\ndefaults\n mode http\n timeout connect 1s\n timeout client 1s\n"
            f" timeout server 1s\nfrontend f\n bind 127.0.0.1:{port}\n"
        )
        argv = [*NOBODY, binary, "-W", "-db", "-f", "/dev/stdin"]
        with (
            file.open() as stdin,
            subprocess.Popen(
                argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as master,
        ):
            wait_until(lambda: master.poll() is not None or _listens(port), line)  # noqa: B023
            ended[line] = master.poll() is not None or _ends(master)
            master.terminate()

    assert ended == {"maxconn 100": False, **dict.fromkeys(lines, True)}


def _ends(master: subprocess.Popen[bytes]) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        master.wait(1)
    return master.poll() is not None
