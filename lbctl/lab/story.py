"""
What the demo shows: one fault after another, and what the client of the virtual IP saw of each.

The same story under both engines, each with its own bounds.

Each step ends when the pair has settled and the client has had half a second of answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from lbctl.lab.pair import Pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until

_SETTLE_S = 25.0
_ANSWERS_IN_A_ROW = 50


class Engine(StrEnum):
    """Who speaks CARP: ``ha.engine``."""

    UCARP = "ucarp"
    NATIVE = "native"


#: lb.yaml of both nodes.
SETTINGS: Mapping[Engine, Mapping[str, object]] = {
    Engine.UCARP: {},
    Engine.NATIVE: {"ha": {"engine": "native", "advbase_ms": 50}},
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    One step, played.

    Attributes:
        happened: in words.
        outage_ms: the longest time without an answer for the client.
        bound_ms: what that may be.
        asked: requests in the step.
        failed: how many had no answer.
    """

    title: str
    happened: str
    outage_ms: float
    bound_ms: float
    asked: int
    failed: int

    @property
    def ok(self) -> bool:
        return self.outage_ms <= self.bound_ms


@dataclass(frozen=True, slots=True)
class Step:
    """
    Attributes:
        act: does it, waits for its effect, says what happened; raises LabError when it stays away.
        bound_ms: the longest outage that the design allows.
        seen: what is measured, in words.
    """

    title: str
    act: Callable[[Pair], str]
    bound_ms: float
    seen: str = "client outage"

    def play(self, pair: Pair, probe: Probe) -> Outcome:
        """
        Do it and measure.

        Raises:
            LabError: the virtual IP did not come back at all.
        """
        mark = probe.mark()
        happened = self.act(pair)
        probe.wait_answers(_ANSWERS_IN_A_ROW, _SETTLE_S)
        asked, failed = len(probe.records(mark)), len(probe.failures(mark))
        return Outcome(self.title, happened, probe.outage_ms(mark), self.bound_ms, asked, failed)


def _start(pair: Pair, engine: Engine) -> str:
    started = time.monotonic()
    pair.start(settings=SETTINGS[engine])
    master, backup = pair.wait_settled(_SETTLE_S)
    took_s = time.monotonic() - started
    return f"{pair.vip} is up after {took_s:.1f} s: {master.name} MASTER, {backup.name} BACKUP"


def _handover(pair: Pair) -> str:
    master, backup = pair.wait_settled(_SETTLE_S)
    master.command("handover")
    backup.wait_role("MASTER", _SETTLE_S)
    pair.wait_settled(_SETTLE_S)
    return f"`lbctl handover` on {master.name}: {backup.name} is MASTER"


def _stop(pair: Pair) -> str:
    master, backup = pair.wait_settled(_SETTLE_S)
    started = time.monotonic()
    master.stop()
    took_s = time.monotonic() - started
    backup.wait_role("MASTER", _SETTLE_S)
    gone = f"{master.name} gone in {took_s:.1f} s"
    return f"SIGTERM to {master.name}: {backup.name} is MASTER, {gone}"


def _start_again(pair: Pair) -> str:
    stopped = next(node for node in pair.nodes if not node.process.is_running)
    pair.start_node(stopped)
    master, backup = pair.wait_settled(_SETTLE_S)
    return f"{stopped.name} is back: {master.name} MASTER, {backup.name} BACKUP"


def _cut(pair: Pair) -> str:
    master, backup = pair.wait_settled(_SETTLE_S)
    pair.lab.cut(master.host)
    backup.wait_role("MASTER", _SETTLE_S)
    return f"{master.name} pulled out of the switch: {backup.name} is MASTER"


def _heal(pair: Pair) -> str:
    for node in pair.nodes:
        pair.lab.heal(node.host)
    master, backup = pair.wait_settled(_SETTLE_S)
    return f"cable back in: {master.name} MASTER, {backup.name} BACKUP"


def _kill_haproxy(pair: Pair) -> str:
    master, _ = pair.wait_settled(_SETTLE_S)
    names = [name for name in master.programs() if name.startswith("haproxy")]
    killed = {name: master.kill(name, whole=True) for name in names}

    def restarted() -> bool:
        programs = master.programs()
        return all(
            programs[name][0] == "RUNNING" and programs[name][1] != pid
            for name, pid in killed.items()
        )

    wait_until(restarted, _SETTLE_S, f"HAProxy of {master.name} to run again")
    now, _ = pair.wait_settled(_SETTLE_S)
    whose = "still" if now is master else "now"
    what = f"kill -9 of all HAProxy ({len(killed)}) on {master.name}: restarted"
    return f"{what}, {now.name} is {whose} MASTER"


def steps(engine: Engine) -> tuple[Step, ...]:
    """
    The story, and what the client may see of each step: with ucarp its dead time and what a second
    attempt takes, with the native engine ten intervals and more, for a machine that is busy.
    """
    is_native = engine is Engine.NATIVE

    def step(title: str, act: Callable[[Pair], str], ucarp_ms: float, native_ms: float) -> Step:
        return Step(title, act, native_ms if is_native else ucarp_ms)

    return (
        Step("start", partial(_start, engine=engine), 25_000, "the client's first answer after"),
        step("handover", _handover, 2_500, 300),
        step("planned stop", _stop, 2_500, 300),
        step("start again", _start_again, 2_500, 300),
        step("host cut off", _cut, 5_500, 500),
        step("host healed", _heal, 3_500, 300),
        step("HAProxy killed", _kill_haproxy, 5_500, 300),
    )
