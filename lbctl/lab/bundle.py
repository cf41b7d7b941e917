"""A bundle on a lab host: started as an operator starts it, asked and hurt from outside."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lbctl.lab import local
from lbctl.lab.hosts import INTERFACE, Host, Lab
from lbctl.lab.process import Process
from lbctl.lab.wait import LabError, wait_until
from lbctl.layout import ConfigDir, RunDir, StateDir

LBCTL: tuple[str, ...] = (sys.executable, "-m", "lbctl")
#: Namespaces share the hostname; a host of its own has a name of its own.
_NAMED = ("unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"')


class Node:
    """
    ``lbctl run`` on a host, with directories of its own.

    Args:
        lab: what it is part of; the node's state joins the lab's dump.
        host: where it runs.
        lbctl: the command.
    """

    def __init__(self, lab: Lab, host: Host, *, lbctl: Sequence[str] = LBCTL) -> None:
        self.host = host
        self.lbctl = tuple(lbctl)
        self.config = ConfigDir(host.directory / "config")
        self.run_dir = RunDir(host.directory / "run")
        self.state_dir = StateDir(host.directory / "state")
        for directory in (self.config.root, self.run_dir.root, self.state_dir.root):
            directory.mkdir()
            directory.chmod(0o755)
        self._process: Process | None = None
        lab.dumpers.append(self.dump)

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def directories(self) -> tuple[str, ...]:
        """The options that every command takes."""
        return (
            f"--config-dir={self.config.root}",
            f"--run-dir={self.run_dir.root}",
            f"--state-dir={self.state_dir.root}",
        )

    @property
    def process(self) -> Process:
        """
        ``lbctl run``, which becomes supervisord.

        Raises:
            LabError: it was never started.
        """
        if self._process is None:
            message = f"node {self.name}: was not started"
            raise LabError(message)
        return self._process

    def configure(
        self,
        *,
        settings: Mapping[str, object] | str | None = None,
        haproxy_cfg: str | None = None,
    ) -> None:
        """Write lb.yaml and haproxy.cfg; None leaves the file as it is."""
        if settings is not None:
            # JSON is YAML.
            text = settings if isinstance(settings, str) else json.dumps(settings, indent=2)
            self.config.settings.write_text(text + "\n")
        if haproxy_cfg is not None:
            self.config.haproxy_cfg.write_text(haproxy_cfg)

    def start(
        self,
        vip: str | None = None,
        password: str | None = None,
        *ips: str,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | str | None = None,
        haproxy_cfg: str | None = None,
    ) -> Process:
        """Start the bundle and return at once; without *vip* it is a plain load balancer."""
        self.configure(settings=settings, haproxy_cfg=haproxy_cfg)
        arguments = [one for one in (vip, password, *ips) if one is not None]
        argv = [*_NAMED, self.name, *self.lbctl, "run", *self.directories, *arguments]
        self._process = self.host.spawn(argv, log="run.log", env=env)
        return self._process

    def stop(self, timeout: float = 15.0) -> int:
        """
        SIGTERM, as ``docker stop`` sends it, and wait.

        Raises:
            LabError: it did not end; it has been killed.
        """
        return self.process.stop(timeout)

    def command(self, *argv: str, check: bool = True, timeout: float = 20.0) -> str:
        """
        Run an lbctl command on this node's directories and return what it printed.

        Raises:
            LabError: *check* and it failed.
        """
        name, *rest = argv
        whole = [*_NAMED, self.name, *self.lbctl, name, *self.directories, *rest]
        return self.host.run(whole, check=check, timeout=timeout).stdout

    def status(self) -> dict[str, Any]:
        """
        ``GET /v1/status``; where the agent does not answer, what vipd says, with no programs.

        Raises:
            LabError: neither answers.
        """
        try:
            return self.agent_status()
        except LabError:
            ha = local.ask_line(self.run_dir.vipd_socket, {"op": "status"})["status"]
            return {"ha": ha, "programs": []}

    def agent_status(self) -> dict[str, Any]:
        """
        ``GET /v1/status``: commands that ask the agent have an answer from then on.

        Raises:
            LabError: it does not answer.
        """
        answer: dict[str, Any] = local.get_json(self.run_dir.api_socket, "/v1/status")
        return answer

    def role(self) -> str:
        """
        ``INIT``, ``BACKUP`` or ``MASTER``, as vipd says; empty without a virtual IP.

        Raises:
            LabError: nobody answers.
        """
        ha = self.status()["ha"]
        return str(ha["role"]) if ha else ""

    def wait_role(self, role: str, within_s: float) -> None:
        """
        Wait for a role.

        Raises:
            LabError: it did not come, or the bundle ended; with the end of its log.
        """
        self._wait(lambda: self.role() == role, within_s, f"to be {role}")

    def wait_running(self, *names: str, within_s: float = 10.0) -> None:
        """
        Wait until supervisord says that these programs run; without names: all but ucarp.
        The agent runs when it answers.

        Raises:
            LabError: they do not.
        """

        def running() -> bool:
            programs = self.programs()
            wanted = names or tuple(name for name in programs if name != "ucarp")
            if not set(wanted) <= programs.keys() or local.idle(programs).keys() & set(wanted):
                return False
            return "agent" not in wanted or bool(self.agent_status())

        self._wait(running, within_s, f"to run {', '.join(names) or 'its programs'}")

    def programs(self) -> dict[str, tuple[str, int]]:
        """
        State and pid of each program, asked of supervisord itself.

        Raises:
            LabError: it does not answer.
        """
        return local.programs(self.run_dir.supervisor_socket)

    def pid_of(self, program: str) -> int:
        """
        Pid of a program that runs.

        Raises:
            LabError: it does not run, or there is no such program.
        """
        _, pid = self.programs().get(program, ("", 0))
        if not pid:
            message = f"node {self.name}: {program} does not run: {self.programs()}"
            raise LabError(message)
        return pid

    def kill(self, program: str, number: int = signal.SIGKILL, *, whole: bool = False) -> int:
        """
        Send a signal to a program (with *whole* to its children too); returns its pid.

        Raises:
            LabError: it does not run.
        """
        pid = self.pid_of(program)
        for one in (pid, *(children_of(pid) if whole else ())):
            try:
                os.kill(one, number)
            except ProcessLookupError:
                continue
        return pid

    def addresses(self) -> tuple[str, ...]:
        """Addresses on the host's interface, with prefix: ``10.0.1.201/32``."""
        said = self.host.run(["ip", "-j", "addr", "show", "dev", INTERFACE]).stdout
        return tuple(
            f"{one['local']}/{one['prefixlen']}"
            for link in json.loads(said)
            for one in link["addr_info"]
        )

    def holds(self, address: str) -> bool:
        """Whether the address, without prefix, is on the host's interface."""
        return any(one.partition("/")[0] == address for one in self.addresses())

    def text(self) -> str:
        """What the bundle has said so far, over all its lives."""
        log = self.host.directory / "run.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def dump(self) -> str:
        """Log, status, rendered files, processes: what helps to understand a failure."""
        parts = [f"=== node {self.name}", "--- log", self.text()[-20_000:]]
        try:
            parts += ["--- status", json.dumps(self.status(), indent=1)]
        except LabError as error:
            parts += ["--- status", str(error)]
        for path in self._rendered():
            parts += [f"--- {path}", path.read_text(errors="replace")[-8_000:]]
        pids = self.host.run(["ip", "netns", "pids", self.host.ns], check=False).stdout.split()
        if pids:
            argv = ["ps", "-o", "pid,ppid,user,stat,args", "-p", ",".join(pids)]
            parts += ["--- processes", self.host.run(argv, check=False).stdout]
        return "\n".join(parts)

    def _rendered(self) -> list[Path]:
        run = self.run_dir
        configured = (run.haproxy, run.nginx)
        found = [path for where in configured for path in sorted(where.glob("*.c*f*"))]
        candidates = [self.config.settings, *found, run.role, run.spec, run.ucarp_launch]
        candidates += [run.supervisord_conf, run.supervisord_log]
        return [path for path in candidates if path.is_file()]

    def _wait(self, claim: Any, within_s: float, what: str) -> None:
        def alive_and_true() -> bool:
            if not self.process.is_running:
                return True
            return bool(claim())

        what = f"node {self.name} {what}"
        wait_until(alive_and_true, within_s, what, seen=self._seen)
        if not self.process.is_running:
            status = self.process.popen.returncode
            message = f"{what}: it ended with exit status {status}:\n{self.text()[-3000:]}"
            raise LabError(message)

    def _seen(self) -> str:
        try:
            last = json.dumps(self.status())
        except LabError as error:
            last = str(error)
        return f"{last}\n{self.text()[-3000:]}"


def children_of(pid: int) -> list[int]:
    """Children of a process and theirs, nearest first; empty when it is gone."""
    try:
        said = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    children = [int(one) for one in said.split()]
    return children + [grand for child in children for grand in children_of(child)]
