"""Looks at real listeners through a real HAProxy, and at real programs."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.agent.looks import BODY_BYTES, OUTPUT_BYTES, Looker
from lbctl.ha.checks import Look
from lbctl.ha.ucarp import children, process_facts
from lbctl.spec import CheckSpec
from tests.two_processes import free_port, wait_until

pytestmark = pytest.mark.contract

#: What a look may take beyond its time limit on a busy machine, seconds; one without a limit would
#: take ten.
MARGIN_S = 2.0

_CFG = """\
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string named if {{ hdr(host) -i shop }}
    http-request redirect location https://elsewhere/ if {{ path /moved }}
    http-request return status 204 if {{ path /empty }}
    default_backend nobody
backend nobody
"""


def http(url: str, **different: object) -> CheckSpec:
    spec = CheckSpec("c", "http", url, timeout_s=1.0)
    return replace(spec, **different)  # type: ignore[arg-type]


def tcp(target: str) -> CheckSpec:
    return CheckSpec("c", "tcp", target, timeout_s=0.3)


def program(*argv: str, timeout_s: float = 2.0) -> CheckSpec:
    return CheckSpec("c", "command", argv=argv, timeout_s=timeout_s)


def shell(script: str, timeout_s: float = 2.0) -> CheckSpec:
    return program("/bin/sh", "-c", script, timeout_s=timeout_s)


def looked(check: CheckSpec) -> Look:
    """One look, within its limit."""

    async def look() -> Look:
        looker = Looker({"LBCTL_NODE": "n1"})
        try:
            return await looker.look(check)
        finally:
            await looker.close()

    began = time.monotonic()
    found = asyncio.run(look())
    assert time.monotonic() - began < check.timeout_s + MARGIN_S
    return found


@pytest.fixture(scope="module", name="web")
def _web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    cfg = tmp_path_factory.mktemp("web") / "haproxy.cfg"
    cfg.write_text(_CFG.format(port=port))
    with subprocess.Popen(["haproxy", "-db", "-q", "-f", str(cfg)]) as haproxy:
        wait_until(lambda: accepts(port), "HAProxy listens")
        yield f"http://127.0.0.1:{port}"
        haproxy.kill()


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def listener(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """Accepts one connection, reads a request and has *serve* answer it."""

    def live() -> None:
        with suppress(OSError):
            client, _ = server.accept()
            with client:
                client.recv(4096)
                serve(client)
                is_over.wait(10)

    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=live)
        thread.start()
        yield server.getsockname()[1]
        is_over.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_an_expected_status_is_well(web: str) -> None:
    check = http(f"{web}/", headers=(("Host", "shop"),))

    assert looked(check) == Look(True, f"HTTP 200 from {web}/")


def test_another_status_is_a_failure_with_its_number(web: str) -> None:
    assert looked(http(f"{web}/")) == Look(False, f"HTTP 503 from {web}/")


def test_a_redirect_is_an_answer_and_not_followed(web: str) -> None:
    assert looked(http(f"{web}/moved")) == Look(True, f"HTTP 302 from {web}/moved")
    assert looked(http(f"{web}/moved", expect=(200, 299))).is_well is False


def test_an_answer_without_a_body_is_one(web: str) -> None:
    assert looked(http(f"{web}/empty", expect=(204, 204))).is_well


def test_nobody_listening_is_said_in_plain_words() -> None:
    port = free_port()
    wanted = Look(False, f"http://127.0.0.1:{port}/: Connection refused")

    assert looked(http(f"http://127.0.0.1:{port}/")) == wanted


def test_a_name_that_nobody_knows_is_a_failure() -> None:
    look = looked(http("http://nobody.invalid/", timeout_s=10.0))

    assert look.is_well is False
    assert look.what.startswith("http://nobody.invalid/: ")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"]
)
def test_whoever_accepts_and_hangs_has_not_answered(answer: bytes) -> None:
    with listener(lambda client: client.sendall(answer)) as port:
        url = f"http://127.0.0.1:{port}/"
        look = looked(http(url, timeout_s=0.3))

    assert look == Look(False, f"{url}: no answer in 0.3 s")


def test_what_is_not_http_is_a_failure() -> None:
    with listener(lambda client: client.sendall(b"220 mail ESMTP\r\n\r\n")) as port:
        look = looked(http(f"http://127.0.0.1:{port}/"))

    assert look.is_well is False
    assert "\n" not in look.what


def test_a_body_without_end_is_read_so_far_and_no_further() -> None:
    sent = bytearray()

    def pour(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(OSError):
            while len(sent) < 200 * BODY_BYTES:
                sent.extend(b"x" * client.send(b"x" * 65536))

    with listener(pour) as port:
        look = looked(http(f"http://127.0.0.1:{port}/"))

    assert look.is_well
    assert len(sent) < 200 * BODY_BYTES


def test_proxies_of_the_environment_are_left_alone(
    web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    assert looked(http(f"{web}/", headers=(("Host", "shop"),))).is_well


def test_a_port_that_accepts_is_well(web: str) -> None:
    target = web.removeprefix("http://")

    assert looked(tcp(target)) == Look(True, f"{target} accepts")


def test_a_port_that_refuses_is_a_failure() -> None:
    target = f"127.0.0.1:{free_port()}"

    assert looked(tcp(target)) == Look(False, f"{target}: Connection refused")


def test_a_port_on_ipv6_is_asked_in_brackets() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert looked(tcp(f"[::1]:{server.getsockname()[1]}")).is_well


def test_a_full_backlog_is_no_answer() -> None:
    """A listener that accepts nobody, and whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}"
        with socket.create_connection(server.getsockname()):
            assert looked(tcp(target)) == Look(False, f"{target}: no answer in 0.3 s")


