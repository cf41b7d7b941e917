"""
The processes behind a HAProxy program: master, workers, and strays of masters long dead.

A stray that is stopped goes on accepting: its listening socket shares the port through
SO_REUSEPORT, and the kernel hands it its part of the connections. So whatever carries this
program's configuration and does not descend from the living master is killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def kill_kin(cfg: str, master: int) -> tuple[int, ...]:
    """
    Kill everything that runs with *cfg*, the process group of *master* included.

    Args:
        cfg: path of the file that only this program is given.
        master: pid of the supervised process, leader of its process group; 0: none known.

    Returns:
        The pids found, sorted. Those of another user are left alone.
    """
    pids = {pid for pid in _pids() if _runs_with(pid, cfg)}
    if master in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(master, signal.SIGKILL)
    for pid in pids:
        _kill(pid, cfg)
    return tuple(sorted(pids))


def kill_strays(cfg: str, master: int) -> tuple[int, ...]:
    """Kill what runs with *cfg* and does not descend from *master*; the pids killed, sorted."""
    strays = [pid for pid in _pids() if _runs_with(pid, cfg) and not _descends(pid, master)]
    return tuple(sorted(pid for pid in strays if _kill(pid, cfg)))


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())


def _runs_with(pid: int, cfg: str) -> bool:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    # "haproxy -c" only checks the file; an editor or "tail" of it is not HAProxy.
    is_haproxy = words[0].rpartition(b"/")[2] == b"haproxy"
    return is_haproxy and cfg.encode() in words and b"-c" not in words


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = _parent(pid)
    return False


def _parent(pid: int) -> int:
    try:
        status = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return 0
    # The name in parentheses may hold blanks; state and parent follow the last one.
    return int(status.rpartition(b")")[2].split()[1])


def _kill(pid: int, cfg: str) -> bool:
    """Kill *pid* if it still is what it was when it was found."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _runs_with(pid, cfg):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def described(pids: Iterable[int]) -> str:
    """``pids 17, 18``, for a sentence."""
    listed = ", ".join(map(str, pids))
    return f"pids {listed}" if listed else "nothing was left"
