"""Reloads of real nginx, run as the bundle runs it: by a plain user who may bind low ports."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lbctl.lab.crowd import crowd
from lbctl.nginx.check import dialect
from lbctl.nginx.reload import NginxReloaded, reload_nginx, workers_of
from tests.haproxies import free_ports, get, wait_until
from tests.places import NOBODY, open_directory

pytestmark = pytest.mark.contract

MAY_BIND = (
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    *("--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service"),
    *("--bounding-set=-all,+net_bind_service", "--"),
)
WORKERS = 2
CONF = """\
daemon off;
worker_processes {workers};
pid {root}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    server {{ listen unix:{root}/http.sock; }}
    include {root}/nginx.d/*.conf;
}}
"""
SERVER = "server {{ listen 127.0.0.1:{port}; location / {{ return 200 {words}; }} }}\n"


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx and the operator's file."""

    root: Path
    port: int
    master: subprocess.Popen[bytes]
    argv: tuple[str, ...]

    @property
    def conf(self) -> Path:
        return self.root / "nginx.d" / "site.conf"

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()

    def write(self, words: str, more: str = "") -> None:
        self.conf.write_text(SERVER.format(port=self.port, words=words) + more)

    def reload(self, timeout_s: float = 6.0) -> NginxReloaded:
        """As the agent does: without any capability."""
        argv = (*NOBODY, *self.argv)
        return asyncio.run(reload_nginx(argv, self.master.pid, timeout_s=timeout_s))


@pytest.fixture(name="nginx")
def _nginx() -> Iterator[Nginx]:
    with running() as nginx:
        yield nginx


@contextmanager
def running() -> Iterator[Nginx]:
    with open_directory() as root:
        (root / "nginx.d").mkdir()
        (root / "nginx.conf").write_text(CONF.format(root=root, workers=WORKERS))
        port = free_ports(1)
        (root / "nginx.d" / "site.conf").write_text(SERVER.format(port=port, words="old"))
        shutil.chown(root, "nobody", "nogroup")
        argv = ("nginx", *dialect("nginx").options, "-c", str(root / "nginx.conf"))
        with (root / "log").open("wb") as log:
            master = subprocess.Popen([*MAY_BIND, *argv], stdout=log, stderr=log)
        try:
            wait_until(lambda: get(port)[1] == "old" and len(workers_of(master.pid)) == WORKERS)
            yield Nginx(root, port, master, argv)
        finally:
            master.send_signal(signal.SIGCONT)
            master.terminate()
            master.wait(10)


def test_a_reload_brings_new_workers_that_serve_the_new_files(nginx: Nginx) -> None:
    before = workers_of(nginx.master.pid)
    nginx.write("new")
    result = nginx.reload()

    assert (result.is_ok, result.said, result.warnings) == (True, (), ())
    wait_until(lambda: not workers_of(nginx.master.pid) & before)
    assert get(nginx.port)[1] == "new"


def test_no_new_connection_is_lost(nginx: Nginx) -> None:
    with crowd(nginx.port, new=4) as clients:
        for number in range(5):
            nginx.write(f"n{number}")
            assert nginx.reload().is_ok
        counted = clients.counted()

    assert counted.failed == {}
    assert counted.new > 100


def test_a_broken_file_is_named_by_its_line_and_the_old_workers_serve_on(nginx: Nginx) -> None:
    before = workers_of(nginx.master.pid)
    nginx.write("new", "server {\n    bogus on;\n}\n")
    result = nginx.reload()

    assert not result.is_ok
    assert result.said == (f'{nginx.conf}:3: unknown directive "bogus"',)
    assert workers_of(nginx.master.pid) == before
    assert get(nginx.port)[1] == "old"


def test_a_port_that_somebody_else_has_is_told_and_the_old_workers_serve_on(nginx: Nginx) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        nginx.write("new", SERVER.format(port=port, words="other"))
        result = nginx.reload(timeout_s=4.0)

        assert not result.is_ok
        assert "no new worker in 4 s after SIGHUP; why is in the log" in result.said[0]
        assert f"bind() to 127.0.0.1:{port} failed" in nginx.log
        assert get(nginx.port)[1] == "old"


def test_who_asks_need_not_be_allowed_the_ports_that_nginx_may_bind(nginx: Nginx) -> None:
    low = next(port for port in range(800, 1000) if is_free(port))
    nginx.write("new", SERVER.format(port=low, words="low"))
    result = nginx.reload()

    assert result.is_ok
    assert any(f":{low} failed (13: Permission denied)" in warning for warning in result.warnings)
    assert get(low)[1] == "low"


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_a_frozen_nginx_is_told_of_in_time(nginx: Nginx) -> None:
    os.kill(nginx.master.pid, signal.SIGSTOP)
    result = nginx.reload(timeout_s=0.3)

    assert not result.is_ok
    assert "no new worker in 0.3 s" in result.said[0]
    assert get(nginx.port)[1] == "old"


def test_another_process_is_never_signalled(nginx: Nginx) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            argv = (*NOBODY, *nginx.argv)
            result = asyncio.run(reload_nginx(argv, other.pid, timeout_s=0.3))
            is_running = other.poll() is None
        finally:
            other.kill()

    assert result.said == (
        f"nginx (pid {other.pid}): not running; it loads the new files when it starts",
    )
    assert is_running