def test_a_program_that_ends_with_0_is_well() -> None:
    assert looked(program("/bin/true")) == Look(True, "/bin/true: exit 0")


def test_another_exit_code_is_a_failure_with_the_first_line_as_its_reason() -> None:
    look = looked(shell("echo; echo 'disk full' >&2; echo more; exit 3"))

    assert look == Look(False, "/bin/sh: exit 3: disk full")


def test_a_program_that_is_not_there_is_a_failure() -> None:
    look = looked(program("/nonexistent/probe"))

    assert look.is_well is False
    assert "/nonexistent/probe" in look.what
    assert "No such file or directory" in look.what


def test_a_program_that_a_signal_ends_is_a_failure() -> None:
    assert looked(shell("kill -SEGV $$")) == Look(False, "/bin/sh: ended by SIGSEGV")


def test_a_program_that_takes_too_long_is_killed_with_all_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 60 & echo $$ $! >{pids}; wait"

    look = looked(shell(script, timeout_s=0.5))

    assert look == Look(False, "/bin/sh: killed: took longer than 0.5 s")
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: not lives(pid), f"{pid} is gone")  # type: ignore[misc]


def test_what_a_program_leaves_in_the_background_is_ended_and_not_waited_for(
    tmp_path: Path,
) -> None:
    pids = tmp_path / "pids"

    assert looked(shell(f"sleep 60 & echo $! >{pids}")).is_well

    wait_until(lambda: not lives(int(pids.read_text())), "it is gone")


def test_a_program_that_says_too_much_is_neither_held_up_nor_kept() -> None:
    look = looked(shell(f"echo first; head -c {50 * OUTPUT_BYTES} /dev/zero; exit 1"))

    assert look == Look(False, "/bin/sh: exit 1: first")


def test_a_program_is_told_little() -> None:
    """No secret of the agent's environment, nothing on stdin."""
    look = looked(shell("echo $(env | cut -d= -f1 | sort) $(cat); exit 1"))

    named = set(look.what.removeprefix("/bin/sh: exit 1: ").split())
    assert {"PATH", "HOME", "LBCTL_CHECK", "LBCTL_NODE"} <= named
    assert named <= {
        *("PATH", "HOME", "LBCTL_CHECK", "LBCTL_NODE", "LANG", "LC_ALL", "TZ"),
        *("PWD", "OLDPWD", "_", "SHLVL"),
    }


def test_a_program_ends_with_the_agent_even_if_that_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"echo $$ >{pids}; exec sleep 60"
    code = (
        "import asyncio; from lbctl.agent import command; asyncio.run(command.run("
        f"['/bin/sh', '-c', {script!r}], {{}}, limit_s=60, keep_bytes=10))"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as agent:
        wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), "it runs")
        agent.kill()

    wait_until(lambda: not lives(int(pids.read_text())), "it is gone")


def test_a_hundred_looks_leave_no_descriptor_and_no_zombie() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def look_often() -> tuple[int, int]:
        looker = Looker({})
        counts = []
        port = free_port()
        for _ in range(2):
            for _ in range(25):
                await looker.look(shell("exit 1"))
                await looker.look(tcp(f"127.0.0.1:{port}"))
                await looker.look(http(f"http://127.0.0.1:{port}/"))
            counts.append(descriptors())
        await looker.close()
        return counts[0], counts[1]

    first, second = asyncio.run(look_often())

    assert second <= first
    facts = [process_facts(pid) for pid in children(os.getpid())]
    assert not [fact for fact in facts if fact is not None and fact.is_dead]


def lives(pid: int) -> bool:
    """A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_look_that_finds_no_descriptors_has_no_opinion() -> None:
    code = (
        "import asyncio, resource, sys; from tests.contract import test_health_checks as t;"
        "from lbctl.agent.looks import Looker\n"
        "async def live():\n"
        "    looker = Looker({})\n"
        "    await looker.look(t.tcp('127.0.0.1:1'))\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "    return [(await looker.look(c)).is_well for c in (t.tcp('127.0.0.1:1'),"
        " t.http('http://127.0.0.1:1/'), t.shell('exit 0'))]\n"
        "print(asyncio.run(live()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)

    assert done.stdout.strip() == "[None, None, None]", done.stderr


#: Stops the agent that looks, for longer than its limit; the program itself never ends in time.
_STOPS_ITS_PARENT = "kill -STOP $PPID; sleep 1.5; kill -CONT $PPID; exec sleep 60"


def test_an_agent_that_was_held_up_has_no_opinion() -> None:
    """Stopped while it looks, by what it looks at: nobody knows what it would have found."""
    code = (
        "import asyncio; from tests.contract import test_health_checks as t;"
        "from lbctl.agent.looks import Looker\n"
        "look = Looker({}).look(t.shell(t._STOPS_ITS_PARENT, timeout_s=1.0))\n"
        "print(asyncio.run(look).is_well)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)

    assert done.stdout == "None\n", done.stderr
