"""
nginx made to load its files anew: tested, told, and seen to have done it.

nginx binds its ports before it lets go of its old workers: what it cannot load or bind leaves them
as they are, and with them everything that it serves.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lbctl.errors import CheckError, ValidationError
from lbctl.nginx.check import check

_LOOK_AGAIN_S: Final = 0.02
#: nginx tries to bind a port five times, half a second apart, before it gives up.
_TIMEOUT_S: Final = 6.0
#: Source: ngx_process_cycle.c, the titles that nginx gives itself.
_MASTER: Final = "nginx: master process"
_WORKER: Final = "nginx: worker process"
_LEAVING: Final = "is shutting down"


@dataclass(frozen=True, slots=True)
class NginxReloaded:
    """
    What became of it.

    Attributes:
        is_ok: new workers serve what the files say.
        said: why not, by ``FILE:LINE`` where nginx names them; the old workers serve on.
        warnings: nginx's own.
        took_s: from the test until that was known.
    """

    is_ok: bool
    said: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    took_s: float = 0.0


async def reload_nginx(
    argv: Sequence[str], pid: int, *, timeout_s: float = _TIMEOUT_S
) -> NginxReloaded:
    """
    Test, signal, and look for new workers.

    Args:
        argv: nginx as it runs, ``-c FILE`` included; its test needs no privilege, and what
            only the running one may bind is seen afterwards.
        pid: of the running master, a process of this user; 0: it does not run.
        timeout_s: from the signal to the new workers.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        accepted = await asyncio.to_thread(check, argv, may_bind=False)
    except (CheckError, ValidationError) as error:
        said = tuple(str(problem) for problem in error.problems)
        return NginxReloaded(False, said, took_s=loop.time() - began)
    refusal = await _told(pid, timeout_s)
    said = (refusal,) if refusal else ()
    return NginxReloaded(not refusal, said, accepted.warnings, loop.time() - began)


async def _told(pid: int, timeout_s: float) -> str:
    """Signal the master, and wait for new workers; what went wrong, empty: nothing."""
    if not title_of(pid).startswith(_MASTER):
        return f"nginx (pid {pid}): not running; it loads the new files when it starts"
    # One that was made just now is not called a worker yet.
    before = _children(pid)
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        return f"nginx (pid {pid}): SIGHUP: {error.strerror}; it serves on as it is"
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                if workers_of(pid) - before:
                    return ""
                await asyncio.sleep(_LOOK_AGAIN_S)
    except TimeoutError:
        return (
            f"nginx (pid {pid}): no new worker in {timeout_s:g} s after SIGHUP; why is in the log, "
            "in the lines of nginx; the old ones serve on"
        )


def workers_of(pid: int) -> frozenset[int]:
    """The workers of a master that take new connections; none where it is gone."""
    titles = {child: title_of(child) for child in _children(pid)}
    return frozenset(
        child
        for child, title in titles.items()
        if title.startswith(_WORKER) and _LEAVING not in title
    )


def _children(pid: int) -> frozenset[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return frozenset()
    return frozenset(map(int, text.split()))


def title_of(pid: int) -> str:
    """What a process calls itself; empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""
