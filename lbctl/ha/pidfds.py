"""
Deaths of supervised processes as the kernel tells them: in a tenth of a millisecond, by pidfd.

supervisord tells of them too, some milliseconds later, and knows nothing of HAProxy's workers: of a
HAProxy master the newest worker is followed as well. A worker that ends while the master has
another one, or makes one in a moment, was reloaded away: no death. Which process belongs to a
program is read from /proc; where that is hidden only the masters are followed.

Belongs to one event loop. No call blocks, and none raises for a process that is gone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lbctl.ha.ucarp import children, process_facts

#: Program and pid; called from the event loop, never from inside a call of this module.
OnDeath = Callable[[str, int], None]

_HAPROXY = "haproxy"
#: A program in which no worker was found so often is no HAProxy.
_GIVE_UP_AFTER = 30
#: In a reload HAProxy, up to 3.0, tells the old worker to end just before it forks the new one: an
#: old worker without clients is gone first when the host is busy. A crash takes the master along,
#: whose death is told at once: waiting costs nothing but where a master hangs as well.
RELOAD_GAP_S = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """One process and the descriptor that becomes readable when it ends."""

    pid: int
    fd: int


class ProcessWatch:
    """
    Tells of each program's death at most twice: of its last worker's, and of its master's.

    Raises:
        OSError: from ``follow`` and ``refresh``: no descriptors are left, or the kernel is older
            than 5.3 and has none for processes.
    """

    def __init__(self, on_death: OnDeath) -> None:
        self._on_death = on_death
        self._masters: dict[str, _Held] = {}
        self._workers: dict[str, _Held] = {}
        self._fruitless: dict[str, int] = {}
        self._doubts: dict[str, asyncio.TimerHandle] = {}

    def follow(self, program: str, pid: int) -> None:
        """
        *pid* is the process of *program* from now on; 0: there is none.

        One that is gone already is told of in the next turn of the loop. supervisord's events name
        a pid only when the program has been RUNNING for a while: ask for it as soon as it starts.
        """
        known = self._masters.get(program)
        if known is not None and known.pid == pid:
            return
        self._release(self._masters.pop(program, None))
        self._forget_worker(program)
        if pid > 0:
            self._fruitless[program] = 0
            self._masters[program] = self._hold(pid, lambda held: self._ended(program, held))
            self._follow_worker(program)

    def refresh(self) -> None:
        """Once a second: find the workers that reloads have made."""
        for program, held in self._masters.items():
            known = self._workers.get(program)
            if known is not None:
                if children(held.pid) != (known.pid,):
                    self._follow_worker(program)
            elif self._fruitless[program] < _GIVE_UP_AFTER:
                self._fruitless[program] += not self._follow_worker(program)

    def close(self) -> None:
        """Follow nothing any more."""
        for held in self._masters.values():
            self._release(held)
        self._masters.clear()
        for program in list(self._workers):
            self._forget_worker(program)

    def _follow_worker(self, program: str) -> bool:
        """Follow the newest worker; whether there is one that lives."""
        pid = _newest_worker(self._masters[program].pid)
        known = self._workers.get(program)
        if not pid or (known is not None and known.pid == pid):
            return bool(pid)
        self._release(known)
        self._workers[program] = self._hold(pid, lambda held: self._worker_ended(program, held))
        return True

    def _ended(self, program: str, held: _Held) -> None:
        if self._masters.get(program) is held:
            self._forget_worker(program)
            self._on_death(program, held.pid)

    def _worker_ended(self, program: str, held: _Held) -> None:
        if self._workers.get(program) is held and not self._follow_worker(program):
            loop = asyncio.get_running_loop()
            self._doubts[program] = loop.call_later(RELOAD_GAP_S, self._judge, program, held)

    def _judge(self, program: str, held: _Held) -> None:
        """No worker was there a moment ago: a death unless there is one by now."""
        self._doubts.pop(program, None)
        if self._workers.get(program) is not held:
            return
        # Asked twice: the kernel's list of children may skip one while another is being reaped.
        if not self._follow_worker(program) and not self._follow_worker(program):
            self._on_death(program, held.pid)

    def _forget_worker(self, program: str) -> None:
        self._release(self._workers.pop(program, None))
        if (doubt := self._doubts.pop(program, None)) is not None:
            doubt.cancel()

    def _hold(self, pid: int, ended: Callable[[_Held], None]) -> _Held:
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            held = _Held(pid, -1)
            loop.call_soon(ended, held)
            return held
        held = _Held(pid, fd)

        def readable() -> None:
            # Once: it stays readable.
            loop.remove_reader(fd)
            ended(held)

        loop.add_reader(fd, readable)
        return held

    def _release(self, held: _Held | None) -> None:
        if held is not None and held.fd >= 0:
            asyncio.get_running_loop().remove_reader(held.fd)
            os.close(held.fd)


def _newest_worker(master: int) -> int:
    """The youngest living HAProxy among the children of a HAProxy *master*; 0: none."""
    if not _is_haproxy(master):
        return 0
    found = []
    for pid in children(master):
        facts = process_facts(pid)
        if facts is not None and not facts.is_dead and _is_haproxy(pid):
            found.append((facts.start, pid))
    return max(found, default=(0, 0))[1]


def _is_haproxy(pid: int) -> bool:
    """By /proc/PID/comm: nginx's workers are its master's business, and any of them may end."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == _HAPROXY
    except OSError:
        return False
