"""A real supervisord, by our own entry, with whatever programs a test wants."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lbctl.bundle.rpc import SupervisorClient
from lbctl.bundle.xmlrpc import encode_call
from lbctl.errors import SupervisorError
from lbctl.lab.local import UnixConnection
from lbctl.programs import Program, ProgramState

ROOT = Path(__file__).parents[1]
HEAD = """
[supervisord]
nodaemon=true
silent=true
minfds=9
logfile={dir}/supervisord.log
pidfile={dir}/supervisord.pid
[unix_http_server]
file={dir}/supervisor.sock
chmod=0660
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[rpcinterface:lbctl]
supervisor.rpcinterface_factory=lbctl.bundle.signals:make_rpcinterface
[rpcinterface:service]
supervisor.rpcinterface_factory=lbctl.bundle.notify:make_rpcinterface
"""


def program(name: str, command: str, **options: object) -> str:
    lines = [f"[program:{name}]", f"command={command}"]
    lines += [f"{key}={value}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Supervisord:
    """A running supervisord of ours."""

    root: Path
    process: subprocess.Popen[bytes]
    client: SupervisorClient
    began: float

    def programs(self) -> dict[str, Program]:
        return dict(asyncio.run(self.client.states()))

    def answers(self) -> bool:
        try:
            return bool(self.programs())
        except SupervisorError:
            return False

    def restart(self) -> None:
        """Ask for everything to be stopped and started anew."""
        connection = UnixConnection(self.root / "supervisor.sock", 2.0)
        head = {"Content-Type": "text/xml"}
        connection.request("POST", "/RPC2", encode_call("supervisor.restart"), head)
        assert connection.getresponse().status == 200
        connection.close()

    def until(self, name: str, claim: Callable[[Program], bool], within_s: float = 4.0) -> float:
        """Wait until the program is as claimed; return the monotonic time."""
        deadline = time.monotonic() + within_s
        while True:
            seen = self.programs()[name]
            if claim(seen):
                return time.monotonic()
            assert time.monotonic() < deadline, f"not in time: {seen}"
            time.sleep(0.005)


@contextmanager
def running(
    root: Path, *sections: str, env: Mapping[str, str] | None = None, is_asked: bool = True
) -> Iterator[Supervisord]:
    """*is_asked* False: nobody has spoken to it yet, since each question wakes it."""
    conf = root / "supervisord.conf"
    user = f"user={os.getuid()}\n" if os.getuid() == 0 else ""
    head = HEAD.format(dir=root).replace("minfds", f"{user}minfds")
    conf.write_text(head + "\n".join(sections))
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "lbctl.bundle.supervisord", "-c", str(conf)],
        stdin=subprocess.DEVNULL,
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath, **(env or {})},
    )
    client = SupervisorClient(root / "supervisor.sock")
    try:
        supervisord = Supervisord(root, process, client, began)
        while is_asked and not supervisord.answers():
            assert process.poll() is None, (root / "supervisord.log").read_text()
            time.sleep(0.005)
        yield supervisord
    finally:
        process.terminate()
        process.wait(10)


def has_pid(seen: Program) -> bool:
    return seen.pid > 0


def differs_from(pid: int) -> Callable[[Program], bool]:
    return lambda seen: seen.pid not in (0, pid)


def runs(seen: Program) -> bool:
    return seen.state is ProgramState.RUNNING
