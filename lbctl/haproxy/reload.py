"""
HAProxy's programs made to load their files anew, without a connection that is refused.

One program goes first, alone: what it cannot load the others are not asked to load. A program that
fails keeps its old workers, which go on with what they had. Who asks has had the files validated.

What a reload cannot do: a kept-alive connection ends, after the answer that says so.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.master import MasterSocket, Worker, Workers, is_alive
from lbctl.haproxy.readings import show_info
from lbctl.haproxy.runtime import UnixRuntime

_LOOK_AGAIN_S: Final = 0.01
#: A master that answers, and this long after the order has not begun, has lost it.
_LOST_AFTER_S: Final = 0.5
#: How long a master that is busy with something else may leave a question unanswered.
_ANSWER_S: Final = 1.0
#: Longest wait until every old worker has heard that it is to stop.
_STOPPING_S: Final = 1.0
#: As it does when a new worker dies at once: the master takes the old ones with it.
_BEGAN_ANEW: Final = "its master ended meanwhile and was started anew, which cut connections"
_SUCCESS = re.compile(r"\ASuccess=1")
_MESSAGE = re.compile(r"^\[(?:ALERT|WARNING)\]\s*\(\d+\) : (?:config : )?(?P<text>.*)$", re.M)
_SUMMARY = re.compile(r"^(?:Error\(s\) found|Fatal errors found|Loading failure|Former worker)")


@dataclass(frozen=True, slots=True)
class Reloadable:
    """
    A program as far as its reload needs it.

    Attributes:
        name: ``haproxy-01``.
        master: path of its master's socket.
        sockets: of the Runtime API of its processes, by their number in the program.
    """

    name: str
    master: str
    sockets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """
    What became of one program.

    Attributes:
        name: the program's.
        is_ok: new workers serve, and answer on their sockets; else the old ones do, or nobody.
        said: why not, or what else befell it; empty when all is well.
        took_s: from the order until that was known.
        workers: as they are now; None: the master did not say.
        needs_restart: it failed, and may serve nobody before its program is started anew, with
            files that it can load.
    """

    name: str
    is_ok: bool
    said: str
    took_s: float
    workers: Workers | None = None
    needs_restart: bool = False


async def reload_processes(
    programs: Sequence[Reloadable], *, timeout_s: float = 10.0
) -> tuple[Reloaded, ...]:
    """
    Reload all, the first one alone.

    Args:
        programs: which; none is no error.
        timeout_s: for each. A big configuration takes HAProxy seconds.

    Returns:
        One result a program, in order. When the first one fails, the others were not asked.
    """
    if not programs:
        return ()
    first, *others = programs
    canary = await _reload(first, timeout_s)
    if not canary.is_ok:
        said = f"{first.name} failed first; this one was not asked and goes on as it is"
        return (canary, *(Reloaded(other.name, False, said, 0.0) for other in others))
    return (canary, *await asyncio.gather(*(_reload(one, timeout_s) for one in others)))


async def workers_of(
    programs: Iterable[Reloadable], *, timeout_s: float = _ANSWER_S
) -> dict[str, Workers]:
    """The workers of each program, by its name; one whose master says nothing is left out."""

    async def ask(program: Reloadable) -> tuple[str, Workers] | None:
        try:
            return program.name, await MasterSocket(program.master, timeout_s).workers()
        except RuntimeApiError:
            return None

    answers = await asyncio.gather(*(ask(program) for program in programs))
    return dict(answer for answer in answers if answer is not None)


async def _reload(program: Reloadable, timeout_s: float) -> Reloaded:
    loop = asyncio.get_running_loop()
    began = loop.time()
    turn = _Turn(program, began + timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            result = await turn.take()
    except TimeoutError:
        result = Reloaded(program.name, False, f"{turn.step}: not within {timeout_s:g} s", 0.0)
    return replace(result, took_s=loop.time() - began)


class _Turn:
    """One reload of one program; :attr:`step` is what it waits for, in words."""

    def __init__(self, program: Reloadable, deadline: float) -> None:
        self._program = program
        self._deadline = deadline
        self._master = MasterSocket(program.master, _ANSWER_S)
        self._answer = ""
        self.step = ""

    async def take(self) -> Reloaded:
        """Ends early only with what is known; whoever calls bounds it."""
        self.step = f"{self._program.master}: no answer from the master, which was not asked"
        before = await self._insist(self._master.workers)
        self.step = f"{self._program.master}: the master was asked to reload"
        after = await self._ordered(before)
        if after is None:
            said = f"its master (pid {before.master_pid}) ended over it, and its workers with it"
            return Reloaded(self._program.name, False, said, 0.0)
        if after.did_fail:
            return self._failed(after)
        for number, path in enumerate(self._program.sockets):
            # Under nbproc each process has a worker and a socket of its own.
            worker = after.current[number if len(after.current) > number else 0]
            self.step = f"{path}: the new worker (pid {worker.pid}) does not answer there"
            await self._wait_answering(path, worker)
        await self._wait_stopping(after)
        workers = await self._insist(self._master.workers)
        said = "" if workers.master_pid == before.master_pid else _BEGAN_ANEW
        return Reloaded(self._program.name, True, said, 0.0, workers)

    async def _ordered(self, before: Workers) -> Workers | None:
        """Give the order until the master counts it; what it has made of it. None: it is gone."""
        while True:
            await self._order()
            # Later versions answer when all is done: this is the time after.
            lost_at = self._now() + _LOST_AFTER_S
            while self._now() < lost_at:
                try:
                    after = await self._master.workers()
                except RuntimeApiError as error:
                    if not is_alive(before.master_pid):
                        return None
                    # It reads its configuration: however long that takes, it is not lost.
                    self._note(error)
                    lost_at = self._now() + _LOST_AFTER_S
                else:
                    if after.master_pid != before.master_pid or after.reloads > before.reloads:
                        return after
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _order(self) -> None:
        try:
            self._answer = await self._master.reload(self._deadline - self._now())
        except RuntimeApiError as error:
            # It was executing itself anew, and either counts this one soon, or is asked again.
            self._note(error)

    async def _wait_answering(self, path: str, worker: Worker) -> None:
        runtime = UnixRuntime(path, _ANSWER_S)
        while True:
            try:
                if (await show_info(runtime)).get("Pid") == str(worker.pid):
                    return
            except RuntimeApiError:
                pass
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _wait_stopping(self, after: Workers) -> None:
        """Have each old worker look at its signals; one that cannot be asked is not waited for."""
        give_up_at = self._now() + _STOPPING_S
        for worker in after.old:
            while self._now() < give_up_at:
                try:
                    if await self._master.is_stopping(worker):
                        break
                except RuntimeApiError:
                    break
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _insist(self, ask: Callable[[], Awaitable[Workers]]) -> Workers:
        """A master that reads its configuration refuses: ask until it does not."""
        while True:
            try:
                return await ask()
            except RuntimeApiError as error:
                self._note(error)
                await asyncio.sleep(_LOOK_AGAIN_S)

    def _note(self, error: RuntimeApiError) -> None:
        self.step = f"{self.step.partition(' (last: ')[0]} (last: {error})"

    def _failed(self, after: Workers) -> Reloaded:
        words = reason_of(self._answer)
        if not words:
            words = f"it loaded nothing; why is in the log, in the lines of {self._program.name}"
        # Listening sockets that several processes share do not survive a pause, which is what a
        # new worker asks of the old ones where it cannot bind.
        is_shared = len(self._program.sockets) > 1
        rest = "may answer nobody until the program is started anew" if is_shared else "serve on"
        said = f"{words}; the old workers {rest}"
        return Reloaded(self._program.name, False, said, 0.0, after, needs_restart=is_shared)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def reason_of(answer: str) -> str:
    """Why a master could not reload, in its own words; empty: it did not say, or it could."""
    if not answer or _SUCCESS.match(answer):
        return ""
    texts = [match["text"] for match in _MESSAGE.finditer(answer)]
    return "; ".join(text for text in texts if not _SUMMARY.match(text))
