"""Two real HAProxy processes as the bundle runs them, with traffic, and their spec."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from lbctl.haproxy.readings import Reading, read_all
from lbctl.haproxy.table import Table
from lbctl.spec import BundleSpec, HaproxyProcess
from tests.places import free_ports
from tests.specs import bundle_spec

REQUESTS = 60

SHARED = """
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend web
  bind 127.0.0.1:{port}
  default_backend hello
backend hello
  server s1 127.0.0.1:{origin} maxconn 50 cookie one
  server s2 127.0.0.1:{nobody} check inter 100ms
"""

OWN = """
global
  nbthread 1
  stats socket {socket} mode 600 level admin
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
listen lbctl-stats-{number:02d}
  bind unix@{directory}/stats-{number:02d}.sock
  stats enable
"""


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Two HAProxy processes that served REQUESTS requests and are idle now."""

    run_dir: Path
    spec: BundleSpec
    pids: tuple[int, ...]
    readings: tuple[Reading, ...]

    @property
    def tables(self) -> list[Table]:
        return [reading.table for reading in self.readings]


def free_port() -> int:
    (port,) = free_ports(1)
    return port


def wait_until(claim: Callable[[], bool], what: str, within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s"
        time.sleep(0.02)


def process_of(root: Path, number: int) -> HaproxyProcess:
    path = str(root / f"{number:02d}.sock")
    return HaproxyProcess(number, f"haproxy-{number:02d}", path, "127.0.0.1", 8000 + number, None)


def start_process(stack: ExitStack, root: Path, shared: Path, process: HaproxyProcess) -> int:
    own = root / f"proc-{process.number:02d}.cfg"
    own.write_text(OWN.format(socket=process.socket, number=process.number, directory=root))
    haproxy = stack.enter_context(
        subprocess.Popen(
            ["haproxy", "-db", "-q", "-f", shared, "-f", own],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    )
    stack.callback(haproxy.terminate)
    wait_until(Path(process.socket).exists, f"{process.program} listens")
    return haproxy.pid


def spec_of(processes: tuple[HaproxyProcess, ...]) -> BundleSpec:
    programs = tuple(process.program for process in processes)
    return bundle_spec(version="0", hostname="h", processes=processes, programs=programs)


def rows_of(processes: tuple[HaproxyProcess, ...], proxy: str, server: str) -> list[dict[str, str]]:
    readings = asyncio.run(read_all(processes))
    return [
        record
        for reading in readings
        for record in reading.table.records()
        if (record["pxname"], record["svname"]) == (proxy, server)
    ]


def s2_is_down(processes: tuple[HaproxyProcess, ...]) -> bool:
    return [row["status"] for row in rows_of(processes, "hello", "s2")] == ["DOWN", "DOWN"]


def total(processes: tuple[HaproxyProcess, ...], proxy: str, column: str) -> int:
    return sum(int(row[column]) for row in rows_of(processes, proxy, "BACKEND"))
