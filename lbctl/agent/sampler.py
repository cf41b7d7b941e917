"""
What HAProxy's processes count, asked when somebody wants to see it: one sample for all who look.

Working an answer out is done in a thread, which tells what it has cost. What is known is kept for
as long as somebody goes on looking, and then forgotten.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbctl.errors import RuntimeApiError
from lbctl.follow.fleet import Fleet
from lbctl.haproxy.proxies import COMMAND, Proxies, Proxy, traffic
from lbctl.haproxy.runtime import UnixRuntime
from lbctl.spec import HaproxyProcess

#: A sample this old is as good as a new one, seconds.
FRESH_S = 1.0
#: From then on what was is too long ago to be compared with, seconds.
KEPT_S = 45.0
#: A process that does not answer by then is not in the sample, seconds.
ANSWER_S = 1.5
#: What reading an answer from the socket costs this process, seconds a byte.
READ_S: Final = 8e-9

ServersOf = Callable[[], Mapping[str, int]]


def servers_in(fleet: Fleet) -> dict[str, int]:
    """How many each backend has, by its name, when its processes were last looked at."""
    found: dict[str, int] = {}
    for member in fleet.answering:
        for backend, servers in member.look.seen.items() if member.look else ():
            found[backend] = max(found.get(backend, 0), len(servers))
    return found


@dataclass(frozen=True, slots=True)
class Sample:
    """
    All processes at one moment.

    Attributes:
        at: wall clock, seconds.
        proxies: by name; one that is as it was in the sample before is the same object.
        traffic: what comes in altogether; values are None where nobody knows yet.
        failures: why a process is not in it, by process.
        cost_s: time on a CPU of this process, seconds.
    """

    at: float
    proxies: Mapping[str, Proxy]
    traffic: Mapping[str, Any]
    failures: Mapping[int, str]
    cost_s: float


class Sampler:
    """Asks all processes of a bundle. Belongs to one event loop."""

    def __init__(
        self,
        processes: Sequence[HaproxyProcess],
        servers: ServersOf,
        *,
        command: str = COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processes = processes
        self._servers = servers
        self._command = command
        self._clock = clock
        self._proxies = Proxies()
        self._last: Sample | None = None
        self._taken_at = 0.0
        self._lock = asyncio.Lock()
        self._end: asyncio.TimerHandle | None = None

    async def sample(self) -> Sample:
        """A new one, or one of this second; who comes while one is taken gets that."""
        async with self._lock:
            if self._last is None or self._clock() - self._taken_at >= FRESH_S:
                self._last = await self._take()
                self._taken_at = self._clock()
                self._forget_later()
            return self._last

    async def _take(self) -> Sample:
        answers = await asyncio.gather(*(self._ask(process) for process in self._processes))
        numbers = [process.number for process in self._processes]
        said = dict(zip(numbers, answers, strict=True))
        texts = {number: text for number, text in said.items() if isinstance(text, str)}
        silent = {number: str(why) for number, why in said.items() if not isinstance(why, str)}
        servers = self._servers()
        at, wall = self._clock(), time.time()
        unread, cost_s = await asyncio.to_thread(_timed, self._proxies, texts, servers, at)
        shown = self._proxies.shown
        cost_s += READ_S * sum(map(len, texts.values()))
        return Sample(wall, shown, traffic(shown.values()), {**silent, **unread}, cost_s)

    async def _ask(self, process: HaproxyProcess) -> str | RuntimeApiError:
        try:
            return await UnixRuntime(process.socket, ANSWER_S).ask(self._command)
        except RuntimeApiError as error:
            return error

    def _forget_later(self) -> None:
        if self._end is not None:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(KEPT_S, self._forget)

    def _forget(self) -> None:
        if self._lock.locked():
            self._forget_later()
            return
        self._proxies.forget()
        self._last = None


def _timed(
    proxies: Proxies, texts: Mapping[int, str], servers: Mapping[str, int], at: float
) -> tuple[dict[int, str], float]:
    began = time.thread_time()
    failures = proxies.take(texts, servers, at)
    return failures, time.thread_time() - began
