"""
``lbctl top``, ``status --watch``, ``events -f`` and completion as somebody at a terminal has them.

The agent is real and served in this process; HAProxy and vipd are not needed for what is claimed.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lbctl.agent.agent import Agent
from lbctl.api.server import build, serve
from lbctl.cli.main import COMMANDS, main
from lbctl.lab.wait import wait_until
from tests.unit.agent.test_agent import new_agent

pytestmark = pytest.mark.contract

LIMIT_S = 15.0


class Server:
    """An agent's API in a thread of its own, which can be ended and begun again."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(ready),), daemon=True)
        self._thread.start()
        assert ready.wait(LIMIT_S)

    def stop(self) -> None:
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(LIMIT_S)
            self._thread = None

    def tell(self, kind: str, text: str) -> None:
        """An event of the agent."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.agent.note, kind, text, {})

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self.agent.run_dir.api.mkdir(exist_ok=True)
        runner = await serve(build(self.agent), self.agent.run_dir.api_socket)
        ready.set()
        await self._end.wait()
        await runner.cleanup()
        # Connections that it ended are closed by the loop, in its next turns.
        for _ in range(5):
            await asyncio.sleep(0)
        self.agent.run_dir.api_socket.unlink(missing_ok=True)


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[Server]:
    server = Server(new_agent(tmp_path, group=None))
    server.start()
    yield server
    server.stop()


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, root: Path, *words: str) -> None:
        self.root = root
        self.said = b""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            argv = [sys.executable, "-m", "lbctl", *words, f"--run-dir={root}"]
            os.execve(sys.executable, argv, {**os.environ, "TERM": "xterm"})
        self.resize(24, 80)
        self._status: int | None = None

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def kill(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)

    @property
    def attributes(self) -> list[object]:
        """Of the terminal: what must be as it was."""
        return termios.tcgetattr(self._fd)[:4]

    def frame(self) -> str:
        """The last one, without colours."""
        self._read()
        last = self.said.decode(errors="replace").rpartition("\x1b[H")[2]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last)

    def shows(self, words: str) -> None:
        wait_until(lambda: words in self.frame(), LIMIT_S, f"{words!r} on the terminal")

    def ended(self) -> int:
        """The exit status, once it has ended."""

        def has_ended() -> bool:
            self._read()
            if self._status is None:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
                self._status = os.waitstatus_to_exitcode(status) if pid else None
            return self._status is not None

        wait_until(has_ended, LIMIT_S, "it ends")
        self._read()
        return self._status if self._status is not None else -1

    def _read(self) -> None:
        while select.select([self._fd], [], [], 0.02)[0]:
            try:
                part = os.read(self._fd, 65536)
            except OSError:
                return
            if not part:
                return
            self.said += part

    def close(self) -> None:
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)


@contextmanager
def terminal(root: Path, *words: str) -> Iterator[Terminal]:
    one = Terminal(root, *words)
    try:
        yield one
    finally:
        one.close()


END = b"\x1b[?25h\x1b[?1049l"


@pytest.mark.parametrize(
    ("leave", "code"),
    [
        (lambda one: one.press("q"), 0),
        (lambda one: one.press("\x03"), 130),
        (lambda one: one.kill(signal.SIGTERM), 128 + signal.SIGTERM),
        (lambda one: one.kill(signal.SIGHUP), 128 + signal.SIGHUP),
    ],
)
def test_top_gives_the_terminal_back_whatever_ends_it(
    server: Server, leave: Callable[[Terminal], None], code: int
) -> None:
    with terminal(server.agent.run_dir.root, "top") as one:
        before = one.attributes
        one.shows("q quit")
        taken = one.attributes
        leave(one)

        assert one.ended() == code
        assert taken != before
        assert one.said.endswith(END)
        assert one.attributes == before


def test_top_follows_events_sizes_and_an_agent_that_goes_and_comes(server: Server) -> None:
    with terminal(server.agent.run_dir.root, "top") as one:
        one.shows("no virtual IP")
        server.tell("role", "this was told at once")
        one.shows("this was told at once")
        one.resize(10, 50)
        one.kill(signal.SIGWINCH)
        wait_until(lambda: len(one.frame().splitlines()) == 10, LIMIT_S, "ten lines")
        server.stop()
        one.shows("NOT LIVE: the agent ")
        server.start()
        wait_until(lambda: "NOT LIVE" not in one.frame(), LIMIT_S, "live again")
        one.press("/web")
        one.shows("filter: web_")
        one.press("\x04")

        assert one.ended() == 0


def test_a_watched_status_is_drawn_again_and_ends_with_q(server: Server) -> None:
    with terminal(server.agent.run_dir.root, "status", "--watch=0.5") as one:
        one.shows("no virtual IP")
        frames = one.said.count(b"\x1b[H")
        wait_until(
            lambda: bool(one.frame()) and one.said.count(b"\x1b[H") > frames + 1,
            LIMIT_S,
            "two more",
        )
        one.press("q")

        assert one.ended() == 0
        assert one.said.endswith(END)


def test_without_a_terminal_one_frame_can_be_had(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    root = f"--run-dir={server.agent.run_dir.root}"

    assert main(["top", root]) == 11
    assert "lbctl top --once" in capsys.readouterr().err
    assert main(["top", "--once", root]) == 0
    said = capsys.readouterr().out
    assert "no virtual IP" in said
    assert "\x1b" not in said


def test_events_are_followed_over_a_restart_of_the_agent(server: Server) -> None:
    command = [sys.executable, "-m", "lbctl", "events", "-f", "-n0", "--kind=role,program"]
    root = f"--run-dir={server.agent.run_dir.root}"
    with subprocess.Popen(
        [*command, root], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            wait_until(lambda: bool(server.agent.events._followers), LIMIT_S, "it follows")
            server.tell("role", "before")
            first = process.stdout.readline()
            server.stop()
            lost = process.stderr.readline()
            server.agent.note("command", "is of another kind", {})
            server.agent.note("program", "while nobody listened", {})
            server.start()
            back = process.stderr.readline()
            second = process.stdout.readline()
        finally:
            process.terminate()

    assert first.endswith("role      before\n")
    assert "asking again for 60 s" in lost
    assert back == "lbctl: the agent is back\n"
    assert second.endswith("program   while nobody listened\n")


# --- completion ----------------------------------------------------------------------------------

TAB = """
source "$1"
COMP_LINE=$2
COMP_POINT=${#2}
_lbctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module", name="script")
def _script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "lbctl.bash"
    made = subprocess.run(
        [sys.executable, "-m", "lbctl", "completion", "bash"], capture_output=True, check=True
    )
    path.write_bytes(made.stdout)
    return path


def tab(script: Path, line: str, run_dir: Path = Path("/nowhere")) -> list[str]:
    """What bash would offer behind *line*; nothing may be said beside."""
    environment = {**os.environ, "LBCTL_RUN_DIR": str(run_dir)}
    done = subprocess.run(
        ["bash", "--norc", "-uc", TAB, "tab", script, line],
        capture_output=True,
        text=True,
        env=environment,
        timeout=LIMIT_S,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_and_words(script: Path) -> None:
    assert tab(script, "lbctl ") == [*COMMANDS]
    assert tab(script, "lbctl st") == ["status", "stats"]
    assert tab(script, "lbctl events --k") == ["--kind"]
    assert tab(script, "lbctl server d") == ["drain"]
    assert tab(script, "lbctl demo --engine n") == ["native"]
    assert tab(script, "lbctl completion ") == ["bash", "zsh", "fish"]
    assert tab(script, "lbctl nothing ") == []


def test_bash_completes_directories_behind_an_option_that_takes_one(
    script: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "runner").touch()

    assert tab(script, f"lbctl status --run-dir {tmp_path}/r") == [f"{tmp_path}/run"]


def test_without_an_agent_no_name_is_offered_and_nothing_is_said(script: Path) -> None:
    assert tab(script, "lbctl services ") == []
    assert tab(script, "lbctl server drain he") == []


def test_every_script_has_every_command_and_is_understood(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        said = capsys.readouterr().out
        assert not [name for name in COMMANDS if not re.search(rf"\b{name}\b", said)]
        assert not re.search(r"@[A-Z]+@", said)
        if shell == "bash":
            subprocess.run(["bash", "-n"], input=said, text=True, check=True)


def test_tab_starts_no_more_than_it_needs(script: Path) -> None:
    """The words stand in the script; it is names alone that need a program, and a small one."""
    code = "import sys, lbctl.cli.names; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    began = time.monotonic()
    tab(script, "lbctl st")

    assert not {"typer", "rich", "asyncio", "http", "aiohttp", "yaml"} & {*loaded}
    assert time.monotonic() - began < 2.0
