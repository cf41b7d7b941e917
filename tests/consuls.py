"""A real Consul on ports of its own: started, asked, killed and started again."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lbctl.lab.hosts import Host
from lbctl.lab.local import UnixConnection
from tests.places import free_ports

_BINARY = Path(__file__).parents[1] / ".cache/consul/bin/consul"
_START_S = 10.0


@dataclass(slots=True)
class ConsulAgent:
    """
    One agent, a server of its own.

    Attributes:
        root: what it keeps, unless it is thrown away with it.
        ports: HTTP or HTTPS, then those of the servers among themselves.
        is_lasting: it keeps its data over an end; else it has them in memory.
        config: more of its configuration.
        token: what questions are asked with.
        tls: for questions; None: HTTP.
        dns: where it answers names; -1: nowhere.
        name: what it is called in its URL, where that is not its address.
        host: of a lab, where it listens on the host's address; None: here, on loopback.
    """

    root: Path
    ports: list[int]
    is_lasting: bool = False
    config: Mapping[str, object] = field(default_factory=dict)
    token: str | None = None
    tls: ssl.SSLContext | None = None
    host: Host | None = None
    dns: int = -1
    name: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.name or self.address}:{self.ports[0]}"

    @property
    def address(self) -> str:
        return self.host.address if self.host else "127.0.0.1"

    def start(self) -> None:
        """Returns when it has a leader."""
        if not _BINARY.exists():
            pytest.fail(f"{_BINARY} is missing: run scripts/setup test")
        file = self.root / "consul.json"
        file.write_text(json.dumps(self._configuration()))
        mode = [] if self.is_lasting else ["-dev"]
        argv = [str(_BINARY), "agent", *mode, f"-config-file={file}", "-log-level=warn"]
        whole = self.host.argv(argv) if self.host else argv
        with (self.root / "consul.log").open("ab") as log:
            self.process = subprocess.Popen(whole, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while not self._is_up():
            assert time.monotonic() < deadline, (self.root / "consul.log").read_text()[-2000:]
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, also of one that stands still."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP, and on."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Its answer as JSON, else as text; any status but 200 fails the test."""
        status, text = self.told(method, path, body)

        assert status == 200, f"{method} {path}: {status} {text}"
        with contextlib.suppress(ValueError):
            return json.loads(text)
        return text

    def told(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Status and text."""
        connection = self._connection()
        headers = {"X-Consul-Token": self.token} if self.token else {}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        with contextlib.closing(connection):
            connection.request(method, path, body=data, headers=headers)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()

    def _connection(self) -> http.client.HTTPConnection:
        if self.host:
            # The tests are on no host of the lab.
            return UnixConnection(self._socket, 5)
        if self.tls is None:
            return http.client.HTTPConnection(self.address, self.ports[0], timeout=5)
        return http.client.HTTPSConnection(
            self.name or self.address, self.ports[0], timeout=5, context=self.tls
        )

    @property
    def _socket(self) -> Path:
        return self.root / "sock"

    def register(self, name: str, identity: str, port: int, **more: object) -> None:
        """An instance on this agent, tagged ``rest``, without a check, or as *more* has it."""
        body = {"Name": name, "ID": identity, "Port": port, "Tags": ["rest"], **more}
        self.ask("PUT", "/v1/agent/service/register", body)

    def deregister(self, identity: str) -> None:
        self.ask("PUT", f"/v1/agent/service/deregister/{quote(identity, safe='')}")

    def elsewhere(self, node: str, address: str, **more: object) -> None:
        """What another node's agent would tell: ``Service``, ``Check``, ``Checks``."""
        body = {"Node": node, "Address": address, "SkipNodeUpdate": False, **more}
        self.ask("PUT", "/v1/catalog/register", body)

    def check(self, identity: str, verdict: str) -> None:
        """``pass``, ``warn`` or ``fail`` the TTL check of a service."""
        self.ask("PUT", f"/v1/agent/check/{verdict}/service:{identity}")

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.root / "consul.log").read_text()[-2000:]
        try:
            status, text = self.told("GET", "/v1/status/leader")
            # The leader's own node comes into the catalog a moment after its election.
            return status == 200 and len(text.strip()) > 2 and self._has_itself()
        except OSError:
            return False

    def _has_itself(self) -> bool:
        status, text = self.told("GET", "/v1/catalog/services")
        return status in (200, 403) and ("consul" in text or self.token is not None)

    def _configuration(self) -> dict[str, object]:
        scheme, other = ("https", "http") if self.tls else ("http", "https")
        server, lan, wan = self.ports[1:4]
        ports = {scheme: self.ports[0], other: -1, "dns": self.dns, "grpc": -1}
        lasting = {
            "server": True,
            "bootstrap_expect": 1,
            "data_dir": str(self.root / "data"),
            "performance": {"raft_multiplier": 1},
        }
        return {
            "node_name": "consul-host",
            "bind_addr": self.address,
            "client_addr": self.address,
            "addresses": {"http": f"{self.address} unix://{self._socket}"} if self.host else {},
            "disable_update_check": True,
            "disable_host_node_id": True,
            "ports": {**ports, "server": server, "serf_lan": lan, "serf_wan": wan},
            **(lasting if self.is_lasting else {}),
            **self.config,
        }


@contextmanager
def consul(root: Path, **more: Any) -> Iterator[ConsulAgent]:
    """A running one; *more*: see :class:`ConsulAgent`."""
    root.mkdir(exist_ok=True)
    agent = ConsulAgent(root, free_ports(4), **more)
    try:
        agent.start()
        yield agent
    finally:
        agent.kill()
