"""
The processes behind a HAProxy program: master, workers, and strays of masters long dead.

A stray that is stopped goes on accepting: its listening socket shares the port through
SO_REUSEPORT, and the kernel hands it its part of the connections. So whatever carries this
program's configuration and does not descend from the living master is killed.

psutil looks at a process's start time before it kills, so that a pid used again is safe.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress

import psutil


def kill_kin(cfg: str, master: int) -> tuple[int, ...]:
    """
    Kill everything that runs with *cfg*, the process group of *master* included.

    Args:
        cfg: path of the file that only this program is given.
        master: pid of the supervised process, leader of its process group; 0: none known.

    Returns:
        The pids found, sorted. Those of another user are left alone.
    """
    kin = _running_with(cfg)
    if any(process.pid == master for process in kin):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(master, signal.SIGKILL)
    for process in kin:
        _kill(process)
    return tuple(sorted(process.pid for process in kin))


def kill_strays(cfg: str, master: int) -> tuple[int, ...]:
    """Kill what runs with *cfg* and does not descend from *master*; the pids killed, sorted."""
    strays = [process for process in _running_with(cfg) if not _descends(process, master)]
    return tuple(sorted(process.pid for process in strays if _kill(process)))


def _running_with(cfg: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if _is_haproxy_with(process.info["cmdline"] or [], cfg)
    ]


def _is_haproxy_with(words: list[str], cfg: str) -> bool:
    # "haproxy -c" only checks the file; an editor or "tail" of it is not HAProxy.
    is_haproxy = bool(words) and words[0].rpartition("/")[2] == "haproxy"
    return is_haproxy and cfg in words and "-c" not in words


def _descends(process: psutil.Process, ancestor: int) -> bool:
    try:
        return ancestor in (process.pid, *(parent.pid for parent in process.parents()))
    except psutil.NoSuchProcess:
        # It has just ended: nothing to kill.
        return True


def _kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return True


def described(pids: Iterable[int]) -> str:
    """``pids 17, 18``, for a sentence."""
    listed = ", ".join(map(str, pids))
    return f"pids {listed}" if listed else "nothing was left"
