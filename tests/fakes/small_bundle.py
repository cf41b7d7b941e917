"""A real supervisord with a real agent and real HAProxies on high ports; vipd is a fake."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbctl.cli.client import ApiClient
from lbctl.errors import LbctlError
from lbctl.layout import RunDir, StateDir
from lbctl.spec import BundleSpec, GroupSpec, HaproxyProcess
from tests.places import free_ports

REPOSITORY = Path(__file__).parents[2]

_HAPROXY = """\
global
    maxconn {maxconn}
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string served
"""
_PROCESS = """\
global
    stats socket {socket} mode 600 level admin expose-fd listeners
    nbthread 1
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
listen lbctl-stats-{number:02d}
    bind 127.0.0.1:{port}
    stats enable
    stats uri /
    monitor-uri /healthz
"""
_SUPERVISORD = """\
[supervisord]
nodaemon=true
silent=true
logfile={run}/supervisord.log
pidfile={run}/supervisord.pid
{user}
[unix_http_server]
file={run}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[rpcinterface:lbctl]
supervisor.rpcinterface_factory=lbctl.bundle.signals:make_rpcinterface
[rpcinterface:service]
supervisor.rpcinterface_factory=lbctl.bundle.notify:make_rpcinterface
"""
_PROGRAM = """\
[{kind}:{name}]
command=/bin/sh -c 'exec {command} 2>>{log}'
directory={directory}
autorestart=true
startsecs=1
startretries={retries}
stopwaitsecs=1
killasgroup={group}
stdout_logfile=NONE
stderr_logfile=NONE
{more}
"""


@dataclass(frozen=True, slots=True)
class SmallBundle:
    """One that runs."""

    spec: BundleSpec
    run: RunDir
    web_port: int
    supervisord: subprocess.Popen[bytes]

    @property
    def api(self) -> ApiClient:
        return ApiClient(self.run)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.get("/v1/status")
        return answer

    def program(self, name: str) -> dict[str, Any]:
        return next(p for p in self.status()["programs"] if p["name"] == name)

    def texts(self, kind: str) -> list[str]:
        return [e["text"] for e in self.api.get("/v1/events") if e["kind"] == kind]

    def workers(self, number: int) -> list[int]:
        """Pids that run with this process's configuration, the master first."""
        master: int = self.program(f"haproxy-{number:02d}")["pid"]
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return [master, *map(int, children)]

    def is_served(self) -> bool:
        """One new connection, answered within 0.3 s."""
        try:
            with socket.create_connection(("127.0.0.1", self.web_port), 0.3) as client:
                client.settimeout(0.3)
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return client.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def are_served(self, times: int = 12) -> bool:
        """Several new connections in a row: the processes share them."""
        return all(self.is_served() for _ in range(times))


@contextmanager
def small_bundle(
    root: Path, *, processes: int = 2, maxconn: int = 100, more: str = ""
) -> Iterator[SmallBundle]:
    """
    Start it, wait until every process answers, end it.

    Args:
        root: its directory.
        processes: of HAProxy.
        maxconn: of each.
        more: further sections for supervisord.conf.
    """
    run, state = RunDir(root / "run"), StateDir(root / "state")
    for directory in (run.haproxy, run.api, run.log, state.root):
        directory.mkdir(parents=True)
    web_port, *stats_ports = free_ports(processes + 1)
    run.haproxy_cfg.write_text(_HAPROXY.format(maxconn=maxconn, port=web_port))
    spec = _spec(run, state, stats_ports)
    run.spec.write_text(spec.to_json())
    run.supervisord_conf.write_text(_configuration(run, spec) + more)
    supervisord = subprocess.Popen(
        [sys.executable, "-m", "lbctl.bundle.supervisord", "-c", str(run.supervisord_conf)],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
    )
    bundle = SmallBundle(spec, run, web_port, supervisord)
    try:
        wait_until(lambda: _all_answer(bundle), within_s=10, what="every process answers")
        yield bundle
    except BaseException:
        for log in (*run.log.iterdir(), run.supervisord_log):
            sys.stderr.write(f"--- {log.name}\n{log.read_text() if log.exists() else ''}")
        raise
    finally:
        supervisord.send_signal(signal.SIGTERM)
        try:
            supervisord.wait(10)
        finally:
            supervisord.kill()
            supervisord.wait()
            _end_strays(run)


def wait_until(claim: Callable[[], object], *, within_s: float, what: str) -> float:
    """Return the seconds it took until *claim* held; AssertionError when it did not in time."""
    began = time.monotonic()
    while not claim():
        assert time.monotonic() - began < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began


def _all_answer(bundle: SmallBundle) -> bool:
    try:
        return all(p["answers"] for p in bundle.status()["haproxy"]["processes"])
    except LbctlError:
        return False


def _spec(run: RunDir, state: StateDir, ports: list[int]) -> BundleSpec:
    processes = []
    for number, port in enumerate(ports, 1):
        path = run.runtime_socket(number)
        text = _PROCESS.format(socket=path, number=number, port=port)
        run.process_cfg(number).write_text(text)
        name = f"haproxy-{number:02d}"
        processes.append(HaproxyProcess(number, name, str(path), "127.0.0.1", port, None))
    group = GroupSpec(
        7,
        "eth0",
        "10.0.1.11",
        "10.0.1.201",
        ("10.0.1.201/32",),
        "ucarp",
        1,
        0,
        3,
        0.0,
        ("haproxy",),
    )
    programs = (*(p.program for p in processes), "vipd", "agent")
    return BundleSpec(
        version="0",
        node="0011223344556677",
        hostname="here",
        user="",
        started_at=time.time(),
        haproxy_version="2.6.12",
        haproxy_model="processes",
        processes=tuple(processes),
        programs=programs,
        binds=(),
        group=group,
        config_dir=str(run.root),
        state_dir=str(state.root),
    )


def _configuration(run: RunDir, spec: BundleSpec) -> str:
    user = "user=root\n" if os.geteuid() == 0 else ""
    text = _SUPERVISORD.format(run=run.root, user=user)
    for process in spec.processes:
        cfg = run.process_cfg(process.number)
        command = f"haproxy -W -db -f {run.haproxy_cfg} -f {cfg}"
        text += _program(run, process.program, command, group=True)
    names = ",".join(process.program for process in spec.processes)
    text += f"[group:haproxy]\nprograms={names}\n"
    text += _program(run, "vipd", f"{sys.executable} -m tests.fakes.vipd {run.vipd_socket}")
    agent = f"{sys.executable} -m lbctl.daemons.agent {run.root}"
    return text + _program(run, "agent", agent, listens=True)


def _program(
    run: RunDir, name: str, command: str, *, group: bool = False, listens: bool = False
) -> str:
    return _PROGRAM.format(
        kind="eventlistener" if listens else "program",
        name=name,
        command=command,
        log=run.log / f"{name}.log",
        directory=REPOSITORY,
        retries=1_000_000 if listens else 3,
        group=str(group).lower(),
        more="events=PROCESS_STATE,SUPERVISOR_STATE_CHANGE\nbuffer_size=100" if listens else "",
    )


def _end_strays(run: RunDir) -> None:
    """What a failed test left: by the run dir in the command, which is this test's own."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(bytes(run.root) + b"/") for word in words):
            os.kill(int(entry.name), signal.SIGKILL)
