"""Services compiled and run by a real HAProxy, and a web server that tells what it was asked."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lbctl.haproxy.reload import Reloadable
from lbctl.layout import RunDir
from lbctl.model.service import (
    Cookie,
    HealthCheck,
    RateLimit,
    Route,
    Server,
    ServerTls,
    Service,
    ServiceTimeouts,
)
from lbctl.render.scene import RenderScene
from lbctl.render.services import Compiled, compile_services
from lbctl.settings.discovery import Discovery, Dns
from lbctl.settings.model import Http, Settings
from tests.binaries import BINARIES, installed

VERSIONS = tuple((int(one[0]), int(one[2])) for one in BINARIES)
PEER = "lbctl-local-01"

#: Services of every kind, and settings that change most of what is around them.
WEB = (Server(id="web1", address="10.0.0.1:80"), Server(id="web2", address="10.0.0.2:80"))
MANY = (
    Service(
        name="hello/v1",
        route=Route(path="/hello/v1", strip=True),
        cookie="JSESSIONID",
        balance="leastconn",
        check=HealthCheck(path="/health"),
        maxconn=100,
        limit=RateLimit(requests=100),
        servers=WEB,
    ),
    Service(
        name="shop \U0001f600",
        routes=(Route(host="*.shop.org", path="/s", strip=True), Route(path="/s/x", port=8080)),
        cookie=Cookie(name="LB", kind="insert"),
        balance="hdr(x-user)",
        allow=("10.0.0.0/8",),
        tls=ServerTls(sni="shop.internal"),
        servers=(Server(address="shop.internal:443", weight=7), Server(address="[fd00::1]:443")),
    ),
    Service(
        name="db",
        mode="tcp",
        route=Route(port=5432),
        dns="db.internal:5432",
        timeouts=ServiceTimeouts(client="1h", server="1h"),
        send_proxy="v2",
    ),
    Service(name="beta", route=Route(path="/hello", header={"X-Beta": "yes"}), servers=WEB),
)
EVERYTHING = Settings(
    discovery=Discovery(dns=Dns(nameservers=("10.0.0.53", "fd00::53"))),
    http=Http(https_redirect=True, hsts_max_age_s=60, foreign_redirect="https://x.org/"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    Attributes:
        status: of HTTP.
        headers: names in lower case.
        asked: what the server saw: ``address``, ``path`` and ``headers``; empty: it was not asked.
    """

    status: int
    headers: dict[str, str]
    asked: dict[str, Any]

    @property
    def seen(self) -> dict[str, str]:
        """Headers that the server saw."""
        return dict(self.asked["headers"])


class Echo(ThreadingHTTPServer):
    """Answers on every address of 127/8, and tells on which."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), _EchoHandler)

    def address(self, last: int = 1) -> str:
        return f"127.0.{last // 250}.{last % 250 + 1}:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """HAProxy may hang up."""


class _EchoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        name, port = self.connection.getsockname()[:2]
        body = json.dumps(
            {
                "address": f"{name}:{port}",
                # Python takes double slashes off self.path.
                "path": self.requestline.split(" ")[1],
                "headers": [(key.lower(), value) for key, value in self.headers.items()],
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "JSESSIONID=app123; Path=/")
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def echo() -> Iterator[Echo]:
    with Echo() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def written(
    services: Sequence[Service], settings: Settings, scene: RenderScene
) -> tuple[Compiled, Path]:
    """Compiled, and every file where it belongs; the path is haproxy.cfg's."""
    compiled = compile_services(services, settings, scene)
    scene.run.haproxy.mkdir(parents=True, exist_ok=True)
    for name, text in compiled.target.files.items():
        (scene.run.haproxy / name).write_text(text)
    scene.run.haproxy_cfg.write_text(compiled.target.text())
    return compiled, scene.run.haproxy_cfg


def binary_of(version: tuple[int, int]) -> str:
    return installed(f"{version[0]}.{version[1]}")


def judged(version: tuple[int, int], *files: Path) -> tuple[int, str]:
    """What ``haproxy -c`` says: its exit code, and its words without those about names."""
    argv = [binary_of(version), "-c", "-L", PEER, *(w for file in files for w in ("-f", str(file)))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    lines = [
        line
        for line in done.stderr.splitlines()
        if "NOTICE" not in line and "could not resolve" not in line
    ]
    return done.returncode, "\n".join(line for line in lines if "[" in line)


@dataclass(frozen=True, slots=True)
class Running:
    """One HAProxy process."""

    port: int
    socket: Path
    compiled: Compiled

    def get(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        opening: bytes = b"",
    ) -> Answer:
        """One request on a connection of its own; *opening* is sent before it."""
        with closing(http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)) as one:
            one.connect()
            if opening:
                one.sock.sendall(opening)
            return ask(one, path, headers or {})

    @property
    def reloadable(self) -> Reloadable:
        """With ``has_master``."""
        return Reloadable("haproxy", str(self.socket.with_name("master")), (str(self.socket),))

    def runtime(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.settimeout(5)
            runtime.connect(str(self.socket))
            runtime.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: runtime.recv(65536), b"")).decode()


def ask(link: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> Answer:
    link.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": "any.example", **headers}.items():
        link.putheader(name, value)
    link.endheaders()
    answer = link.getresponse()
    body = answer.read()
    asked = json.loads(body) if body.startswith(b'{"address"') else {}
    return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, asked)


@contextmanager
def running(
    services: Sequence[Service],
    directory: Path,
    *,
    version: tuple[int, int] = (2, 6),
    settings: Settings | None = None,
    scene: RenderScene | None = None,
    more: str = "",
    peer: str = PEER,
    has_master: bool = False,
) -> Iterator[Running]:
    """
    A HAProxy that serves them, from when it accepts connections.

    Args:
        more: text of a second file.
        peer: what it is called among its peers.
        has_master: as lbctl runs it, so that it can be reloaded.
    """
    port = free_port()
    settings = settings or Settings()
    settings = replace(settings, http=replace(settings.http, bind=f"127.0.0.1:{port}"))
    base = scene or RenderScene(RunDir(directory), version)
    scene = replace(base, run=RunDir(directory), version=version)
    compiled, path = written(services, settings, scene)
    runtime = directory / "rt"
    runtime.unlink(missing_ok=True)
    second = directory / "more.cfg"
    second.write_text(f"global\n    stats socket {runtime} level admin\n{more}")
    argv = [binary_of(version), "-db", "-q", "-L", peer, "-f", str(path), "-f", str(second)]
    if has_master:
        argv += ["-W", "-S", f"{directory / 'master'},mode,600"]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        _wait(process, runtime, directory / "log")
        yield Running(port, runtime, compiled)
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> None:
    deadline = time.monotonic() + 10
    while not _accepts(runtime):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, "haproxy did not start"
        time.sleep(0.005)


def _accepts(path: Path) -> bool:
    """The path is there before it is listened on."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Nobody listens on it now; from a range that outgoing connections do not use."""
    base = 20000 + os.getpid() * 7 % 9000
    for port in range(base, base + 2000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", (port - 20000) % 12000 + 20000))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    pytest.fail("no free port")


def service(name: str, address: str = "", **more: Any) -> Service:
    """A service of one server without checks, unless *more* says otherwise."""
    more.setdefault("check", HealthCheck(kind="none"))
    if address:
        more.setdefault("servers", (Server(address=address),))
    return Service(name=name, **more)
