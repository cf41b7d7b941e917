"""A bundle in a container on a lab host, run and asked as an operator does it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lbctl.lab.backend import serve
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Host, Lab
from lbctl.lab.pair import VIP, Pair
from lbctl.lab.process import Process
from lbctl.lab.wait import LabError, wait_until
from lbctl.layout import RunDir
from tests.podman import IMAGE, Podman

#: What a bundle with a virtual IP needs on top of podman's default set.
CAPABILITIES = ("--cap-add=NET_ADMIN", "--cap-add=NET_RAW")
#: Nobody's service, on the virtual address of whoever has it.
SITE = """\
server {
    listen 8080;
    access_log /dev/stdout;
    return 200 "nginx of %s\\n";
}
"""

#: Of a container that does not run.
_NOWHERE = Path("/nonexistent")


class ContainerNode(Node):
    """
    The README's ``docker run`` on a host of the lab.

    The network namespace is the host's own, as with ``--net=host``; haproxy.cfg and nginx.d are
    bind mounts. Its sockets are reached through ``/proc``.

    Args:
        engine: what runs it.
        flags: options of ``podman run`` beside those.
    """

    def __init__(self, lab: Lab, host: Host, engine: Podman, *flags: str) -> None:
        super().__init__(lab, host, lbctl=())
        self.engine = engine
        self.flags = (*CAPABILITIES, *flags)
        self.container = f"lbctl-{host.ns}"

    def start(
        self,
        vip: str | None = None,
        password: str | None = None,
        *ips: str,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | str | None = None,
        haproxy_cfg: str | None = None,
    ) -> Process:
        """Start the container in place of the one before; returns when it has a process."""
        self.configure(settings=settings, haproxy_cfg=haproxy_cfg)
        mounts = [one for one in (self.config.haproxy_cfg, self.config.nginx_d) if one.exists()]
        words = [
            "run",
            "--replace",
            f"--name={self.container}",
            f"--hostname={self.name}",
            f"--network=ns:/run/netns/{self.host.ns}",
            *self.flags,
            *(f"--volume={path}:/haproxy/{path.name}" for path in mounts),
            *(f"--env={name}={value}" for name, value in (env or {}).items()),
            IMAGE,
            *(one for one in (vip, password, *ips) if one is not None),
        ]
        before = self.run_dir
        log = self.host.directory / "run.log"
        self._process = Process.start(self.engine.argv(*words), log, self.engine.environ)
        wait_until(self._find, 10, f"container {self.container} runs", seen=self.text)
        assert self.run_dir != before
        return self._process

    def stop(self, timeout: float = 15.0) -> int:
        """``podman stop`` with its own limit of 10 s, and the exit code of the container."""
        self.engine.run("stop", self.container)
        return self.ended(timeout)

    def ended(self, timeout: float = 5.0) -> int:
        """
        Wait for the end of what ``podman run`` started; its exit code is the container's.

        Raises:
            LabError: it runs on.
        """
        try:
            return self.process.popen.wait(timeout)
        except subprocess.TimeoutExpired as error:
            message = f"{self.container}: runs on after {timeout:g} s: {self.text()[-2000:]}"
            raise LabError(message) from error

    def health(self) -> tuple[int, str]:
        """Exit status of the image's HEALTHCHECK as the engine runs it, and its reason."""
        status = self.engine.run("healthcheck", "run", self.container, check=False).returncode
        asked = ("inspect", "--format={{json .State.Healthcheck.Log}}", self.container)
        return status, str(json.loads(self.engine.run(*asked).stdout)[-1]["Output"])

    def exec(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in the container."""
        return self.engine.run("exec", self.container, *argv, check=check)

    def command(self, *argv: str, check: bool = True, timeout: float = 20.0) -> str:
        return self.exec("lbctl", *argv, check=check).stdout

    def kill(self, program: str, number: int = signal.SIGKILL, *, whole: bool = False) -> int:
        """Signal a program by its pid in the container, where its children have no place."""
        assert not whole
        pid = self.pid_of(program)
        self.exec("sh", "-c", f"kill -{int(number)} {pid}")
        return pid

    def remove(self) -> None:
        """The container and its volume, whatever state it is in."""
        self.engine.run("rm", "--force", "--time=0", "--volumes", self.container, check=False)
        if self._process is not None:
            self._process.popen.wait(5)

    def _find(self) -> bool:
        """Look for the first process of the container, and so for its run dir."""
        if not self.process.is_running:
            message = f"{self.container}: ended: {self.text()[-3000:]}"
            raise AssertionError(message)
        asked = ("inspect", "--format={{.State.Pid}}", self.container)
        pid = self.engine.run(*asked, check=False).stdout.strip()
        root = Path(f"/proc/{pid}/root") if pid not in ("", "0") else _NOWHERE
        if not root.is_dir() or root == self.run_dir.root.parents[1]:
            return False
        self.run_dir = RunDir(root / "run" / "lbctl")
        return True


def container_pair(lab: Lab, engine: Podman, *ips: str) -> Pair:
    """Two containers, not started, and the web servers, serving."""
    for name in ("web1", "web2"):
        serve(lab[name])
    a, b = (ContainerNode(lab, lab[name], engine) for name in ("a", "b"))
    for node in (a, b):
        node.config.nginx_d.mkdir()
        (node.config.nginx_d / "site.conf").write_text(SITE % node.name)
    return Pair(lab, a, b, lab["client"], lab["web1"], lab["web2"], VIP, ips)


def sweep(engine: Podman) -> None:
    """Remove what runs that have died left: the name holds the pid of the lab's maker."""
    said = engine.run("ps", "--all", "--format={{.Names}}").stdout
    for name in said.split():
        pid = name.removeprefix("lbctl-lb").partition("x")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists() and pid != str(os.getpid()):
            engine.run("rm", "--force", "--time=0", "--volumes", name, check=False)
