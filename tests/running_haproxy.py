"""Real HAProxy processes with generated backends, and web servers behind them."""

from __future__ import annotations

import asyncio
import http.client
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.perform import Outcome, perform
from lbctl.haproxy.plan import Plan, Running, plan
from lbctl.haproxy.runtime import Runtime, UnixRuntime
from lbctl.haproxy.seen import read_seen
from lbctl.haproxy.version import read_version
from lbctl.model.target import Target, TargetBackend, TargetServer

AROUND = """\
global
  stats socket {directory}/01.sock mode 600 level admin
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend web
  bind unix@{directory}/web.sock
  default_backend b
resolvers lbctl
  nameserver nobody 127.0.0.1:9
"""


@dataclass(slots=True)
class Process:
    """One real HAProxy that runs *target*."""

    directory: Path
    binary: str
    target: Target
    runtime: Runtime = field(init=False)
    abilities: Abilities = field(init=False)

    @contextmanager
    def running(self) -> Iterator[Process]:
        self.abilities = Abilities.of(read_version(self.binary))
        configuration, path = self.directory / "haproxy.cfg", self.directory / "01.sock"
        web = self.directory / "web.sock"
        configuration.write_text(self.target.text())
        argv = [self.binary, "-db", "-q", "-f", str(configuration)]
        with subprocess.Popen(argv) as process:
            wait_until(
                lambda: (path.exists() and web.exists()) or process.poll() is not None, "a start"
            )
            assert process.poll() is None, "haproxy did not start"
            self.runtime = UnixRuntime(str(path))
            try:
                yield self
            finally:
                process.terminate()

    def plan(self, desired: Target) -> Plan:
        seen = asyncio.run(read_seen(self.runtime, in_full=True))
        return plan(Running(self.target, seen, is_whole=True), desired, self.abilities)

    def perform(self, desired: Target) -> Outcome:
        """Plan, and do it without a reload."""
        made = self.plan(desired)
        assert made.reasons == ()
        outcome = asyncio.run(perform(self.runtime, made))
        self.target = desired
        return outcome

    def state(self, server: str) -> int:
        """``srv_op_state`` of a server of the backend b: 0 is down, 2 is up."""
        return asyncio.run(read_seen(self.runtime, ["b"]))["b"][server].state


class Web:
    """A web server that keeps connections open; ``/held`` is answered when *go* is set."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()
        self.address = ""

    @contextmanager
    def running(self) -> Iterator[Web]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web.asked += 1
                if self.path == "/held":
                    web.go.wait(20)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """HAProxy may hang up."""

        with Server(("127.0.0.1", 0), Handler) as server:
            self.address = f"127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            yield self
            self.go.set()
            server.shutdown()
            thread.join()


def wait_until(claim: Callable[[], bool], what: str, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.01)


def get(process: Process, path: str = "/") -> int:
    """The status of one request through the frontend, on a connection of its own."""
    with closing(connected(process)) as link:
        return get_on(link, path)


def get_on(link: http.client.HTTPConnection, path: str = "/") -> int:
    """The same on *link*."""
    link.request("GET", path)
    answer = link.getresponse()
    answer.read()
    return answer.status


def connected(process: Process) -> http.client.HTTPConnection:
    link = http.client.HTTPConnection("haproxy", timeout=20)
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.settimeout(20)
    link.sock.connect(str(process.directory / "web.sock"))
    return link


def backend(
    *servers: TargetServer, name: str = "b", options: str = "", more: str = ""
) -> TargetBackend:
    head = f"backend {name}\n{more}"
    head += f"    default-server {options}\n" if options else ""
    return TargetBackend(name, head, options, servers)


def target(*backends: TargetBackend, directory: Path) -> Target:
    around = AROUND.format(directory=directory)
    return Target(around, {one.name: one for one in backends})
