"""Programs that the lab starts: each in a session of its own, what it says in a file."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM

from lbctl.lab.wait import LabError

NETNS_DIR = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class Process:
    """
    One program in a namespace.

    Attributes:
        name: for messages.
        log: its standard output and error.
    """

    name: str
    log: Path
    popen: subprocess.Popen[bytes]

    @classmethod
    def start(cls, argv: Sequence[str], log: Path, env: Mapping[str, str] | None) -> Process:
        """
        Start *argv*; the log is appended to.

        Raises:
            LabError: it cannot be started.
        """
        try:
            with log.open("ab") as output:
                popen = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=None if env is None else {**os.environ, **env},
                )
        except OSError as error:
            message = f"start {argv[0]}: {error}"
            raise LabError(message) from error
        return cls(log.stem, log, popen)

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def is_running(self) -> bool:
        return self.popen.poll() is None

    def text(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def signal(self, number: int) -> None:
        """Send a signal; one that has ended is left alone."""
        self.popen.send_signal(number)

    def stop(self, timeout: float = 3.0, number: int = SIGTERM) -> int:
        """
        Ask it to end, wait, return its exit status.

        Raises:
            LabError: it did not end within *timeout* seconds; it has been killed.
        """
        self.signal(number)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired as error:
            self.popen.kill()
            self.popen.wait()
            tail = self.text()[-500:]
            message = f"{self.name} (pid {self.pid}): ran on {timeout:g} s after a signal: {tail}"
            raise LabError(message) from error


def pids_in(namespaces: Iterable[str]) -> set[int]:
    """Processes in any of the named network namespaces (what ``ip netns pids`` prints)."""
    wanted = set()
    for name in namespaces:
        try:
            status = (NETNS_DIR / name).stat()
        except OSError:
            continue
        wanted.add((status.st_dev, status.st_ino))
    found = set()
    for entry in Path("/proc").glob("[1-9]*"):
        try:
            status = (entry / "ns/net").stat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in wanted:
            found.add(int(entry.name))
    return found


def end_all(namespaces: Sequence[str], grace_s: float) -> set[int]:
    """
    End every process in the namespaces: TERM, *grace_s* seconds, KILL until none is left.

    Returns:
        The pids that would not go within five seconds more; empty when all is well.
    """
    _signal_all(pids_in(namespaces), SIGTERM)
    killing_at = time.monotonic() + grace_s
    while left := pids_in(namespaces):
        now = time.monotonic()
        if now >= killing_at + 5:
            break
        if now >= killing_at:
            _signal_all(left, SIGKILL)
        time.sleep(0.01)
    return left


def _signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
