"""``/metrics`` of real HAProxies beside their own exporter; when they hang, lie, start anew."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lbctl.agent.agent import Agent
from lbctl.agent.eventlog import EventLog
from lbctl.api.server import build, serve
from lbctl.daemons import scrape
from lbctl.haproxy.readings import read_all
from lbctl.haproxy.reload import reload_processes
from lbctl.lab.wait import wait_until
from lbctl.spec import BundleSpec, HaproxyProcess
from tests.agent_sources import generation
from tests.binaries import BINARIES, installed
from tests.fakes.haproxy_runtime import raw_server
from tests.fakes.programs import FakePrograms
from tests.haproxies import Rendered, get, rendered, running
from tests.places import free_ports
from tests.specs import bundle_spec
from tests.two_processes import Hello

pytestmark = pytest.mark.contract

CFG = """\
global
    log stdout format raw daemon
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    http-request deny if {{ path /denied }}
    use_backend away if {{ path /away }}
    default_backend hello
backend hello
    option redispatch
    server good 127.0.0.1:{origin} check inter 100ms maxconn 50
    server backup 127.0.0.1:{origin} backup
    server drained 127.0.0.1:{origin} weight 0
    server disabled 127.0.0.1:{origin} disabled
    server dead 127.0.0.1:{nobody} check inter 100ms fall 1
backend away
    retries 0
    server nobody 127.0.0.1:{nobody}
backend empty
"""
OLD_EXPORTER = """\
frontend exporter
    bind 127.0.0.1:{exporter}
    bind-process 1
    http-request use-service prometheus-exporter if {{ path /metrics }}
"""
#: 2.2 does not have these, or has the state as a number, or counts all processes of one program.
SINCE_2_2 = {
    "haproxy_process_nbproc",
    "haproxy_backend_agg_server_status", "haproxy_process_uptime_seconds",
    "haproxy_process_bytes_out_total", "haproxy_process_bytes_out_rate",
    "haproxy_process_recv_logs_total", "haproxy_frontend_status", "haproxy_backend_status",
    "haproxy_server_status",
}  # fmt: skip
PASSWORD = 'swo"rd \\fish'
REQUESTS, AWAY, DENIED = 40, 3, 5

Key = tuple[str, frozenset[tuple[str, str]]]
Samples = dict[Key, float]

#: They change from one look to the next, or say what was asked for.
RESTLESS = (
    "haproxy_process_current_", "haproxy_process_idle_", "haproxy_process_jobs",
    "haproxy_process_uptime", "haproxy_process_requests", "haproxy_process_connections",
    "haproxy_process_bytes_out", "haproxy_process_max_connection_rate",
    "haproxy_process_max_session_rate", "haproxy_process_pool_", "_last_change_", "_last_session_",
    "_downtime_", "check_failures", "haproxy_process_max_memory",
    # Its exporter divides by 1,024 though there were fewer requests; its CSV does not.
    "_time_average_",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """Two processes that have served; and the spec of their bundle."""

    version: str
    rendered: Rendered
    spec: BundleSpec
    exporter_port: int

    @property
    def processes(self) -> tuple[HaproxyProcess, ...]:
        return self.spec.processes

    @property
    def auth(self) -> str:
        return f"admin:{PASSWORD}"


@pytest.fixture(scope="module", name="site", params=BINARIES)
def _site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as origin, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=origin.serve_forever, args=(0.02,))
        thread.start()
        try:
            root = tmp_path_factory.mktemp("metrics")
            (exporter,) = free_ports(1)
            text = CFG.format(
                port="{port}", origin=origin.server_port, nobody=nobody.getsockname()[1]
            )
            # Its stats listener has none: lbctl wants 2.4 for that.
            text += OLD_EXPORTER.format(exporter=exporter) if request.param == "2.2" else ""
            made = rendered(installed(request.param), root, text, password=PASSWORD)
            with running(made):
                site = Site(request.param, made, spec_of(made, root), exporter)
                serve_some(site)
                yield site
        finally:
            origin.shutdown()
            thread.join()


def spec_of(made: Rendered, root: Path) -> BundleSpec:
    spec = bundle_spec(
        processes=made.model.processes,
        programs=made.model.programs,
        config_dir=str(root),
        state_dir=str(root),
    )
    made.run_dir.api.mkdir(exist_ok=True)
    made.run_dir.spec.write_text(spec.to_json())
    return spec


def serve_some(site: Site) -> None:
    """Each request comes on a connection of its own: the kernel chooses the process."""
    for path, count in (("/", REQUESTS), ("/away", AWAY), ("/denied", DENIED)):
        for _ in range(count):
            get(site.rendered.port, path)
    wait_until(lambda: [*statuses(site, "dead")] == ["DOWN", "DOWN"], 5, "it is down")


def statuses(site: Site, server: str) -> Iterator[str]:
    """By process."""
    for reading in asyncio.run(read_all(site.processes)):
        for row in reading.table.records():
            if row["svname"] == server:
                yield row["status"]


def export_of(site: Site) -> str:
    """What HAProxy's own exporter says of the first process."""
    is_old = site.version == "2.2"
    port = site.exporter_port if is_old else site.processes[0].stats_port
    status, text = get(port, "/metrics", auth=None if is_old else site.auth)
    assert status == 200
    return text


