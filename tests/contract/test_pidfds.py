"""Deaths by pidfd, of real processes and of a real HAProxy with its worker."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from lbctl.ha.pidfds import RELOAD_GAP_S, ProcessWatch
from lbctl.ha.ucarp import children, process_facts
from tests.deaths import Deaths, watched
from tests.pairs import Tell
from tests.two_processes import free_port
from tests.two_processes import wait_until as wait_sync

pytestmark = pytest.mark.contract

#: From the kill to the callback, median, seconds; 0.1 ms on an idle machine, 3 ms beside four busy
#: loops. Whoever asked once a second would take half of one.
TOLD_WITHIN_S = 0.05

_CFG = """\
global
    stats socket {root}/api.sock mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string served
"""


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            yield process
        finally:
            process.kill()


class Haproxy:
    """A master with a worker, as the bundle runs it."""

    def __init__(self, root: Path) -> None:
        self.port = free_port()
        self._master = str(root / "master.sock")
        cfg = root / "haproxy.cfg"
        cfg.write_text(_CFG.format(root=root, port=self.port))
        self.process = subprocess.Popen(
            ["haproxy", "-W", "-db", "-q", "-S", self._master, "-f", str(cfg)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def workers(self) -> list[int]:
        """Those that live, oldest first."""
        facts = {pid: process_facts(pid) for pid in children(self.pid)}
        return [pid for pid, fact in facts.items() if fact is not None and not fact.is_dead]

    def has_replaced(self, old: int) -> bool:
        """Its one worker is another one."""
        workers = self.workers()
        return len(workers) == 1 and old not in workers

    def serves(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return client.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def takes_signals(self) -> bool:
        """A master that answers has come to the point where it reads them."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self._master)
                client.sendall(b"show proc\n")
                return b"worker" in client.recv(4096)
        except OSError:
            return False

    async def reload(self, until: Callable[[], bool]) -> None:
        await until_true(self.takes_signals)
        os.kill(self.pid, signal.SIGUSR2)
        await until_true(until)

    def end(self) -> None:
        for pid in (*self.workers(), self.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


async def until_true(claim: Callable[[], bool]) -> None:
    """Within 5 s, with the loop running all the while."""
    await asyncio.to_thread(wait_sync, claim, "HAProxy's workers are as expected")


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Haproxy]:
    running = Haproxy(tmp_path)
    try:
        wait_sync(lambda: running.serves() and running.takes_signals(), "HAProxy serves")
        yield running
    finally:
        running.end()


def test_a_killed_process_is_told_of_at_once(tell: Tell) -> None:
    took_s = []

    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        for number in range(20):
            with sleeper() as process:
                watch.follow("nginx", process.pid)
                killed_ns = time.monotonic_ns()
                process.kill()
                await deaths.wait(number + 1)
                assert deaths.told[-1] == ("nginx", process.pid)
                took_s.append((deaths.at_ns[-1] - killed_ns) / 1e9)

    watched(use)

    median_s = statistics.median(took_s)
    tell(f"a death by pidfd: median {median_s * 1e3:.2f} ms, worst {max(took_s) * 1e3:.2f} ms")
    assert median_s < TOLD_WITHIN_S


def test_a_process_that_is_gone_already_is_told_of_and_not_from_inside_the_call() -> None:
    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        with sleeper() as process:
            process.kill()
        watch.follow("nginx", process.pid)
        assert not deaths.told

        await deaths.wait(1)

        assert deaths.told == [("nginx", process.pid)]

    watched(use)


def test_a_zombie_is_told_of() -> None:
    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        with sleeper() as process:
            os.kill(process.pid, signal.SIGKILL)
            watch.follow("nginx", process.pid)

            await deaths.wait(1)

    watched(use)


def test_a_program_that_is_followed_no_more_dies_unnoticed() -> None:
    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        with sleeper() as old, sleeper() as new, sleeper() as other:
            watch.follow("nginx", old.pid)
            watch.follow("nginx", new.pid)
            watch.follow("agent", other.pid)
            watch.follow("agent", 0)
            old.kill()
            other.kill()
            new.kill()

            await deaths.wait(1)

            assert deaths.told == [("nginx", new.pid)]

    watched(use)


def test_following_the_same_process_again_tells_of_its_death_once() -> None:
    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        with sleeper() as process, sleeper() as last:
            watch.follow("nginx", process.pid)
            process.kill()
            await deaths.wait(1)
            watch.follow("nginx", process.pid)
            watch.refresh()
            watch.follow("last", last.pid)
            last.kill()
            await deaths.wait(2)

            assert deaths.told == [("nginx", process.pid), ("last", last.pid)]

    watched(use)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_watch_that_was_closed_leaves_no_descriptor() -> None:
    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        before = _descriptors()
        with sleeper() as process:
            for _ in range(20):
                watch.follow("nginx", process.pid)
                watch.follow("nginx", 0)
            watch.follow("nginx", process.pid)
            watch.close()
        assert _descriptors() == before
        assert not deaths.told

    watched(use)


def test_a_killed_worker_of_haproxy_is_a_death(haproxy: Haproxy) -> None:
    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        watch.follow("haproxy-01", haproxy.pid)
        (worker,) = haproxy.workers()
        os.kill(haproxy.pid, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)

        await deaths.wait(1)

        assert deaths.told == [("haproxy-01", worker)]
        os.kill(haproxy.pid, signal.SIGCONT)
        await deaths.wait(2)
        assert deaths.told[1] == ("haproxy-01", haproxy.pid)

    watched(use)


