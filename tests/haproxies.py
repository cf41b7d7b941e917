"""Real HAProxies of three versions, run as lbctl runs them: its argv, its files, its sockets."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lbctl.haproxy.check import check_configuration
from lbctl.haproxy.cpus import usable_cpus
from lbctl.haproxy.processes import ProcessModel, plan_processes
from lbctl.haproxy.reload import Reloadable
from lbctl.haproxy.version import read_version
from lbctl.layout import RunDir
from lbctl.render.haproxy import process_files
from lbctl.settings.model import Haproxy, Http, Settings, Stats
from tests.generated import generated_cfg

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

    @property
    def reloadables(self) -> tuple[Reloadable, ...]:
        return tuple(
            Reloadable(
                program,
                str(self.model.master_socket(program, self.run_dir)),
                tuple(process.socket for process in self.model.of_program(program)),
            )
            for program in self.model.programs
        )

    def start(self, program: str, *before: str) -> subprocess.Popen[bytes]:
        """
        Args:
            program: its name.
            before: words that its command line opens with.
        """
        argv = self.model.argv(program, self.run_dir, binary=self.binary)
        with (self.run_dir.root / f"{program}.log").open("ab") as log:
            return subprocess.Popen([*before, *argv], stdout=log, stderr=log)

    def log(self, program: str) -> str:
        return (self.run_dir.root / f"{program}.log").read_text(errors="replace")


def rendered(
    binary: str,
    root: Path,
    operator: str | None = None,
    *,
    password: str | None = None,
    bind: str = "127.0.0.1",
    haproxy: Haproxy | None = None,
) -> Rendered:
    """Two processes by default; ``{port}`` in *operator* is the port to listen on."""
    run_dir = RunDir(root / "run dir")
    run_dir.certs.mkdir(parents=True, exist_ok=True)
    run_dir.nginx.mkdir(exist_ok=True)
    port = free_ports(4)
    settings = Settings(
        haproxy=haproxy or Haproxy(processes=2, stats=Stats(bind=bind, port_base=port + 1)),
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
    files[run_dir.services_cfg] = "# no services\n"
    for path, content in files.items():
        path.write_text(content)
    return Rendered(binary, run_dir, model, port)


def free_ports(count: int) -> int:
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
def running(site: Rendered, *before: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """All programs, until every stats listener answers; ended by their own process handles."""
    masters = [site.start(program, *before) for program in site.model.programs]
    try:
        for process in site.model.processes:
            wait_until(lambda port=process.stats_port: get(port, "/healthz")[0] == 200)  # type: ignore[misc]
        yield masters
    finally:
        for master in masters:
            master.terminate()
        for master in masters:
            master.wait(10)


def wait_until(claim: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(OSError):
            if claim():
                return
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


def get(port: int, path: str = "/", *, auth: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Connection": "close"}
    if auth is not None:
        headers["Authorization"] = "Basic " + b64encode(auth.encode()).decode()
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