def samples(text: str) -> Samples:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def types(text: str) -> dict[str, str]:
    heads = (line.split() for line in text.splitlines() if line.startswith("# TYPE haproxy_"))
    return {name: kind for _, _, name, kind in heads}


def asked(site: Site, *queries: str) -> list[tuple[int, str]]:
    """``/metrics`` of an agent over them: status and body of each."""
    return asyncio.run(_asked(site, queries))


async def _asked(site: Site, queries: tuple[str, ...]) -> list[tuple[int, str]]:
    run = site.rendered.run_dir
    agent = Agent(site.spec, run, FakePrograms(), EventLog(run.root / "events.jsonl", "n"))
    files = {path.name: path.read_text() for path in run.haproxy.glob("*.cfg")}
    agent.sources.configure(replace(generation(), haproxy_files=files))
    runner = await serve(build(agent), run.api_socket)
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(run.api_socket))
        ) as ask:
            found = []
            for query in queries:
                async with ask.get(f"http://localhost/metrics{query}") as answer:
                    found.append((answer.status, await answer.text()))
            return found
    finally:
        await runner.cleanup()


def merged(site: Site) -> str:
    ((status, text),) = asked(site, "")
    assert status == 200
    return text


def total(found: Mapping[Key, float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def scraped(capsysbinary: pytest.CaptureFixture[bytes], site: Site, *numbers: int) -> str:
    """What the program that scrapes writes of these processes alone."""
    some = [one for one in site.processes if one.number in numbers]
    scrape.scrape(some, site.rendered.run_dir.root / "nothing" / "kept", 0.0)
    return capsysbinary.readouterr().out.decode()


def test_each_series_is_the_one_of_haproxys_own_exporter(
    site: Site, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    theirs, ours = export_of(site), scraped(capsysbinary, site, 1)
    newer = SINCE_2_2 if site.version == "2.2" else set()
    kinds = {name: kind for name, kind in types(ours).items() if name not in newer}
    found = {key: value for key, value in samples(ours).items() if key[0] in kinds}
    there = samples(theirs)
    quiet = {key for key in found if is_quiet(*key)}

    assert kinds.items() <= types(theirs).items()
    assert found.keys() <= there.keys()
    assert {key: found[key] for key in quiet} == {key: there[key] for key in quiet}
    assert len(quiet) > 150
    # What is not told of a server's states is 0.
    states = [key for key in there if key[0] == "haproxy_server_status" and "state" in dict(key[1])]
    assert not [key for key in states if there[key] and key not in found]


def is_quiet(name: str, labels: frozenset[tuple[str, str]]) -> bool:
    """It is the same from one look to the next, whoever looks."""
    own = ("lbctl-stats-", "exporter")
    is_own = dict(labels).get("proxy", "").startswith(own)
    return not is_own and not any(word in name for word in RESTLESS)


def test_two_processes_add_up_to_what_was_asked_of_them(site: Site) -> None:
    found = samples(merged(site))

    asked_for = REQUESTS + AWAY + DENIED
    assert total(found, "haproxy_frontend_http_requests_total", proxy="web") == asked_for
    assert total(found, "haproxy_frontend_connections_total", proxy="web") == asked_for
    assert total(found, "haproxy_frontend_requests_denied_total", proxy="web") == DENIED
    for state in ("2xx", "4xx", "5xx"):
        count = {"2xx": REQUESTS, "4xx": DENIED, "5xx": AWAY}[state]
        name = "haproxy_frontend_http_responses_total"
        assert total(found, name, proxy="web", code=state) == count
    good = {"proxy": "hello", "server": "good"}
    assert total(found, "haproxy_server_sessions_total", **good) == REQUESTS
    assert total(found, "haproxy_server_http_responses_total", code="2xx", **good) == REQUESTS
    assert total(found, "haproxy_server_limit_sessions", **good) == 100
    assert total(found, "haproxy_server_status", state="UP", **good) == 1
    assert total(found, "haproxy_backend_connection_errors_total", proxy="away") == AWAY
    states = {"UP": 3, "DOWN": 1, "MAINT": 1, "DRAIN": 0, "NOLB": 0}
    for state, count in states.items():
        name = "haproxy_backend_agg_server_status"
        assert total(found, name, proxy="hello", state=state) == count
    assert total(found, "haproxy_process_nbproc") == 2


def test_promtool_finds_nothing_to_say_about_the_whole_answer(site: Site) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=merged(site).encode(),
        capture_output=True,
        timeout=30,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_one_process_is_passed_through_with_the_password_of_its_statistics(site: Site) -> None:
    one, two, none = asked(site, "?process=1", "?process=2", "?process=3")

    assert none[0] == 400
    if site.version == "2.2":
        assert (one[0], two[0]) == (501, 501)
        assert "HAProxy 2.6.12 has no exporter here" in one[1]
        return
    assert (one[0], two[0]) == (200, 200)
    whole = total(samples(merged(site)), "haproxy_frontend_http_requests_total", proxy="web")
    parts = [
        total(samples(text), "haproxy_frontend_http_requests_total", proxy="web")
        for _, text in (one, two)
    ]
    assert sum(parts) == whole
    assert "haproxy_server_check_status" in one[1]


@contextmanager
def paused(pids: list[int]) -> Iterator[None]:
    """They stand still."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_process_that_hangs_keeps_its_counters_and_is_named(
    site: Site,
    tmp_path: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lbctl.daemons.scrape.ANSWER_S", 0.3)

    def look() -> tuple[str, Samples]:
        said = scrape.scrape(site.processes, tmp_path / "kept", 0.0)
        return said, samples(capsysbinary.readouterr().out.decode())

    _, before = look()
    with paused([int(site.rendered.info(2)["Pid"])]):
        said, found = look()
    _, after = look()

    name = "haproxy_frontend_http_requests_total"
    assert said == f"process 2: {site.processes[1].socket}: no whole answer in 0.3 s"
    assert total(found, name, proxy="web") == total(before, name, proxy="web")
    assert total(found, "haproxy_process_nbproc") == 1
    assert total(found, "lbctl_haproxy_process_scraped", process="1") == 1
    assert total(found, "lbctl_haproxy_process_scraped", process="2") == 0
    assert total(after, "lbctl_haproxy_process_scraped", process="2") == 1
    assert total(after, name, proxy="web") == total(before, name, proxy="web")


@pytest.mark.parametrize("site", ["2.6"], indirect=True)
def test_when_all_hang_lbctls_own_are_told_and_the_failure_is_counted(site: Site) -> None:
    pids = [int(site.rendered.info(number)["Pid"]) for number in (1, 2)]
    with paused(pids):
        found = samples(merged(site))

    assert total(found, "lbctl_scrape_failures_total") == 1
    assert not [name for name, _ in found if name.startswith("haproxy_")]
    assert total(found, "lbctl_events_total", kind="role") == 0


def test_one_that_answers_nonsense_costs_no_more_than_itself(
    site: Site, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with raw_server(tmp_path / "odd.sock", b"Name: x\n\n# pxname,svname,type,\n\xff\n\n"):
        odd = replace(site.processes[1], socket=str(tmp_path / "odd.sock"))
        said = scrape.scrape([site.processes[0], odd], tmp_path / "kept", 0.0)
    found = samples(capsysbinary.readouterr().out.decode())

    assert said.startswith("process 2: show stat: a row that does not fit its header")
    assert total(found, "lbctl_haproxy_process_scraped", process="2") == 0
    assert total(found, "haproxy_process_nbproc") == 1


def test_counters_go_on_over_a_reload(site: Site) -> None:
    before = samples(merged(site))
    done = asyncio.run(reload_processes(site.rendered.reloadables, timeout_s=10.0))
    assert all(one.is_ok for one in done)
    for _ in range(3):
        get(site.rendered.port)
    found = samples(merged(site))

    name = "haproxy_frontend_http_requests_total"
    assert total(found, name, proxy="web") == total(before, name, proxy="web") + 3
    name = "haproxy_frontend_http_responses_total"
    assert (
        total(found, name, proxy="web", code="2xx")
        == total(before, name, proxy="web", code="2xx") + 3
    )
