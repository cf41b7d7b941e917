"""The agent among real programs: what it does about those that hang, die, or give up."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lbctl.agent.eventlog import Event
from lbctl.agent.status import VIPD_LIMIT_S
from lbctl.bundle.rpc import SupervisorClient
from lbctl.errors import SupervisorError, UnreachableError
from lbctl.layout import StateDir
from tests.fakes.small_bundle import SmallBundle, small_bundle, wait_until

pytestmark = pytest.mark.contract

#: From the moment a process is stopped until all clients are served again, seconds: four, as
#: tests/system/test_process_faults.py holds it to, and two for what runs beside this.
RECOVERY_S = 6.0
#: What the agent may take of memory, and of one CPU while nothing happens.
MEMORY_KB = 45 * 1024
IDLE_CPU_S_PER_S = 0.004


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[SmallBundle]:
    with small_bundle(tmp_path) as running:
        yield running


@pytest.fixture
def judged(bundle: SmallBundle) -> SmallBundle:
    """The same, its programs old enough to be judged."""
    _wait_until_judged(bundle)
    return bundle


def _wait_until_judged(bundle: SmallBundle) -> None:
    """The grace of every program is over."""
    wait_until(
        lambda: all(p["uptime_s"] > 2.1 for p in bundle.status()["programs"]),
        within_s=10,
        what="all programs run for two seconds",
    )


def _wait_until_running(bundle: SmallBundle, *programs: str) -> None:
    wait_until(
        lambda: all(bundle.program(name)["state"] == "RUNNING" for name in programs),
        within_s=5,
        what=f"{programs} are RUNNING",
    )


def _recovered(bundle: SmallBundle, program: str, pid: int) -> float:
    """Seconds until *program* has a new pid and every new connection is served."""

    def claim() -> bool:
        return bundle.program(program)["pid"] not in (0, pid) and bundle.are_served()

    return wait_until(claim, within_s=8, what=f"{program} serves again")


def test_a_stopped_worker_is_killed_and_clients_recover(judged: SmallBundle) -> None:
    master, worker = judged.workers(2)

    os.kill(worker, signal.SIGSTOP)

    assert _recovered(judged, "haproxy-02", master) < RECOVERY_S
    assert not _lives(worker)
    port = judged.spec.processes[1].stats_port
    wanted = rf"haproxy-02 did not answer on 127\.0\.0\.1:{port} for 2 s: killed \(pids [\d, ]+\)"
    told = judged.texts("hang")
    assert len(told) == 1
    assert re.match(wanted, told[0]), told[0]
    assert str(worker) in told[0]
    assert judged.program("haproxy-01")["restarts"] == 0
    wait_until(lambda: judged.program("haproxy-02")["restarts"] == 1, within_s=2, what="counted")


def test_a_stopped_worker_of_a_killed_master_does_not_swallow_clients(judged: SmallBundle) -> None:
    master, worker = judged.workers(1)

    os.kill(worker, signal.SIGSTOP)
    os.kill(master, signal.SIGKILL)

    assert _recovered(judged, "haproxy-01", master) < RECOVERY_S
    wait_until(lambda: not _lives(worker), within_s=2, what="the stray ended")


def test_a_stopped_master_and_worker_are_both_killed(judged: SmallBundle) -> None:
    master, worker = judged.workers(1)

    for pid in (master, worker):
        os.kill(pid, signal.SIGSTOP)

    assert _recovered(judged, "haproxy-01", master) < RECOVERY_S


def test_a_reload_is_not_taken_for_a_stray(bundle: SmallBundle) -> None:
    """An old worker that still serves a client descends from the master, and is left alone."""
    _wait_until_running(bundle, "haproxy-01", "haproxy-02")
    _, worker = bundle.workers(1)
    with socket.create_connection(("127.0.0.1", bundle.spec.processes[0].stats_port)) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /")
        os.kill(bundle.program("haproxy-01")["pid"], signal.SIGUSR2)
        wait_until(lambda: len(bundle.workers(1)) == 3, within_s=3, what="a new worker")
        os.kill(bundle.workers(2)[0], signal.SIGKILL)
        wait_until(lambda: bundle.program("haproxy-02")["restarts"] == 1, within_s=3, what="swept")
        time_of_sweep = time.monotonic() + 1.5
        wait_until(lambda: time.monotonic() > time_of_sweep, within_s=3, what="the sweep is over")

        assert worker in bundle.workers(1)


def test_a_process_at_its_maxconn_is_left_alone(tmp_path: Path) -> None:
    """Its listeners accept nobody; its clients are being served all the same."""
    with small_bundle(tmp_path, processes=1, maxconn=5) as bundle:
        _wait_until_judged(bundle)
        master = bundle.program("haproxy-01")["pid"]
        clients = [
            socket.create_connection(("127.0.0.1", bundle.web_port), timeout=1) for _ in range(5)
        ]
        try:
            wait_until(lambda: bundle.texts("full"), within_s=6, what="told that it is full")

            assert bundle.program("haproxy-01")["pid"] == master
            assert not bundle.texts("hang")
            assert "at its maxconn" in bundle.status()["warnings"][0]
        finally:
            for client in clients:
                client.close()
        wait_until(lambda: not bundle.status()["warnings"], within_s=3, what="answers again")


def test_a_stopped_vipd_is_killed_through_supervisord(judged: SmallBundle) -> None:
    pid = judged.program("vipd")["pid"]

    os.kill(pid, signal.SIGSTOP)

    wait_until(
        lambda: (judged.status()["ha"] or {}).get("pid") not in (None, pid),
        within_s=RECOVERY_S,
        what="another vipd answers",
    )
    assert "did not answer for 2 s: killed" in judged.texts("hang")[0]


def test_a_status_does_not_wait_long_for_vipd(bundle: SmallBundle) -> None:
    os.kill(bundle.program("vipd")["pid"], signal.SIGSTOP)

    began = time.monotonic()
    status = bundle.status()

    assert time.monotonic() - began < VIPD_LIMIT_S + 0.3
    assert status["ha"] is None
    assert f"no answer in {VIPD_LIMIT_S:g} s" in status["ha_error"]


def test_a_killed_program_is_counted_and_told_once(bundle: SmallBundle) -> None:
    _wait_until_running(bundle, "vipd")
    pid = bundle.program("vipd")["pid"]

    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: len(bundle.texts("program")) == 2, within_s=4, what="fell and runs again")
    fell, again = bundle.texts("program")
    assert fell == f"vipd (pid {pid}) ended unexpectedly: supervisord starts it again"
    new = bundle.program("vipd")
    assert again == f"vipd runs again (pid {new['pid']}, restarts so far: 1)"
    assert new["restarts"] == 1


def test_a_program_that_was_given_up_is_revived(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    more = (
        "[program:extra]\n"
        f"command=/bin/sh -c 'test -e {ready} && exec sleep 60'\n"
        "autostart=false\nstartsecs=1\nstartretries=1\nautorestart=true\n"
        "stdout_logfile=NONE\nstderr_logfile=NONE\n"
    )
    with small_bundle(tmp_path, processes=1, more=more) as bundle:
        # By now the agent listens.
        with suppress(SupervisorError):
            asyncio.run(SupervisorClient(bundle.run.supervisor_socket).start("extra"))
        wait_until(
            lambda: bundle.program("extra")["state"] == "FATAL", within_s=10, what="given up"
        )
        ready.touch()
        wait_until(
            lambda: bundle.program("extra")["state"] == "RUNNING", within_s=9, what="revived"
        )
        told = [text for text in bundle.texts("program") if text.startswith("extra")]

        assert [text.split(":")[0].split(" (")[0] for text in told] == [
            "extra ended as soon as it was started",
            "extra does not stay up, supervisord gave up",
            "extra runs again",
        ]


def test_the_agent_itself_may_be_killed(bundle: SmallBundle) -> None:
    """Events keep their ids, restarts their count, and nothing is told twice."""
    _wait_until_running(bundle, "vipd")
    os.kill(bundle.program("vipd")["pid"], signal.SIGKILL)
    wait_until(lambda: bundle.program("vipd")["restarts"] == 1, within_s=3, what="counted")
    wait_until(lambda: len(bundle.texts("program")) == 2, within_s=4, what="runs again")
    before = bundle.api.get("/v1/events")
    agent = bundle.program("agent")["pid"]

    os.kill(agent, signal.SIGKILL)

    def is_back() -> bool:
        with suppress(UnreachableError):
            return bundle.program("agent")["pid"] not in (0, agent)
        return False

    wait_until(is_back, within_s=4, what="a new agent")
    wait_until(lambda: bundle.program("agent")["restarts"] == 1, within_s=4, what="knows itself")
    after = bundle.api.get("/v1/events")
    assert after[: len(before)] == before
    assert bundle.program("vipd")["restarts"] == 1


def test_sigterm_ends_it_at_once_also_with_open_streams(bundle: SmallBundle) -> None:
    with socket.socket(socket.AF_UNIX) as reader:
        reader.connect(str(bundle.run.api_socket))
        reader.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reader.recv(1000).startswith(b"HTTP/1.1 200")
        pid = bundle.program("agent")["pid"]

        os.kill(pid, signal.SIGTERM)

        took_s = wait_until(lambda: not _lives(pid), within_s=3, what="the agent ended")
        # It gives them 0.1 s; aiohttp by itself waits for a minute.
        assert took_s < 2


def test_statistics_are_those_of_all_processes(bundle: SmallBundle) -> None:
    assert bundle.are_served(20)

    answer = bundle.api.get("/v1/stats")
    web = next(r for r in answer["rows"] if (r["pxname"], r["svname"]) == ("web", "FRONTEND"))

    assert answer["errors"] == []
    assert int(web["stot"]) >= 20
    listeners = {r["pxname"] for r in answer["rows"]} - {"web"}
    assert listeners == {"lbctl-stats-01", "lbctl-stats-02"}


def test_events_survive_the_bundle_and_are_whole_lines(tmp_path: Path) -> None:
    with small_bundle(tmp_path, processes=1) as bundle:
        path = StateDir(Path(bundle.spec.state_dir)).events
    lines = path.read_text().splitlines()

    events = [Event.from_json(line) for line in lines]
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert events[0].text.startswith("lbctl 0 starts: HAProxy 2.6.12, 1 process(es)")
    assert events[-1].text == "the bundle stops"


def test_it_is_small_and_quiet(bundle: SmallBundle) -> None:
    pid = bundle.program("agent")["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    anonymous_kb = int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0])
    began, used = time.monotonic(), _cpu_s(pid)
    until = began + 6
    wait_until(lambda: _nap(until), within_s=10, what="six quiet seconds")
    share = (_cpu_s(pid) - used) / (time.monotonic() - began)

    assert anonymous_kb <= MEMORY_KB
    # The clock of the process ticks in hundredths: allow for two of them.
    assert share <= IDLE_CPU_S_PER_S + 0.02 / 6


def _lives(pid: int) -> bool:
    """It is there, and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _nap(until: float) -> bool:
    left = until - time.monotonic()
    if left > 0:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "60"], timeout=left, check=False)
    return left <= 0


def _cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
