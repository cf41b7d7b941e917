"""Reloads of real HAProxy: 2.6, 3.0 (a master for each process) and 2.2 (nbproc)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.haproxy.master import MasterSocket, Worker, is_alive
from lbctl.haproxy.ports import taken_ports
from lbctl.haproxy.reload import Reloaded, reload_processes, workers_of
from lbctl.lab.crowd import crowd
from lbctl.render.haproxy import WORKERS_KEPT
from lbctl.settings.model import Haproxy, Stats
from tests.binaries import BINARIES, installed
from tests.haproxies import (
    WEB,
    Rendered,
    free_ports,
    get,
    rendered,
    running,
    wait_until,
)

pytestmark = pytest.mark.contract

#: Without it, HAProxy from 2.4 on ends idle kept-alive connections without a word.
ANNOUNCED = "    option idle-close-on-response\n"
#: Longer than any reload here takes, on a busy machine.
RELOAD_S = 10.0


@pytest.fixture(name="version", params=BINARIES)
def _version(request: pytest.FixtureRequest) -> str:
    version = request.param
    assert isinstance(version, str)
    return version


@pytest.fixture(name="site")
def _site(version: str, tmp_path: Path) -> Rendered:
    option = "" if version == "2.2" else ANNOUNCED
    head, frontend, rest = WEB.partition("frontend web\n")
    return rendered(installed(version), tmp_path, f"{head}{option}{frontend}{rest}")


def reload(site: Rendered, timeout_s: float = RELOAD_S) -> tuple[Reloaded, ...]:
    return asyncio.run(reload_processes(site.reloadables, timeout_s=timeout_s))


def change(site: Rendered, old: str, new: str) -> None:
    text = site.run_dir.haproxy_cfg.read_text()
    assert old in text
    site.run_dir.haproxy_cfg.write_text(text.replace(old, new))


def pids(site: Rendered) -> list[str]:
    return [site.info(process.number)["Pid"] for process in site.model.processes]


def answers(site: Rendered, times: int = 20) -> set[str]:
    """Several new connections: the processes share them."""
    return {get(site.port)[1] for _ in range(times)}


def test_a_reload_brings_every_process_to_what_the_files_say(site: Rendered) -> None:
    with running(site):
        before = pids(site)
        change(site, "string ok", "string new")
        results = reload(site)
        after = pids(site)
        served = answers(site)

    assert [(one.name, one.is_ok, one.said) for one in results] == [
        (program, True, "") for program in site.model.programs
    ]
    said = [str(w.pid) for one in results if one.workers for w in one.workers.current]
    assert said == after
    assert [one.workers.reloads for one in results if one.workers] == [1] * len(results)
    assert not {*before} & {*after}
    assert served == {"new"}


def test_who_is_another_user_may_not_ask_the_master(site: Rendered) -> None:
    with running(site):
        masters = [Path(one.master) for one in site.reloadables]

        assert [stat.S_IMODE(master.stat().st_mode) for master in masters] == [0o600] * len(masters)


def test_a_reload_in_haproxys_first_moments_is_not_lost(site: Rendered) -> None:
    masters = [site.start(program) for program in site.model.programs]
    try:
        for number in (1, 2, 3):
            results = reload(site)

            assert [one.said for one in results] == [""] * len(masters)
            assert min(one.workers.reloads for one in results if one.workers) >= number
    finally:
        end(masters)


def end(masters: Sequence[subprocess.Popen[bytes]]) -> None:
    for master in masters:
        master.send_signal(signal.SIGCONT)
        master.terminate()
    for master in masters:
        master.wait(10)


def test_no_client_loses_a_request_to_reloads(site: Rendered) -> None:
    with (
        running(site),
        crowd(site.port, new=4) as new,
        crowd(site.port, kept=50) as kept,
    ):
        for number in range(6):
            change(
                site, "daemon\n" if number == 0 else f"# {number - 1}\n", f"daemon\n# {number}\n"
            )
            assert all(one.is_ok for one in reload(site))
        opened, held = new.counted(), kept.counted()

    assert (opened.failed, held.failed, held.lost) == ({}, {}, {})
    assert opened.new > 100
    assert held.announced > 50


def test_what_cannot_be_loaded_leaves_the_old_workers_and_asks_no_other_program(
    version: str, site: Rendered
) -> None:
    with running(site), crowd(site.port, new=2) as new:
        before = pids(site)
        change(site, "string ok", "string new bogus-word")
        refused = reload(site)
        kept = pids(site)
        served = answers(site)
        change(site, "string new bogus-word", "string newer")
        mended = reload(site)
        later = answers(site)
        lost = new.counted().failed

    assert not any(one.is_ok for one in refused)
    assert "; the old workers " in refused[0].said
    assert ("'bogus-word'" in refused[0].said) == (version == "3.0"), refused[0].said
    assert all("haproxy-01 failed first" in one.said for one in refused[1:])
    assert (kept, served) == (before, {"ok"})
    assert all(one.is_ok for one in mended)
    assert later == {"newer"}
    assert lost == {}


def test_a_port_that_somebody_else_has_fails_the_reload(version: str, site: Rendered) -> None:
    with running(site) as masters, socket.create_server(("127.0.0.1", 0)) as other:
        before = pids(site)
        old = site.run_dir.haproxy_cfg.read_text()
        port = other.getsockname()[1]
        change(site, "frontend web\n", f"frontend web\n    bind 127.0.0.1:{port}\n")
        (foreseen,) = taken_ports(site.run_dir.haproxy_cfg.read_text(), old)
        refused = reload(site)

        assert f"bind 127.0.0.1:{port}: another program listens there" in foreseen.what
        assert not refused[0].is_ok
        assert pids(site) == before
        assert f"127.0.0.1:{port}" in site.log("haproxy-01")
        assert refused[0].needs_restart == (version == "2.2")
        if refused[0].needs_restart:
            site.run_dir.haproxy_cfg.write_text(old)
            end(masters)
            masters[:] = [site.start(program) for program in site.model.programs]
            wait_until(lambda: get(site.port)[1] == "ok")
        assert answers(site) == {"ok"}


@pytest.mark.parametrize("version", ["2.6"])
def test_a_master_without_descriptors_ends_and_no_other_program_is_asked(site: Rendered) -> None:
    # Root without capabilities may not raise its limit again, as the unprivileged user may not.
    powerless = ("setpriv", "--inh-caps=-all", "--bounding-set=-all", "--")
    with running(site, *powerless) as masters:
        # By then it is through with its own beginnings, which would end it too.
        assert all(one.is_ok for one in reload(site))
        orphan = int(pids(site)[0])
        subprocess.run(["prlimit", f"--pid={masters[0].pid}", "--nofile=14:14"], check=True)
        first, second = reload(site)

        assert (first.is_ok, second.is_ok) == (False, False)
        assert f"its master (pid {masters[0].pid}) ended over it" in first.said
        assert "haproxy-01 failed first" in second.said
        assert masters[1].poll() is None
        wait_until(lambda: not is_alive(orphan))
        assert answers(site) == {"ok"}


def test_a_frozen_master_is_told_of_within_the_time_given(site: Rendered) -> None:
    with running(site) as masters:
        masters[0].send_signal(signal.SIGSTOP)
        try:
            frozen, *others = reload(site, timeout_s=1.5)
        finally:
            masters[0].send_signal(signal.SIGCONT)

        assert not any(one.is_ok for one in (frozen, *others))
        assert "no answer from the master, which was not asked" in frozen.said
        assert str(site.run_dir.master_socket(1)) in frozen.said
        assert 1.5 <= frozen.took_s < 4.0
        assert answers(site) == {"ok"}


def test_a_dead_master_is_told_of_within_the_time_given(site: Rendered) -> None:
    with running(site) as masters:
        masters[0].kill()
        masters[0].wait(10)
        dead, *_ = reload(site, timeout_s=0.5)

    assert not dead.is_ok
    assert "the master cannot be asked" in dead.said


@pytest.mark.parametrize("version", ["2.6"])
def test_a_new_worker_that_dies_at_once_does_not_pass_for_a_reload(site: Rendered) -> None:
    with running(site) as masters, killing_new_workers(site, masters[0].pid):
        first, *others = reload(site, timeout_s=3.0)
        status = masters[0].wait(10)

        # HAProxy ends as a whole then, and supervisord starts it again; the others were not asked.
        assert not first.is_ok
        assert status != 0
        assert "ended over it" in first.said
        assert [one.is_ok for one in others] == [False]
        assert get(site.stats_port(2), "/healthz")[0] == 200


@contextlib.contextmanager
def killing_new_workers(site: Rendered, master: int) -> Iterator[None]:
    """SIGKILL for whatever the master makes from now on, as the kernel does when memory is out."""
    old, is_over = int(site.info(1)["Pid"]), threading.Event()

    def kill() -> None:
        while not is_over.is_set():
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
                for pid in {*map(int, children)} - {old}:
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        is_over.set()
        killer.join()


def test_old_workers_are_counted_and_no_more_than_twenty(version: str, tmp_path: Path) -> None:
    site = one_process(version, tmp_path, hard_stop_after="60s")
    with running(site), contextlib.ExitStack() as stack:
        for _ in range(25):
            stack.enter_context(unfinished(site))
            assert reload(site)[0].is_ok
        many = workers(site)
        wait_until(lambda: len(workers(site)) <= WORKERS_KEPT)

        assert len(workers(site)) >= WORKERS_KEPT - 2
        assert many[0] >= many[-1] >= 0


def test_an_old_worker_ends_when_its_time_is_up(version: str, tmp_path: Path) -> None:
    site = one_process(version, tmp_path, hard_stop_after="1s")
    with running(site), unfinished(site):
        assert reload(site)[0].is_ok
        had = len(workers(site))
        wait_until(lambda: not workers(site), within_s=5)

    assert had == 1


def one_process(version: str, root: Path, *, hard_stop_after: str) -> Rendered:
    stats = Stats(port_base=free_ports(1))
    haproxy = Haproxy(processes=1, hard_stop_after=hard_stop_after, stats=stats)
    slow = WEB.replace("client 5s", "client 60s")
    return rendered(installed(version), root, slow, haproxy=haproxy)


def unfinished(site: Rendered) -> socket.socket:
    """A connection with half a request, which keeps its worker."""
    link = socket.create_connection(("127.0.0.1", site.port))
    link.sendall(b"GET / HTTP/1.1\r\nHo")
    return link


def workers(site: Rendered) -> list[int]:
    """Ages of the old ones, in whole seconds, the oldest first."""
    found = asyncio.run(workers_of(site.reloadables))["haproxy-01"]
    assert found.oldest_s == max((worker.uptime_s for worker in found.old), default=0)
    return sorted((worker.uptime_s for worker in found.old), reverse=True)


def test_every_old_worker_has_heard_that_it_is_to_stop(site: Rendered) -> None:
    with running(site), contextlib.ExitStack() as stack:
        for _ in range(10):
            before = pids(site)
            stack.enter_context(unfinished(site))
            assert all(one.is_ok for one in reload(site))
            log = "".join(site.log(program) for program in site.model.programs)

            assert [pid for pid in before if not stops(log, pid)] == []


def stops(log: str, pid: str) -> bool:
    """Up to 2.2 HAProxy says that it begins, later that it has."""
    said = (f"({pid}) : Stopping frontend web", f"({pid}) : Proxy web stopped")
    return any(words in log for words in said)


def test_an_old_worker_knows_that_it_stops_and_a_new_one_does_not(site: Rendered) -> None:
    async def ask(worker: Worker) -> bool:
        return await MasterSocket(site.reloadables[0].master).is_stopping(worker)

    with running(site), contextlib.ExitStack() as stack:
        # The kernel gives each process its part of them.
        for _ in range(12):
            stack.enter_context(unfinished(site))
        assert all(one.is_ok for one in reload(site))
        found = asyncio.run(workers_of(site.reloadables))["haproxy-01"]

        assert [asyncio.run(ask(worker)) for worker in found.current] == [False] * len(
            found.current
        )
        assert found.old
        assert all(asyncio.run(ask(worker)) for worker in found.old)
        assert asyncio.run(ask(Worker(2**22 + 1, 0, 0)))


def test_a_program_whose_socket_is_not_there_is_left_out_of_the_count(site: Rendered) -> None:
    absent = [replace(one, master=f"{one.master}.gone") for one in site.reloadables]

    assert asyncio.run(workers_of(absent)) == {}