def test_a_killed_master_of_haproxy_is_a_death(haproxy: Haproxy) -> None:
    """Its worker notices, and ends too."""

    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        watch.follow("haproxy-01", haproxy.pid)
        os.kill(haproxy.pid, signal.SIGKILL)

        await deaths.wait(1)

        await until_true(lambda: ("haproxy-01", haproxy.pid) in deaths.told)

    watched(use)


@pytest.mark.parametrize("refreshes", [True, False])
def test_a_reload_of_haproxy_is_no_death(haproxy: Haproxy, refreshes: bool) -> None:
    """Nor when nobody has looked for the new worker before the old one ended."""

    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        watch.follow("haproxy-01", haproxy.pid)
        for _ in range(3):
            (old,) = haproxy.workers()
            await haproxy.reload(partial(haproxy.has_replaced, old))
            if refreshes:
                watch.refresh()
        assert not deaths.told

        (worker,) = haproxy.workers()
        os.kill(worker, signal.SIGKILL)
        await deaths.wait(1)
        assert deaths.told[0][0] == "haproxy-01"

    watched(use)


#: As HAProxy reloads on a busy host: told to, its worker is gone before there is another one.
_SLOW_RELOAD = "{worker} 60 & read word; kill $!; wait; sleep 0.2; {worker} 60 & wait"


@contextmanager
def slow_reloader(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A shell and sleeps that go by HAProxy's name."""
    for name, program in (("master", "sh"), ("worker", "sleep")):
        (root / name).mkdir()
        shutil.copy(shutil.which(program) or program, root / name / "haproxy")
    script = _SLOW_RELOAD.format(worker=root / "worker/haproxy")
    argv = [str(root / "master/haproxy"), "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as master:
        try:
            yield master
        finally:
            for pid in (*children(master.pid), master.pid):
                os.kill(pid, signal.SIGKILL)


def test_a_worker_that_is_gone_before_there_is_a_new_one_is_no_death(tmp_path: Path) -> None:
    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        with slow_reloader(tmp_path) as master:
            assert master.stdin is not None
            await until_true(lambda: is_worker(children(master.pid)))
            (old,) = children(master.pid)
            watch.follow("haproxy-01", master.pid)
            master.stdin.write(b"reload\n")
            master.stdin.flush()
            await until_true(lambda: old not in children(master.pid))
            await until_true(lambda: is_worker(children(master.pid)))
            (new,) = children(master.pid)
            await asyncio.sleep(2 * RELOAD_GAP_S)
            assert not deaths.told

            # The new one is watched, though nobody has said that it is there.
            os.kill(master.pid, signal.SIGSTOP)
            os.kill(new, signal.SIGKILL)
            await deaths.wait(1)
            assert deaths.told == [("haproxy-01", new)]

    watched(use)


def is_worker(pids: tuple[int, ...]) -> bool:
    """One child, which goes by HAProxy's name already."""
    return len(pids) == 1 and Path(f"/proc/{pids[0]}/cmdline").read_text().endswith("\x0060\x00")


def test_a_crash_that_takes_the_master_along_is_told_of_at_once(haproxy: Haproxy) -> None:
    """Before the time in which a reload would have brought another worker."""

    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        watch.follow("haproxy-01", haproxy.pid)
        (worker,) = haproxy.workers()
        killed_ns = time.monotonic_ns()
        os.kill(worker, signal.SIGKILL)

        await deaths.wait(1)

        assert deaths.told == [("haproxy-01", haproxy.pid)]
        assert (deaths.at_ns[0] - killed_ns) / 1e9 < RELOAD_GAP_S
        await asyncio.sleep(2 * RELOAD_GAP_S)
        assert len(deaths.told) == 1

    watched(use)


def test_a_worker_that_still_serves_old_clients_may_end_after_a_reload(haproxy: Haproxy) -> None:
    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        watch.follow("haproxy-01", haproxy.pid)
        (old,) = haproxy.workers()
        with socket.create_connection(("127.0.0.1", haproxy.port)) as client:
            client.sendall(b"GET /")
            await haproxy.reload(lambda: len(haproxy.workers()) == 2)
            watch.refresh()
            client.sendall(b" HTTP/1.0\r\n\r\n")
            await until_true(lambda: old not in haproxy.workers())
        watch.refresh()

        assert not deaths.told

    watched(use)


@contextmanager
def shell_with_child() -> Iterator[tuple[int, int]]:
    with subprocess.Popen(["sh", "-c", "sleep 60; exec sleep 60"]) as shell:
        wait_sync(lambda: bool(children(shell.pid)), "a child")
        yield shell.pid, children(shell.pid)[0]
        shell.kill()


def test_a_worker_of_nginx_is_its_masters_business() -> None:
    """Whatever has children and is not HAProxy: here a shell."""

    async def use(watch: ProcessWatch, deaths: Deaths) -> None:
        with shell_with_child() as (shell, child), sleeper() as last:
            watch.follow("nginx", shell)
            os.kill(child, signal.SIGKILL)
            await until_true(lambda: child not in children(shell))
            watch.follow("last", last.pid)
            last.kill()
            await deaths.wait(1)

            assert deaths.told == [("last", last.pid)]

    watched(use)
