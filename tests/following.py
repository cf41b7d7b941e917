"""A follower on real HAProxies, run as the bundle runs them; web servers that say their names."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lbctl.follow.compiled import base_of
from lbctl.follow.follower import Follower
from lbctl.follow.generation import Generation, OperatorSource
from lbctl.follow.host import HostWorld
from lbctl.follow.overrides import Overrides
from lbctl.haproxy.version import read_version
from lbctl.model.names import backend_name
from lbctl.model.service import Server, Service
from lbctl.settings.model import Apply, Haproxy, Http, Settings, Stats
from lbctl.spec import BundleSpec
from tests.binaries import installed
from tests.fakes.programs import FakePrograms
from tests.haproxies import Rendered, free_ports, get, rendered, running
from tests.specs import bundle_spec


class Origin:
    """Answers with its own address."""

    def __init__(self) -> None:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = origin.address.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """HAProxy may hang up."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Origin]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@dataclass(slots=True)
class Followed:
    """A site that is followed; *settings* and *source* are the operator's."""

    site: Rendered
    spec: BundleSpec
    origins: list[str]
    settings: Settings
    masters: list[subprocess.Popen[bytes]]
    state: Path
    source: OperatorSource | None = None
    events: list[tuple[str, str]] = field(default_factory=list)
    number: int = 0

    def note(self, kind: str, text: str, fields: Mapping[str, Any]) -> None:
        self.events.append((kind, text))

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Follower]:
        """One life of the agent's follower."""
        run = self.site.run_dir
        world = HostWorld(self.spec, run, FakePrograms(), binary=self.site.binary)
        overrides = Overrides(self.state / "server-states.json")
        follower = Follower(world, overrides, backend_name, self.note)
        life = asyncio.create_task(follower.run())
        try:
            yield follower
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    async def want(self, follower: Follower, *services: Service, **more: Any) -> Any:
        """lb.yaml says so."""
        self.number += 1
        generation = Generation(
            self.number,
            time.time(),
            replace(self.settings, services=services),
            self.source,
            {},
            {path.name: path.read_text() for path in self._added()},
            {},
        )
        base = base_of(generation, self.spec, self.site.run_dir)
        return await follower.set_base(base, **more)

    def _added(self) -> list[Path]:
        directory = self.site.run_dir.haproxy
        names = ("proc-*.cfg", "nbproc.cfg", "threads.cfg")
        return sorted(path for name in names for path in directory.glob(name))

    def hello(self, *numbers: int, name: str = "hello", **more: Any) -> Service:
        """A service on some of the origins."""
        servers = tuple(Server(address=self.origins[number]) for number in numbers)
        return Service(name=name, servers=servers, **more)

    def asks(self, path: str = "/hello", times: int = 24) -> set[str | int]:
        """Who answers new connections, or with which status nobody does."""
        answers = [get(self.site.port, path) for _ in range(times)]
        return {text if code == 200 else code for code, text in answers}

    def kill_worker(self, number: int) -> None:
        """One process dies; in a bundle supervisord starts it again."""
        master = self.masters[number - 1]
        children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
        for pid in map(int, children):
            os.kill(pid, signal.SIGKILL)
        master.wait(10)
        self.masters[number - 1] = self.site.start(self.site.model.programs[number - 1])

    def workers(self) -> list[str]:
        """The pid of each process's worker."""
        return [self.site.info(process.number)["Pid"] for process in self.spec.processes]


@contextmanager
def followed(root: Path, version: str = "2.6", source: str | None = None) -> Iterator[Followed]:
    """
    Two processes that run what ``lbctl run`` would have written without services.

    Args:
        source: the operator's haproxy.cfg; ``{port}`` is the port to listen on.
    """
    binary = installed(version)
    with ExitStack() as stack:
        origins = [stack.enter_context(Origin().running()).address for _ in range(4)]
        port = free_ports(4)
        settings = Settings(
            haproxy=Haproxy(processes=2, stats=Stats(port_base=port + 1)),
            http=Http(bind=f"127.0.0.1:{port}", tls_bind=f"127.0.0.1:{port + 3}"),
            apply=Apply(hold_s=0.0),
        )
        site = rendered(binary, root, source, haproxy=settings.haproxy)
        settings = replace(settings, http=replace(settings.http, bind=f"127.0.0.1:{site.port}"))
        installed_version = read_version(binary)
        spec = bundle_spec(
            processes=site.model.processes,
            programs=site.model.programs,
            haproxy_version=str(installed_version),
            haproxy_model=site.model.model,
            config_dir=str(root),
            state_dir=str(root),
        )
        own = None
        if source is not None:
            text = site.run_dir.haproxy_cfg.read_text()
            own = OperatorSource("cfg", str(root / "haproxy.cfg"), {"haproxy.cfg": text})
        masters = stack.enter_context(running(site))
        yield Followed(site, spec, origins, settings, masters, root, own)


async def settled(follower: Follower, within_s: float = 8.0) -> None:
    """Until nothing is left to do."""
    deadline = time.monotonic() + within_s
    while follower.applier.fleet.is_unfinished:
        assert time.monotonic() < deadline, f"not settled within {within_s:g} s"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await follower.outcome()
