"""A bundle without a virtual IP on a lab host, beside web servers that lb.yaml names."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.master import MasterSocket
from lbctl.haproxy.runtime import UnixRuntime
from lbctl.haproxy.seen import Seen, SeenServer, read_seen
from lbctl.lab import local, web
from lbctl.lab.crowd import Crowd, crowd_argv, started
from lbctl.lab.hosts import Host, Lab
from lbctl.lab.process import Process
from lbctl.lab.wait import LabError, wait_until
from tests.bundles import Bundle

#: Web servers on the balancer's host: four are started, at first two are lb.yaml's ``hello/v1``.
WEBS: Mapping[str, str] = {f"w{number}": f"127.0.0.1:{7000 + number}" for number in range(1, 11)}
#: A program that ended is started again, and has been told what it cannot know.
BACK_S = 8.0
_ASKED = 24


def servers(*names: str) -> list[dict[str, object]]:
    """Web servers as lb.yaml lists them."""
    return [{"id": name, "address": WEBS[name]} for name in names]


class Balancer(Bundle):
    """
    Attributes:
        settings: what lb.yaml has beside services.
        services: its services, by name.
    """

    def __init__(self, lab: Lab, name: str, *, host: str = "a", **more: Any) -> None:
        super().__init__(lab[host].directory / name, lab[host], **more)
        self.settings: dict[str, Any] = {"haproxy": {"processes": 2}}
        self.services: dict[str, dict[str, Any]] = {"hello/v1": {"servers": servers("w1", "w2")}}

    def write(self) -> None:
        """lb.yaml, from what is said here."""
        services = [{"name": name, **one} for name, one in self.services.items()]
        self.configure({**self.settings, "services": services})

    def begin(self) -> None:
        """Started, and followed by the agent."""
        self.write()
        self.start()
        self.wait_up()
        self.wait_idle()

    def wait_idle(self) -> None:
        """Until the agent answers, and has nothing to do."""

        def is_idle() -> bool:
            status = local.get_json(self.run.api_socket, "/v1/status")
            return bool(status["apply"]["state"] == "idle")

        wait_until(is_idle, 20, "the agent", seen=self.text)

    def reload(self, *words: str, code: int = 0) -> dict[str, Any]:
        """lb.yaml written and ``lbctl reload``, which must end with *code*; its answer."""
        self.write()
        done = self.command("reload", "--json", *words)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"said": done.stderr}
        return answer

    def lbctl(self, *argv: str, code: int = 0) -> str:
        """What another command says, which must end with *code*."""
        done = self.command(*argv)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.lbctl("status", "--json"))
        return answer

    def warnings(self) -> str:
        return "\n".join(self.status()["warnings"])

    def events(self, kind: str) -> str:
        """Those of one kind, as people read them."""
        return "\n".join(line for line in self.lbctl("events").splitlines() if f" {kind} " in line)

    def seen(self) -> list[Seen]:
        """
        What each HAProxy process says of its servers.

        Raises:
            LabError: one of them does not answer.
        """
        sockets = [self.run.runtime_socket(number) for number in (1, 2)]
        try:
            return [asyncio.run(read_seen(UnixRuntime(str(path)), None)) for path in sockets]
        except RuntimeApiError as error:
            raise LabError(str(error)) from error

    def each(self, server: str, backend: str = "hello:v1") -> list[SeenServer | None]:
        """One server, as each process has it."""
        return [seen.get(backend, {}).get(server) for seen in self.seen()]

    def admins(self, server: str, backend: str = "hello:v1") -> set[str]:
        """Its state in all processes; ``absent``."""
        return {"absent" if one is None else one.admin for one in self.each(server, backend)}

    def workers(self) -> list[int]:
        """The pids of those that serve now."""
        return [pid for number in (1, 2) for pid in self.workers_of(number)]

    def workers_of(self, number: int) -> list[int]:
        """One program's."""
        master = MasterSocket(str(self.run.master_socket(number)), 2.0)
        return [worker.pid for worker in asyncio.run(master.workers()).current]

    def haproxies(self) -> list[int]:
        return [self.pid_of(name) for name in ("haproxy-01", "haproxy-02")]

    def on_host(self, argv: Sequence[str]) -> str:
        """What a program on the bundle's host prints, whatever its exit code."""
        assert self.host is not None
        return self.host.run(argv, check=False, timeout=60).stdout

    def asks(self, path: str = "/hello/v1", port: int = 80, *words: str) -> set[str]:
        """Who answers new connections, or with which status nobody does."""
        url = f"http://127.0.0.1:{port}{path}?[1-{_ASKED}]"
        form = "%{http_code} %header{x-web}\n"
        argv = ["curl", "-s", "-m", "2", "-H", "Connection: close", "-o", "/dev/null", *words]
        said = self.on_host([*argv, "-w", form, url])
        lines = said.splitlines()
        assert len(lines) == _ASKED, said
        return {line.removeprefix("200 ") for line in map(str.strip, lines)}

    def wait_asks(
        self, wanted: set[str], within_s: float = BACK_S, path: str = "/hello/v1"
    ) -> None:
        """Until exactly *wanted* answer."""
        wait_until(lambda: self.asks(path) == wanted, within_s, f"{wanted} to answer {path}")

    @contextmanager
    def crowd(self, *words: str) -> Iterator[Crowd]:
        """Clients, see :mod:`lbctl.lab.crowd`, on this host."""
        assert self.host is not None
        with started(self.host.argv(crowd_argv(80, *words))) as one:
            yield one


def serve_webs(host: Host, names: Sequence[str] = tuple(WEBS)[:4]) -> None:
    """Start them; they accept on return."""
    for name in names:
        serve_web(host, name, WEBS[name])


def serve_web(host: Host, name: str, place: str) -> None:
    """One that says *name*, at ``address:port``."""
    address, _, port = place.rpartition(":")
    argv = [sys.executable, "-I", web.__file__, name, f"--bind={address}", f"--port={port}"]
    _wait_serving(host.spawn(argv, log=f"{name}.log"))


def _wait_serving(process: Process) -> None:
    wait_until(lambda: "serving" in process.text(), 5, "a web server", seen=process.text)


@contextmanager
def balancers(*more: str) -> Iterator[Lab]:
    """A lab for them: one host, with web servers; *more*: other hosts."""
    with Lab(("a", *more)) as lab:
        serve_webs(lab["a"])
        try:
            yield lab
        except BaseException:
            sys.stdout.write(lab.dump())
            raise


@contextmanager
def balancer(lab: Lab, name: str = "b", **more: Any) -> Iterator[Balancer]:
    """One, not begun."""
    made = Balancer(lab, name, **more)
    try:
        yield made
    finally:
        made.end()
