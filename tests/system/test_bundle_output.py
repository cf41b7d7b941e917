"""
A bundle without a virtual IP, whatever becomes of its output, and in each of the forms an operator
may give it: nothing configured, another user, a second one beside it, templates, old HAProxy, TLS.
"""

from __future__ import annotations

import csv
import itertools
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from lbctl.bundle.outlet import BATCH_BYTES, CAPACITY_BYTES
from lbctl.lab.bundle import children_of
from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from lbctl.launch.identity import make_pair
from tests.bundles import Bundle, members_of, status_of

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
VIP = "10.0.1.201"
PASSWORD = "hunter2-Zebra"
STATS_PASSWORD = "stats-Yak-93"

#: Bounds, seconds: a killed program is started again; SIGTERM ends everything.
RESTART_S = 1.0
STOP_S = 10.0
#: With a buffer of a mebibyte behind it, this many access log lines cannot all be kept.
FLOOD_LINES = 20_000
SHORTEST_LINE_BYTES = 100
#: logd writes its counters once a second.
COUNTED_S = 3.0

_PREFIXED = re.compile(r"(agent|haproxy-\d\d|nginx|logd|vipd|ucarp) \| ")
_ACCESS = re.compile(r'^haproxy-\d\d \| .*"GET / HTTP/1\.1"$')
_TOLD = re.compile(r"^logd \| dropped (\d+) lines \(.*\) while nobody read the output$")
_numbers = itertools.count()

Tell = Callable[[str], None]


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    with Lab(("a",)) as lab:
        yield lab


