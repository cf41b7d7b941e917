"""What can be said of a reload without a HAProxy; with one: tests/contract/test_reload.py."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lbctl.haproxy.master import is_alive
from lbctl.haproxy.reload import Reloadable, reason_of, reload_processes
from tests.fakes.haproxy_master import FakeMaster
from tests.loops import in_a_loop
from tests.places import open_directory

REFUSED = """\
Success=0
--
[NOTICE]   (16850) : haproxy version is 3.0.11-1+deb13u3
[WARNING]  (16850) : config : proxy 'a' has no server
[ALERT]    (16850) : config : parsing [own.cfg:9] : unable to stat SSL certificate.
[ALERT]    (16850) : config : Error(s) found in configuration file : own.cfg
[ALERT]    (16850) : config : Fatal errors found in configuration.
[WARNING]  (16850) : Loading failure!

"""


def test_the_reason_is_what_haproxy_says_without_its_own_summary() -> None:
    assert reason_of(REFUSED) == (
        "proxy 'a' has no server; parsing [own.cfg:9] : unable to stat SSL certificate."
    )


def test_silence_and_success_are_no_reason() -> None:
    assert reason_of("") == ""
    assert reason_of(REFUSED.replace("Success=0", "Success=1")) == ""


@in_a_loop
async def test_no_program_is_nothing_to_do() -> None:
    assert await reload_processes(()) == ()


@in_a_loop
async def test_without_a_master_the_others_are_not_asked_and_the_time_is_kept() -> None:
    programs = [Reloadable(f"haproxy-0{n}", f"/nowhere/{n}.sock", ()) for n in (1, 2)]
    first, second = await reload_processes(programs, timeout_s=0.1)

    assert (first.is_ok, second.is_ok) == (False, False)
    assert first.said == (
        "/nowhere/1.sock: no answer from the master, which was not asked (last: /nowhere/1.sock: "
        "'show proc': No such file or directory; the master cannot be asked): not within 0.1 s"
    )
    assert second.said == "haproxy-01 failed first; this one was not asked and goes on as it is"
    assert 0.1 <= first.took_s < 1.0


@in_a_loop
async def test_an_order_that_was_lost_is_given_again() -> None:
    master = FakeMaster(loses=1)
    with open_directory() as root:
        async with master.at(root / "m.sock") as path:
            (result,) = await reload_processes([Reloadable("haproxy-01", path, ())])

    assert result.is_ok
    assert result.workers is not None
    assert (result.workers.reloads, master.orders) == (1, 2)


@in_a_loop
async def test_one_order_is_enough_where_it_is_not_lost() -> None:
    master = FakeMaster()
    with open_directory() as root:
        async with master.at(root / "m.sock") as path:
            (result,) = await reload_processes([Reloadable("haproxy-01", path, ())])

    assert (result.is_ok, result.said, master.orders) == (True, "", 1)


@in_a_loop
async def test_a_program_that_was_started_anew_meanwhile_has_loaded_the_files_and_says_so() -> None:
    master = FakeMaster(begins_anew=True)
    with open_directory() as root:
        async with master.at(root / "m.sock") as path:
            (result,) = await reload_processes([Reloadable("haproxy-01", path, ())])

    assert result.is_ok
    assert "its master ended meanwhile and was started anew" in result.said


def test_a_process_that_only_waits_to_be_reaped_does_not_run() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    zombie = is_alive(process.pid)
    process.wait()

    assert is_alive(os.getpid())
    assert not zombie
    assert not Path(f"/proc/{process.pid}").exists()
    assert not is_alive(process.pid)
