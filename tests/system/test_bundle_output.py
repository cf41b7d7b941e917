"""What a bundle says, and to whom: it works on whatever becomes of it, and no secret is in it."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from lbctl.bundle.outlet import BATCH_BYTES, CAPACITY_BYTES
from lbctl.errors import EXIT_CONFIG
from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from tests.bundles import Bundle, members_of, status_of

pytestmark = pytest.mark.system

VIP = "10.0.1.201"
PASSWORD = "hunter2-Zebra"
STATS_PASSWORD = "stats-Yak-93"

#: SIGTERM ends everything within this.
STOP_S = 10.0
#: With a buffer of a mebibyte behind it, this many access log lines cannot all be kept.
FLOOD_LINES = 20_000
SHORTEST_LINE_BYTES = 100
#: logd writes its counters once a second.
COUNTED_S = 3.0

_PREFIXED = re.compile(r"(agent|haproxy-\d\d|nginx|logd|vipd|ucarp) \| ")
_ACCESS = re.compile(r'^haproxy-\d\d \| .*"GET / HTTP/1\.1"$')
_TOLD = re.compile(r"^logd \| dropped (\d+) lines \(.*\) while nobody read the output$")
_KEYS = {"at", "program", "level", "kind", "text", "fields"}
_numbers = itertools.count()

Tell = Callable[[str], None]


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    with Lab(("a",)) as lab:
        yield lab


@pytest.fixture(name="bundle")
def _bundle(lab: Lab) -> Iterator[Bundle]:
    """One on host a, in directories of its own."""
    bundle = Bundle(lab["a"].directory / f"{next(_numbers)}", lab["a"])
    yield bundle
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
        back = bundle.recovers(80)
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
    back = bundle.recovers(80)
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


def test_in_json_every_line_is_an_object_and_no_change_is_told_twice(bundle: Bundle) -> None:
    warned_of = {"processes": (os.cpu_count() or 1) + 1}
    bundle.configure({"log": {"format": "json"}, "ha": {"engine": "native"}, "haproxy": warned_of})
    process = bundle.start(VIP, PASSWORD)
    bundle.wait_up()
    wait_until(lambda: bundle.role() == "MASTER", 8, "MASTER")
    bundle.kill_and_wait_restart("nginx", 5)
    bundle.configure("ha: [\n")
    os.kill(process.pid, signal.SIGHUP)
    wait_until(lambda: "not reloaded" in bundle.text(), 8, "a word of the reload")
    assert bundle.stop(STOP_S)[0] == 0
    texts = [(bundle.root / name).read_text() for name in ("err", "out")]
    said = [json.loads(line) for text in texts for line in text.splitlines()]

    assert all(set(one) <= _KEYS and {"at", "program", "text"} <= set(one) for one in said)
    assert {"lbctl", "haproxy-01", "vipd", "agent"} <= {one["program"] for one in said}
    assert (said[0]["program"], said[0]["level"]) == ("lbctl", "warning")
    (master,) = [one for one in said if "-> MASTER" in one["text"]]
    assert master["fields"]["role"] == "MASTER"
    (refused,) = [one for one in said if "not YAML" in one["text"]]
    assert (refused["program"], refused["level"]) == ("agent", "warning")
    (ended,) = [one for one in said if "ended unexpectedly" in one["text"]]
    assert (ended["fields"]["program"], ended["level"]) == ("nginx", "warning")
    assert PASSWORD not in bundle.text()


def test_in_json_a_refused_start_tells_each_problem_in_an_object(bundle: Bundle) -> None:
    bundle.configure("log: {format: json}\nha: {vhid: 300, advskw: 1}\n")
    refusal = bundle.refusal(VIP, PASSWORD)
    said = [json.loads(line) for line in refusal.said.splitlines()]

    assert refusal.status == EXIT_CONFIG
    assert refusal.printed == ""
    assert [one["text"].partition(" ")[0] for one in said] == ["lb.yaml:2:", "lb.yaml:2:"]
    assert {(one["program"], one["level"], one["kind"]) for one in said} == {
        ("lbctl", "error", "start")
    }


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
