"""
Processes that live and do not answer: found within two seconds, killed, left to supervisord.

A HAProxy process is asked on its stats listener as a client would ask. After a first silence its
Runtime API is asked too: at ``maxconn`` HAProxy accepts nobody and is not hung, and its runtime
socket still answers. vipd is asked for its status; one that does not listen is starting, or waits
for its interface: only one that accepts and does not answer is silent. Two silences in a row from
a program that has been RUNNING for a while are a hang. No answer because this process was held up
itself counts for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lbctl.agent.kin import described, kill_kin, kill_strays
from lbctl.agent.probe import LATE_S, LIMIT_S, Answer, ask_http, ask_runtime
from lbctl.agent.table import ProgramTable
from lbctl.agent.vipd import VipdAbsentError, VipdClient, VipdRefusedError
from lbctl.errors import SupervisorError, VipdError
from lbctl.layout import RunDir
from lbctl.model.address import bracketed
from lbctl.programs import Programs, ProgramState
from lbctl.spec import BundleSpec, HaproxyProcess

log = logging.getLogger(__name__)

#: Silences in a row that make a hang; the questions come a second apart.
SILENCES = 2
#: No judgement on a process younger than this, seconds.
GRACE_S = 2.0
#: A worker notices the death of its master and ends; one that has not by then is a stray.
STRAY_AFTER_S = 1.0

VIPD = "vipd"


class Note(Protocol):
    """Record an event."""

    def __call__(self, kind: str, text: str, fields: Mapping[str, Any]) -> None: ...


@dataclass(slots=True)
class Health:
    """
    What one process answered lately.

    Attributes:
        answers: the last question was answered.
        last_answer: the clock, when it last was.
        silences: questions in a row without an answer.
        is_full: silent on its listener, and its Runtime API answers.
    """

    answers: bool = False
    last_answer: float | None = None
    silences: int = 0
    is_full: bool = False


class HangWatch:
    """Asks, counts, kills; ``turn`` is called once a second from the agent's loop."""

    def __init__(
        self,
        spec: BundleSpec,
        run: RunDir,
        table: ProgramTable,
        programs: Programs,
        note: Note,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._run = run
        self._table = table
        self._programs = programs
        self._vipd = VipdClient(run.vipd_socket) if spec.group else None
        self._note = note
        self._clock = clock
        self._vipd_silences = 0
        self._sweeps: set[asyncio.Task[None]] = set()
        self.health_by_number = {process.number: Health() for process in spec.processes}

    async def turn(self) -> None:
        """Ask everyone once, side by side; at most a second."""
        looks = [self._look_at(process) for process in self._spec.processes]
        await asyncio.gather(*looks, self._look_at_vipd())

    def on_death(self, program: str) -> None:
        """A HAProxy program's master is gone: soon look for workers that outlive it."""
        if any(process.program == program for process in self._spec.processes):
            sweep = asyncio.get_running_loop().create_task(self._sweep_later(program))
            self._sweeps.add(sweep)
            sweep.add_done_callback(self._sweeps.discard)

    def silent(self) -> Iterable[HaproxyProcess]:
        """The processes that did not answer when last asked."""
        return (p for p in self._spec.processes if not self.health_by_number[p.number].answers)

    def last_answer_s_ago(self, number: int) -> float | None:
        """Seconds; None: never."""
        last = self.health_by_number[number].last_answer
        return None if last is None else self._clock() - last

    async def _look_at(self, process: HaproxyProcess) -> None:
        health = self.health_by_number[process.number]
        if self._table.uptime_s(process.program) is None:
            health.answers, health.silences = False, 0
            return
        questions = [ask_http(process.stats_host, process.stats_port)]
        if health.silences:
            questions.append(ask_runtime(process.socket))
        answer, *inner = await asyncio.gather(*questions)
        if answer is Answer.YES:
            health.answers, health.last_answer = True, self._clock()
            health.silences, health.is_full = 0, False
        elif answer is Answer.NO:
            health.answers = False
            if self._is_due(process.program):
                await self._count_silence(process, health, inner[0] if inner else Answer.UNSURE)

    def _is_due(self, program: str) -> bool:
        if self._table.is_stopping or not self._table.is_running(program):
            return False
        return (self._table.uptime_s(program) or 0.0) >= GRACE_S

    async def _count_silence(self, process: HaproxyProcess, health: Health, inner: Answer) -> None:
        health.silences += 1
        if health.silences == 1:
            # A stray on the same port swallows a part of the questions, and of the clients.
            await self._sweep(process.program)
        elif health.silences < SILENCES or inner is Answer.UNSURE:
            return
        elif inner is Answer.YES:
            self._say_full(process, health)
        else:
            self._kill(process)
            for sibling in self._spec.processes:
                if sibling.program == process.program:
                    self.health_by_number[sibling.number].silences = 0

    def _say_full(self, process: HaproxyProcess, health: Health) -> None:
        if health.is_full:
            return
        health.is_full = True
        text = (
            f"{_name(process, self._spec)} accepts nobody on {_where(process)}, its runtime API "
            "answers: at its maxconn? Left alone"
        )
        self._note("full", text, {"program": process.program, "number": process.number})

    def _kill(self, process: HaproxyProcess) -> None:
        master = self._table.rows[process.program].pid
        pids = kill_kin(self._cfg(process), master)
        text = (
            f"{_name(process, self._spec)} did not answer on {_where(process)} for {SILENCES} s: "
            f"killed ({described(pids)}), supervisord starts it again"
        )
        fields = {"program": process.program, "number": process.number, "pids": list(pids)}
        self._note("hang", text, fields)

    async def _sweep_later(self, program: str) -> None:
        await asyncio.sleep(STRAY_AFTER_S)
        await self._sweep(program)

    async def _sweep(self, program: str) -> None:
        """Kill what is left of earlier lives of *program*; its present life must be known."""
        try:
            states = await self._programs.states()
        except SupervisorError as error:
            log.warning("strays of %s are not looked for: %s", program, error)
            return
        now = states.get(program)
        alive = (ProgramState.STARTING, ProgramState.RUNNING)
        if self._table.is_stopping or now is None or not now.pid or now.state not in alive:
            return
        process = next(p for p in self._spec.processes if p.program == program)
        if pids := kill_strays(self._cfg(process), now.pid):
            text = f"{program}: killed what an earlier life had left behind ({described(pids)})"
            self._note("hang", text, {"program": program, "pids": list(pids)})

    def _cfg(self, process: HaproxyProcess) -> str:
        number = 0 if self._spec.haproxy_model == "nbproc" else process.number
        return str(self._run.process_cfg(number))

    async def _look_at_vipd(self) -> None:
        if self._vipd is None:
            return
        began = self._clock()
        try:
            await self._vipd.status(limit_s=LIMIT_S)
        except (VipdAbsentError, VipdRefusedError):
            # Who says no is awake: too many may be asking.
            self._vipd_silences = 0
        except VipdError as error:
            is_late = self._clock() - began > LIMIT_S + LATE_S
            if is_late or not self._is_due(VIPD):
                return
            await self._count_vipd_silence(error)
        else:
            self._vipd_silences = 0

    async def _count_vipd_silence(self, error: VipdError) -> None:
        self._vipd_silences += 1
        if self._vipd_silences < SILENCES:
            return
        self._vipd_silences = 0
        pid = self._table.rows[VIPD].pid
        text = f"vipd (pid {pid}) did not answer for {SILENCES} s: killed ({error})"
        self._note("hang", text, {"program": VIPD, "pids": [pid]})
        try:
            await self._programs.signal(VIPD, "KILL")
        except SupervisorError as failure:
            log.warning("vipd cannot be killed: %s; next try in %d s", failure, SILENCES)


def _name(process: HaproxyProcess, spec: BundleSpec) -> str:
    if spec.haproxy_model == "nbproc":
        return f"{process.program}, process {process.number},"
    return process.program


def _where(process: HaproxyProcess) -> str:
    return f"{bracketed(process.stats_host)}:{process.stats_port}"
