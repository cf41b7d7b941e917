"""The tasks of a running bundle, started as its agent does: by the unprivileged user."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lbctl.bundle.rpc import SupervisorClient
from lbctl.errors import UnreachableError
from lbctl.follow.generation import Generation, Verdict, read_generation, read_verdict
from lbctl.lab.wait import wait_until
from lbctl.layout import RunDir
from lbctl.programs import ProgramState
from lbctl.spec import Task
from tests.bundles import Bundle

USER = "haproxy"
_START = """
import asyncio, sys
from pathlib import Path
from lbctl.bundle.rpc import SupervisorClient
asyncio.run(SupervisorClient(Path(sys.argv[1])).start(sys.argv[2]))
"""


_OVER = frozenset({ProgramState.STOPPED, ProgramState.EXITED, ProgramState.FATAL})
_PREFIX = ("setpriv", "--reuid", USER, "--regid", USER, "--init-groups", "--inh-caps=-all")


def as_user(*argv: str) -> subprocess.CompletedProcess[str]:
    """A command of the unprivileged user."""
    return subprocess.run([*_PREFIX, *argv], capture_output=True, text=True, timeout=20)


def python_as_user(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return as_user(sys.executable, "-c", script, *arguments)


@contextmanager
def beside(script: str, *arguments: str) -> Iterator[None]:
    """A script of the unprivileged user that runs meanwhile; it says a line when it has begun."""
    argv = [*_PREFIX, sys.executable, "-c", script, *arguments]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@dataclass(frozen=True)
class Tasks:
    """Of one bundle."""

    bundle: Bundle

    @property
    def run(self) -> RunDir:
        return self.bundle.run

    def begin(self, task: Task) -> None:
        """Start it, once the one before has ended."""
        client = SupervisorClient(self.run.supervisor_socket)

        def is_over() -> bool:
            return asyncio.run(client.states())[task].state in _OVER

        wait_until(is_over, 10, f"{task} to end")
        reply = python_as_user(_START, str(self.run.supervisor_socket), task)
        assert reply.returncode == 0, reply.stderr

    def verdict(self, task: Task = "stage") -> Verdict:
        """Start it, and wait for what it says."""
        before = self._last(task)
        self.begin(task)

        def said() -> Verdict | None:
            now = self._last(task)
            return None if now == before else now

        found = wait_until(said, 10, f"a verdict of {task}", seen=self.bundle.text)
        assert found is not None
        return found

    def generation(self) -> Generation:
        return read_generation(self.run)

    def _last(self, task: Task) -> Verdict | None:
        try:
            return read_verdict(self.run, task)
        except UnreachableError:
            return None
