"""
``lbctl run`` as an operator starts it, in directories of its own: here or on a lab host.

:class:`Bundle` starts one, refuses to hide anything it left, and ends it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lbctl.lab import local
from lbctl.lab.bundle import children_of
from lbctl.lab.hosts import Host
from lbctl.lab.wait import LabError, wait_until
from lbctl.layout import ConfigDir, RunDir, StateDir

LBCTL = (sys.executable, "-m", "lbctl")

#: supervisord starts a killed program again within this.
RESTART_S = 1.0
#: A worker of HAProxy ends when it finds its master gone, or is ended.
STRAYS_S = 3.0

#: Variables of the machine that would change what is started.
_OWN_VARIABLES = ("DEV", "VHID", "IPS")


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A start that ended by itself.

    Attributes:
        status: exit code.
        said: standard error.
        printed: standard output.
    """

    status: int
    said: str
    printed: str
    took_s: float

    def names(self, *words: str) -> bool:
        """Whether the message holds each of these; said, when it does not, by the assertion."""
        missing = [word for word in words if word not in self.said]
        assert not missing, f"{missing} not in: {self.said}"
        return True


class Bundle:
    """
    Three directories, and ``lbctl run`` on them.

    Args:
        root: its directory; anybody must be able to enter it.
        host: where it runs; None: here, without a virtual IP.
        wrapper: what comes before ``lbctl run`` (``setpriv ...``).
        environ: added to the environment.
    """

    def __init__(
        self,
        root: Path,
        host: Host | None = None,
        *,
        wrapper: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.host = host
        self.wrapper = tuple(wrapper)
        self.environ = dict(environ or {})
        self.root = root
        self.config = ConfigDir(root / "config")
        self.run = RunDir(root / "run")
        self.state = StateDir(root / "state")
        self.process: subprocess.Popen[bytes] | None = None
        for directory in (self.config.root, self.run.root, self.state.root):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o755)

    def configure(
        self,
        settings: Mapping[str, object] | str | None = None,
        *,
        haproxy_cfg: str | None = None,
    ) -> None:
        """Write lb.yaml and haproxy.cfg; None leaves the file as it is."""
        if settings is not None:
            text = settings if isinstance(settings, str) else json.dumps(settings, indent=2) + "\n"
            self.config.settings.write_text(text)
        if haproxy_cfg is not None:
            self.config.haproxy_cfg.write_text(haproxy_cfg)

    @property
    def directories(self) -> tuple[str, ...]:
        return (
            f"--config-dir={self.config.root}",
            f"--run-dir={self.run.root}",
            f"--state-dir={self.state.root}",
        )

    def start(
        self,
        *arguments: str,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start it, by default with its output in ``out`` and ``err`` under the root."""
        with (self.root / "out").open("ab") as out, (self.root / "err").open("ab") as err:
            self.process = subprocess.Popen(
                self.run_argv(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=err if stderr is None else stderr,
                start_new_session=True,
                env=self.whole_environ(),
            )
        return self.process

    def refusal(self, *arguments: str, within_s: float = 8.0) -> Refusal:
        """
        Start it and see it refuse, with nothing half-started behind it.

        Raises:
            AssertionError: it went on, or left something.
        """
        for name in ("out", "err"):
            (self.root / name).unlink(missing_ok=True)
        before = self._network()
        began = time.monotonic()
        process = self.start(*arguments)
        try:
            status = process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.end()
            message = f"not refused within {within_s} s: {self.text()}"
            raise AssertionError(message) from None
        took_s = time.monotonic() - began
        left = members_of(process.pid)
        self._end_session()

        assert left == {}, f"processes left behind: {left}"
        assert not list(self._sockets()), "a socket is left behind"
        assert not self.held_locks(), "a lock is kept"
        assert self._network() == before, "addresses or listeners changed"
        return Refusal(status, self._read("err"), self._read("out"), took_s)

    def wait_up(self, within_s: float = 10.0, *, but: Sequence[str] = ("ucarp",)) -> None:
        """
        Wait until every program runs, and the agent answers and knows it too.

        Raises:
            LabError: not within the bound, or it ended.
        """

        def is_up() -> bool:
            if self.process is not None and self.process.poll() is not None:
                return True
            programs = self.programs()
            if not programs or local.idle(programs).keys() - set(but):
                return False
            said = local.get_json(self.run.api_socket, "/v1/status")["programs"]
            told = {one["name"]: (one["state"], one["pid"]) for one in said}
            return all(told.get(name) == one for name, one in programs.items() if name not in but)

        wait_until(is_up, within_s, "all programs to run", seen=self._seen)
        if self.process is not None and self.process.poll() is not None:
            message = f"ended with {self.process.returncode}: {self.text()}"
            raise LabError(message)

    def programs(self) -> dict[str, tuple[str, int]]:
        """State and pid of each program; LabError: supervisord does not answer."""
        return local.programs(self.run.supervisor_socket)

    def pid_of(self, program: str) -> int:
        return self.programs()[program][1]

    def role(self) -> str:
        """INIT, BACKUP or MASTER, as vipd says; LabError: it does not answer."""
        return str(local.ask_line(self.run.vipd_socket, {"op": "status"})["status"]["role"])

    def kill_and_wait_restart(self, program: str, within_s: float) -> float:
        """
        Kill a program, and see another process in its place and nothing left of the old one.

        Returns:
            Seconds until supervisord had started it.
        """
        began = time.monotonic()
        before = self.pid_of(program)
        os.kill(before, signal.SIGKILL)

        def is_new() -> bool:
            state, pid = self.programs()[program]
            return state in ("STARTING", "RUNNING") and pid not in (0, before)

        wait_until(is_new, within_s, f"{program} to be started again", seen=self._seen)
        took_s = time.monotonic() - began
        wait_until(
            lambda: not self.strays(), STRAYS_S, f"strays of {program} to end", seen=self.strays
        )
        return took_s

    def recovers(self, port: int, *, tls: bool = False) -> str:
        """Kill programs, see them started again and serve; how long that took, in words."""
        names = ("nginx", "haproxy-01")
        took = {name: self.kill_and_wait_restart(name, RESTART_S) for name in names}
        self.wait_answer(port, tls=tls, within_s=2)
        self.wait_up(within_s=5)
        return ", ".join(f"{name} back in {s * 1000:.0f} ms" for name, s in took.items())

    def strays(self) -> dict[int, str]:
        """Processes of the bundle that do not descend from supervisord any more, by pid."""
        assert self.process is not None
        pid = self.process.pid
        known = {pid, *children_of(pid)}
        return {one: words for one, words in members_of(pid).items() if one not in known}

    def get(
        self, port: int, path: str = "/", *, tls: bool = False, address: str = "127.0.0.1"
    ) -> str:
        """Head and body of an answer, as curl on the bundle's host gets it; empty: none."""
        scheme = "https" if tls else "http"
        argv = ["curl", "-sik", "--max-time", "2", f"{scheme}://{address}:{port}{path}"]
        whole = argv if self.host is None else self.host.argv(argv)
        return subprocess.run(whole, capture_output=True, text=True, timeout=10).stdout

    def wait_answer(
        self,
        port: int,
        path: str = "/",
        *,
        tls: bool = False,
        address: str = "127.0.0.1",
        within_s: float = 5.0,
    ) -> str:
        """The first answer with status 200."""

        def answer() -> str:
            said = self.get(port, path, tls=tls, address=address)
            return said if " 200" in said.partition("\n")[0] else ""

        return wait_until(answer, within_s, f"an answer from port {port}", seen=self._seen)

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another lbctl command on the same directories, as the same user."""
        return subprocess.run(
            self._argv(name, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            env=self.whole_environ(),
        )

    def stop(self, within_s: float = 10.0) -> tuple[int, float]:
        """
        SIGTERM.

        Returns:
            Exit code, and the seconds until nothing of it was left.
        """
        assert self.process is not None
        process = self.process
        began = time.monotonic()
        process.terminate()
        try:
            status = process.wait(within_s)
            wait_until(
                lambda: not members_of(process.pid),
                1.0,
                "the last process to end",
                seen=lambda: members_of(process.pid),
            )
        finally:
            self.end()
        return status, time.monotonic() - began

    def end(self) -> None:
        """Kill what is left, whatever the test came to."""
        if self.process is not None:
            self._end_session()
            self.process.wait(10)

    def text(self) -> str:
        """Everything it has said."""
        return f"{self._read('err')}\n{self._read('out')}"

    def held_locks(self) -> list[Path]:
        """Lock files of its directories that somebody holds."""
        return [path for path in (self.run.lock, self.state.lock) if _is_held(path)]

    def _argv(self, name: str, *arguments: str) -> list[str]:
        argv = [*self.wrapper, *LBCTL, name, *self.directories, *arguments]
        return argv if self.host is None else self.host.argv(argv)

    def run_argv(self, *arguments: str) -> list[str]:
        return self._argv("run", *arguments)

    def whole_environ(self) -> dict[str, str]:
        """The machine's environment without what would configure lbctl, and the bundle's own."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in _OWN_VARIABLES and not name.startswith("LBCTL_")
        }
        return {**kept, **self.environ}

    def _network(self) -> list[str]:
        """Addresses and listening sockets of its host; without one, nothing: others live here."""
        if self.host is None:
            return []
        said = self.host.run(["ip", "-br", "addr"]).stdout, self.host.run(["ss", "-Hlntp"]).stdout
        return sorted(line for part in said for line in part.splitlines())

    def _sockets(self) -> Iterator[Path]:
        if self.run.root.is_dir():
            yield from (path for path in self.run.root.rglob("*") if path.is_socket())

    def _end_session(self) -> None:
        assert self.process is not None
        for _ in range(50):
            left = members_of(self.process.pid)
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.process.poll()
            time.sleep(0.02)

    def _read(self, name: str) -> str:
        path = self.root / name
        return path.read_text(errors="replace") if path.exists() else ""

    def _seen(self) -> str:
        log = self.run.supervisord_log
        more = log.read_text(errors="replace") if log.exists() else ""
        return f"{self.text()[-3000:]}\n{more[-3000:]}"


def members_of(session: int) -> dict[int, str]:
    """Live processes of a session, which supervisord's programs do not leave, by pid."""
    found = {}
    for entry in Path("/proc").glob("[1-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return found


def status_of(bundle: Bundle) -> dict[str, Any]:
    """What ``lbctl status --json`` prints."""
    done = bundle.command("status", "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _is_held(path: Path) -> bool:
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
