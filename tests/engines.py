"""
Docker and Podman, real ones, on a host of the lab: asked over their socket, as the provider asks.

Each has its store, its bridge and its mounts to itself, and its containers are a busybox: an image
that is made in a tenth of a second.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import socket
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import pytest

from lbctl.lab.hosts import Host
from lbctl.lab.process import Process
from lbctl.lab.wait import LabError, wait_until

Kind = Literal["docker", "podman"]
_FETCHED = Path(__file__).parents[1] / ".cache/docker/bin"
_IMAGE = "lbctl/tiny"
_PROGRAMS = ("sh", "httpd", "sleep", "touch", "test", "rm", "true")
#: TERM is answered after $GRACE seconds, HUP is ignored.
_SERVE = """\
#!/bin/sh
trap 'sleep ${GRACE:-0}; exit 0' TERM
trap : HUP
httpd -f -p "${PORT:-80}" -h /www &
while :; do wait $!; done
"""
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=15000:15000", "nproc=30000:30000"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{root}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "{root}/networks"
"""
_STORAGE_CONF = """\
[storage]
driver = "vfs"
graphroot = "{root}/storage"
runroot = "{root}/run"
"""


@dataclass(slots=True)
class Engine:
    """
    One engine.

    Attributes:
        kind: which.
        host: where its bridge is.
        root: its files; a short path: it holds sockets.
        process: itself.
    """

    kind: Kind
    host: Host
    root: Path
    process: Process | None = None
    _beside: list[Process] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.root / "engine.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Returns when it answers."""
        self.socket.unlink(missing_ok=True)
        if not self._beside:
            # The mounts are its own, and outlive it: its containers go on with them.
            self._spawn("mounts", ["unshare", "--mount", "sleep", "infinity"])
            wait_until(self._has_mounts, 5, "mounts of its own", every_s=0.001)
            if self.kind == "docker":
                self._spawn("containerd", self._containerd())
        argv, env = self._docker() if self.kind == "docker" else self._podman()
        self.process = Process.start(self._inside(argv), self.root / "log", env)
        wait_until(self._answers, 15, f"{self.kind} answers", seen=self.process.text)

    def kill(self) -> None:
        """As a crash would end it; its containers may go on."""
        assert self.process is not None
        self.process.signal(signal.SIGKILL)
        self.process.popen.wait(5)

    def end(self) -> None:
        """Containers, then itself."""
        assert self.process is not None
        if self.process.is_running:
            self.remove_all()
            self.process.stop(10)
        for one in reversed(self._beside):
            one.stop()

    def load(self) -> None:
        """Make the image."""
        body = io.BytesIO()
        with tarfile.open(fileobj=body, mode="w") as tar:
            _put(tar, "bin/busybox", Path(_fetched("busybox")).read_bytes())
            _put(tar, "serve", _SERVE.encode())
            _put(tar, "www/index.html", b"well\n")
            _put(tar, "tmp/empty", b"")
            for name in _PROGRAMS:
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        path = "/images/create?" + urlencode({"fromSrc": "-", "repo": _IMAGE})
        self.ask("POST", path, body.getvalue(), "application/x-tar")

    def run(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        ports: Sequence[int] = (80,),
        published: Mapping[int, int] | None = None,
        network: str = "",
        health: str = "",
    ) -> None:
        """
        Start a container.

        Args:
            ports: that it exposes; the first is the one on which it serves.
            health: command that tells whether it is healthy, five times a second.
        """
        bindings = {f"{k}/tcp": [{"HostPort": str(v)}] for k, v in (published or {}).items()}
        nanoseconds = 1_000_000_000
        config: dict[str, Any] = {
            "Image": _IMAGE,
            "Cmd": ["/serve"],
            "Labels": dict(labels or {}),
            "Env": [f"{k}={v}" for k, v in {"PORT": ports[0], **(env or {})}.items()],
            "ExposedPorts": {f"{one}/tcp": {} for one in ports},
            "HostConfig": {"PortBindings": bindings, "NetworkMode": network or "bridge"},
        }
        if health:
            config["Healthcheck"] = {
                "Test": ["CMD-SHELL", health],
                "Interval": nanoseconds // 5,
                "Timeout": 10 * nanoseconds,
                "Retries": 1,
            }
        self.ask("POST", f"/containers/create?name={quote(name)}", config)
        self.start_again(name)

    def start_again(self, name: str) -> None:
        """Start it as it is."""
        self.ask("POST", f"/containers/{name}/start")

    def tell(self, container: str, what: str, **params: object) -> None:
        """``stop``, ``restart``, ``kill``, ``pause``, ``rename``, ...: returns when it is done."""
        self.ask("POST", f"/containers/{container}/{what}?{urlencode(params)}")

    def exec(self, name: str, *argv: str) -> None:
        """Run a program in it, to its end."""
        made = self.ask("POST", f"/containers/{name}/exec", {"Cmd": argv, "AttachStdout": True})
        self.ask("POST", f"/exec/{made['Id']}/start", {"Detach": False})

    def check_health(self, name: str) -> None:
        """Podman leaves that to timers of systemd's."""
        if self.kind == "podman":
            self.ask("GET", f"/v4.0.0/libpod/containers/{name}/healthcheck")

    def inspect(self, name: str) -> dict[str, Any]:
        found = self.ask("GET", f"/containers/{name}/json")
        assert isinstance(found, dict)
        return found

    def address(self, name: str) -> str:
        """The first that it has."""
        networks = self.inspect(name)["NetworkSettings"]["Networks"]
        return str(next(one["IPAddress"] for one in networks.values() if one["IPAddress"]))

    def connect(self, network: str, name: str, what: str = "connect") -> None:
        self.ask("POST", f"/networks/{network}/{what}", {"Container": name})

    def remove(self, name: str) -> None:
        """Whatever it does."""
        self.ask("DELETE", f"/containers/{name}?force=true&v=true")

    def remove_all(self) -> None:
        for one in self.ask("GET", "/containers/json?all=true"):
            self.remove(one["Id"])

    def ask(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> Any:
        """What it answers; a refusal is a LabError."""
        link = _UnixConnection(str(self.socket))
        try:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            link.request(method, path, None if body is None else data, {"Content-Type": kind})
            answer = link.getresponse()
            text = answer.read()
        finally:
            link.close()
        if answer.status >= 400:
            message = f"{self.kind}: {method} {path}: {answer.status} {text.decode()}"
            raise LabError(message)
        is_json = "json" in (answer.getheader("Content-Type") or "") and text
        return json.loads(text.splitlines()[-1] if b"\n{" in text else text) if is_json else None

    def _has_mounts(self) -> bool:
        """Until then it has those of this process."""
        ours, its = (Path("/proc", str(one), "ns/mnt") for one in ("self", self._beside[0].pid))
        return not ours.samefile(its)

    def _answers(self) -> bool:
        try:
            self.ask("GET", "/_ping")
        except (OSError, http.client.HTTPException):
            assert self.process is not None
            assert self.process.is_running, self.process.text()
            return False
        return True

    def _spawn(self, name: str, argv: list[str]) -> None:
        env = {"PATH": f"{_FETCHED}:{os.environ['PATH']}:/usr/sbin:/sbin"}
        self._beside.append(Process.start(self._inside(argv), self.root / f"{name}.log", env))

    def _inside(self, argv: list[str]) -> list[str]:
        """/sys as it is: ``ip netns exec`` would hide the control groups in it."""
        mounts = [f"--mount=/proc/{one.pid}/ns/mnt" for one in self._beside[:1]]
        return ["nsenter", f"--net=/run/netns/{self.host.ns}", *mounts, *argv]

    def _containerd(self) -> list[str]:
        config = self.root / "containerd.toml"
        config.write_text('disabled_plugins = ["io.containerd.grpc.v1.cri"]\nversion = 2\n')
        places = [f"--root={self.root / 'root'}", f"--state={self.root / 'state'}"]
        address = f"--address={self._containerd_socket}"
        return [_fetched("containerd"), f"--config={config}", *places, address]

    @property
    def _containerd_socket(self) -> Path:
        return self.root / "containerd.sock"

    def _docker(self) -> tuple[list[str], dict[str, str]]:
        wait_until(self._containerd_socket.exists, 10, "containerd listens")
        argv = [_fetched("dockerd"), f"--host={self.url}", "--bip=172.31.7.1/24"]
        argv += [f"--containerd={self._containerd_socket}", "--storage-driver=vfs"]
        argv += [f"--data-root={self.root / 'data'}", f"--exec-root={self.root / 'exec'}"]
        argv += [f"--pidfile={self.root / 'pid'}", "--userland-proxy=false", "--iptables=false"]
        argv += ["--ip6tables=false", "--default-ulimit=nofile=15000:15000", "--log-level=warn"]
        return argv, {"PATH": f"{_FETCHED}:{os.environ['PATH']}:/usr/sbin:/sbin"}

    def _podman(self) -> tuple[list[str], dict[str, str]]:
        if shutil.which("podman") is None:
            pytest.fail("podman is missing: run scripts/setup test")
        env = {}
        files = {"CONTAINERS_CONF": _CONTAINERS_CONF, "CONTAINERS_STORAGE_CONF": _STORAGE_CONF}
        for variable, text in files.items():
            path = self.root / variable.lower()
            path.write_text(text.format(root=self.root))
            env[variable] = str(path)
        argv = ["podman", "--log-level=error", "system", "service", "--time=0", self.url]
        return argv, env


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    tar.addfile(member, io.BytesIO(content))


def _fetched(program: str) -> str:
    path = _FETCHED / program
    if not path.exists():
        pytest.fail(f"{path} is missing: run scripts/setup test")
    return str(path)