@pytest.fixture(name="tell")
def _tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Say a figure to whoever reads the log of a run."""

    def tell(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}")

    return tell


@pytest.fixture(name="bundle")
def _bundle(lab: Lab) -> Iterator[Bundle]:
    with _made(lab) as bundle:
        yield bundle


@contextmanager
def _made(lab: Lab) -> Iterator[Bundle]:
    """One on host a, in directories of its own."""
    bundle = Bundle(lab["a"].directory / f"{next(_numbers)}", lab["a"])
    try:
        yield bundle
    finally:
        bundle.end()


@contextmanager
def _unread_pipe() -> Iterator[int]:
    reader, writer = os.pipe()
    try:
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


@contextmanager
def _abandoned_pipe() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@contextmanager
def _unread_socket() -> Iterator[int]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield theirs.fileno()


@contextmanager
def _unread_terminal() -> Iterator[int]:
    ours, theirs = os.openpty()
    try:
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("output", "state"),
    [
        pytest.param(_unread_pipe, "blocked", id="pipe-nobody-reads"),
        pytest.param(_unread_socket, "blocked", id="socket-nobody-reads"),
        pytest.param(_unread_terminal, "blocked", id="terminal-nobody-reads"),
        pytest.param(_abandoned_pipe, "gone", id="pipe-whose-reader-went-away"),
    ],
)
def test_bundle_works_on_when_nobody_reads_its_output(
    bundle: Bundle, output: Callable[[], Any], state: str, tell: Tell
) -> None:
    with output() as stdout:
        bundle.start(stdout=stdout)
        bundle.wait_up()
        asked = _flood(bundle)
        dropped = wait_until(
            lambda: _accounted(bundle, state, asked),
            COUNTED_S,
            "every line to be accounted for",
            seen=lambda: (asked, status_of(bundle)["log"]),
        )
        back = _recovers(bundle)
        warnings = status_of(bundle)["warnings"]
        status, took_s = bundle.stop(STOP_S)

    assert status == 0
    assert any("dropped while nobody read the output" in warning for warning in warnings)
    assert (bundle.root / "err").read_text() == ""
    tell(f"{asked} answers, {dropped} lines dropped, {back}, ended in {took_s:.2f} s")


def test_reader_who_comes_late_is_told_what_is_missing(bundle: Bundle) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bundle.start(stdout=theirs.fileno())
        theirs.close()
        bundle.wait_up()
        asked = _flood(bundle)
        wait_until(lambda: _accounted(bundle, "blocked", asked), COUNTED_S, "drops to be counted")
        ours.settimeout(2)
        with ours.makefile("r", errors="replace") as output:
            lines = _until(output, _TOLD)
            bundle.get(80, "/after")
            lines += _until(output, re.compile(r'^haproxy-\d\d \| .*"GET /after'))
        assert bundle.stop(STOP_S)[0] == 0

    told = sum(int(found[1]) for line in lines if (found := _TOLD.match(line)))
    assert [line for line in lines if not _PREFIXED.match(line)] == []
    assert told > 0
    assert told + sum(bool(_ACCESS.match(line)) for line in lines) >= asked


def test_file_gets_every_line_with_its_programs_name(bundle: Bundle, tell: Tell) -> None:
    bundle.start()
    bundle.wait_up()
    asked = _flood(bundle)
    back = _recovers(bundle)
    logged = status_of(bundle)["log"]
    status, took_s = bundle.stop(STOP_S)
    lines = (bundle.root / "out").read_text().splitlines()
    odd = [line for line in lines if not _PREFIXED.match(line)]

    assert status == 0
    assert odd == []
    assert sum(logged["dropped"].values()) == 0
    assert sum(bool(_ACCESS.match(line)) for line in lines) >= asked
    assert (bundle.root / "err").read_text() == ""
    tell(f"{asked} answers, {len(lines)} lines, {back}, ended in {took_s:.2f} s")


def test_nothing_configured_serves_a_page_that_says_what_this_is(bundle: Bundle) -> None:
    bundle.start()
    bundle.wait_up()
    page = bundle.wait_answer(80)
    wait_until(lambda: _ACCESS.search(bundle.text().splitlines()[-1]), 2, "HAProxy's log line")

    assert "The load balancer runs" in page
    assert "lbctl" in page
    assert os.uname().nodename in page
    assert status_of(bundle)["ha"] is None


def test_password_is_nowhere_to_be_seen(bundle: Bundle) -> None:
    secret = bundle.config.root / "stats-password"
    secret.write_text(f"{STATS_PASSWORD}\n")
    secret.chmod(0o600)
    bundle.configure({"haproxy": {"stats": {"password_file": str(secret)}}})
    bundle.start(VIP, PASSWORD)
    bundle.wait_up(but=())
    wait_until(lambda: bundle.role() == "MASTER", 8, "MASTER")
    bundle.wait_answer(80, address=VIP)
    assert bundle.process is not None
    seen = {
        f"{pid} {words}: {name}"
        for pid, words in members_of(bundle.process.pid).items()
        for name in ("cmdline", "environ")
        if _holds_secret(Path(f"/proc/{pid}/{name}"))
    }
    files = [
        path
        for root in (bundle.run.root, bundle.state.root)
        for path in root.rglob("*")
        if path.is_file() and _holds_secret(path)
    ]
    told = bundle.command("status", "--json").stdout + bundle.command("events").stdout
    told += bundle.command("config").stdout
    assert bundle.stop(STOP_S)[0] == 0
    told += bundle.text()

    assert seen == set()
    assert bundle.run.password in files
    assert [path for path in files if path.stat().st_mode & 0o077] == []
    assert bundle.run.password.stat().st_uid == 0
    assert PASSWORD not in told
    assert STATS_PASSWORD not in told


def test_user_without_any_right_runs_it_on_high_ports(lab: Lab) -> None:
    with _made(lab) as bundle:
        bundle.wrapper = (
            *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
            "--bounding-set=-all",
        )
        for root in (bundle.run.root, bundle.state.root):
            shutil.chown(root, "nobody", "nogroup")
        bundle.configure(_on_ports(8080, 9001))
        bundle.start()
        bundle.wait_up()
        bundle.wait_answer(8080)
        assert bundle.process is not None
        users = {Path(f"/proc/{pid}").stat().st_uid for pid in members_of(bundle.process.pid)}
        status = status_of(bundle)
        _recovers(bundle, 8080)

        assert users == {65534}
        assert {program["state"] for program in status["programs"]} == {"RUNNING"}
        assert bundle.command("stats", "--json").returncode == 0
        assert bundle.command("events").returncode == 0
        assert bundle.stop(STOP_S)[0] == 0


def test_two_bundles_work_side_by_side(lab: Lab) -> None:
    with ExitStack() as stack:
        one, two = (stack.enter_context(_made(lab)) for _ in range(2))
        two.configure(_on_ports(8080, 9001))
        for bundle in (one, two):
            bundle.start()
        for bundle, port in ((one, 80), (two, 8080)):
            bundle.wait_up()
            assert f"node <code>{_node_of(bundle)}" in bundle.wait_answer(port)
        assert _node_of(one) != _node_of(two)

        assert one.stop(STOP_S)[0] == 0
        _recovers(two, 8080)
        assert two.stop(STOP_S)[0] == 0


def test_template_sees_the_settings(bundle: Bundle) -> None:
    bundle.configure({"haproxy": {"maxconn": 777, "timeouts": {"client": "7s"}}})
    bundle.config.haproxy_template.write_text(
        "global\n    maxconn {{ settings.haproxy.maxconn }}\n"
        "defaults\n    mode http\n    timeout connect 1s\n    timeout server 5s\n"
        "    timeout client {{ settings.haproxy.timeouts.client }}\n"
        "frontend web\n    bind :80\n"
        "    http-request return status 200 content-type text/plain"
        ' lf-string "{{ settings.haproxy.maxconn }} from a template"\n'
    )
    bundle.start()
    bundle.wait_up()

    assert "777 from a template" in bundle.wait_answer(80)
    assert bundle.stop(STOP_S)[0] == 0


def test_haproxy_2_2_runs_with_nbproc_and_pinned_stats(bundle: Bundle) -> None:
    binaries = ROOT / ".cache/haproxy-2.2/bin"
    assert (binaries / "haproxy").exists()
    bundle.environ["PATH"] = f"{binaries}:{os.environ['PATH']}"
    bundle.configure({"haproxy": {"processes": 2}})
    bundle.start()
    bundle.wait_up()
    bundle.wait_answer(80)
    status = status_of(bundle)
    numbers = [_stats_of_processes(bundle.wait_answer(port, "/;csv")) for port in (8001, 8002)]
    master = bundle.pid_of("haproxy-01")
    workers = children_of(master)
    os.kill(workers[0], 9)

    def recovered() -> bool:
        now = children_of(bundle.pid_of("haproxy-01"))
        return len(now) == 2 and workers[0] not in now

    wait_until(recovered, 3, "two workers again")
    bundle.wait_answer(80, within_s=1)
    for port in (8001, 8002):
        bundle.wait_answer(port, within_s=1)

    assert status["haproxy"]["version"].startswith("2.2")
    assert status["haproxy"]["model"] == "nbproc"
    assert [process["number"] for process in status["haproxy"]["processes"]] == [1, 2]
    assert numbers == [{"1"}, {"2"}]
    assert len(workers) == 2
    assert bundle.stop(STOP_S)[0] == 0


def test_tls_is_one_file_away_in_nginx_and_in_haproxy(bundle: Bundle) -> None:
    bundle.config.nginx_d.mkdir()
    shutil.copy(ROOT / "conf/nginx.d/tls.conf.example", bundle.config.nginx_d / "tls.conf")
    bundle.config.certs.mkdir()
    pem = bundle.config.certs / "site.pem"
    pem.write_text(make_pair("site.example.com"))
    pem.chmod(0o600)
    bundle.configure({"http": {"tls_bind": ":8443"}})
    bundle.start()
    bundle.wait_up()

    assert "The load balancer runs" in bundle.wait_answer(443, tls=True)
    assert "The load balancer runs" in bundle.wait_answer(8443, tls=True)
    assert "site.example.com" in _subject(bundle, 8443)
    assert "site.example.com" not in _subject(bundle, 443)
    # A port that the killed nginx had, and not only a socket.
    _recovers(bundle, 443, tls=True)
    assert bundle.stop(STOP_S)[0] == 0


def _flood(bundle: Bundle) -> int:
    """Ask until the output must be full; how many answers there were, each of them right."""
    assert bundle.host is not None
    answers = 0
    for _ in range(10):
        argv = ["wrk", "-t1", "-c16", "-d1", "http://127.0.0.1/"]
        said = bundle.host.run(argv).stdout
        assert "Socket errors" not in said, said
        assert "Non-2xx" not in said, said
        found = re.search(r"(\d+) requests in", said)
        assert found, said
        answers += int(found[1])
        if answers > FLOOD_LINES:
            return answers
    message = f"only {answers} answers in ten seconds"
    raise AssertionError(message)


def _recovers(bundle: Bundle, port: int = 80, *, tls: bool = False) -> str:
    """Killed programs are started again and serve; how long that took, in words."""
    took = {name: bundle.kill_and_wait_restart(name, RESTART_S) for name in ("nginx", "haproxy-01")}
    bundle.wait_answer(port, tls=tls, within_s=2)
    bundle.wait_up(within_s=5)
    return ", ".join(f"{name} back in {s * 1000:.0f} ms" for name, s in took.items())


def _accounted(bundle: Bundle, state: str, asked: int) -> int:
    """
    How many lines were dropped, once every line asked for is written, dropped, or in the buffer,
    and the output is in this state; until then 0.
    """
    log: dict[str, Any] = status_of(bundle)["log"]
    dropped = sum(log["dropped"].values())
    kept_bytes = (asked - dropped - sum(log["written"].values())) * SHORTEST_LINE_BYTES
    is_accounted = kept_bytes <= CAPACITY_BYTES + BATCH_BYTES
    return dropped if is_accounted and log["stdout"] == state else 0


def _until(output: IO[str], pattern: re.Pattern[str]) -> list[str]:
    """Lines up to the first that matches."""
    lines = []
    for line in output:
        lines.append(line.rstrip("\n"))
        if pattern.match(lines[-1]):
            return lines
    message = f"the output ended: {lines[-1:]}"
    raise AssertionError(message)


def _holds_secret(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return any(secret.encode() in content for secret in (PASSWORD, STATS_PASSWORD))


def _on_ports(http: int, stats: int) -> dict[str, object]:
    return {"http": {"bind": f":{http}"}, "haproxy": {"stats": {"port_base": stats}}}


def _node_of(bundle: Bundle) -> str:
    return bundle.state.node_id.read_text().strip()


def _stats_of_processes(answer: str) -> set[str]:
    """The process numbers in an answer of HAProxy's statistics."""
    _, _, body = answer.partition("\n\n")
    return {row["pid"] for row in csv.DictReader(body.removeprefix("# ").splitlines())}


def _subject(bundle: Bundle, port: int) -> str:
    assert bundle.host is not None
    argv = ["curl", "-skv", "-o", "/dev/null", f"https://127.0.0.1:{port}/"]
    said = bundle.host.run(argv).stderr
    return next(line for line in said.splitlines() if "subject:" in line)
