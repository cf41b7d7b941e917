"""
Which faults there are, in which order a seed brings them, and how long each may be felt. Pure.

The order is a function of the seed and the engine alone; who is master when a step comes is not,
so a step names the role of the node that it hits, and the node is known when it is played.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

Engine = Literal["native", "ucarp", "mixed"]
Whom = Literal["master", "backup", "both"]

ENGINES: tuple[Engine, ...] = get_args(Engine)
HOLD_MIN_S, HOLD_MAX_S = 0.1, 5.0
INTERVAL_MS = 50
DEAD_RATIO = 3
#: advbase 1 s, dead ratio 3, and the ucarp's own second of hearing late.
UCARP_DEAD_S = 3.0
#: A native node counts a packet as missing up to 3 ms late; where packets were lost it waits for
#: up to four times as many (docs/concepts.md), and the step before may have lost some.
NATIVE_DEAD_S = (DEAD_RATIO - 0.5) * INTERVAL_MS / 1000 + 0.003
LOSSY_STRETCH = 4
#: Setting and announcing an address, on a machine that is busy.
_TAKING_S = {"native": 0.1, "ucarp": 1.0, "mixed": 1.0}
#: A start listens for 3 s, and for 4 s more when an address is answered for that nobody speaks for.
_DARK_MS = 10_000.0
#: One held fault of so many has another one in its midst.
_DOUBLED = 4
#: What a busy machine may do to a client that nothing was done to.
UNNOTICED_MS = 300.0


@dataclass(frozen=True, slots=True)
class Fault:
    """
    Something that goes wrong.

    Attributes:
        name: ``kill vipd``, ``cut`` ...: what a step is called.
        felt: how a client may feel it when it hits the master; see :func:`outage_bound_ms`.
        weight: how often it comes, beside the others.
        engines: where it can happen.
        whom: whom it can hit.
        is_held: it lasts for a while, and is undone then.
        restarts: the node's bundle is started again in its course.
        can_enclose: another one may come while it lasts, whichever.
    """

    name: str
    felt: Literal["not", "mended", "planned", "moved", "hidden", "frozen", "lossy", "dark"]
    weight: int = 4
    engines: tuple[Engine, ...] = ENGINES
    whom: tuple[Whom, ...] = ("master", "master", "backup")
    is_held: bool = False
    restarts: bool = False
    can_enclose: bool = False


_UCARP: tuple[Engine, ...] = ("ucarp",)
_NATIVE: tuple[Engine, ...] = ("native",)

FAULTS: tuple[Fault, ...] = (
    # Killed.
    Fault("kill vipd", "moved"),
    Fault("kill ucarp", "moved", engines=_UCARP),
    Fault("kill agent", "not", 2),
    Fault("kill logd", "not", 2),
    Fault("kill nginx", "moved", 2),
    Fault("kill one haproxy", "mended"),
    Fault("kill every haproxy", "moved", 3),
    Fault("kill supervisord", "moved", 3, restarts=True),
    Fault("kill everything", "moved", 3, restarts=True),
    Fault("kill both", "dark", 1, whom=("both",), restarts=True),
    # Stopped: there, and saying nothing.
    Fault("stop vipd", "moved", is_held=True),
    Fault("stop ucarp", "moved", engines=_UCARP, is_held=True),
    Fault("stop agent", "not", 2, is_held=True, can_enclose=True),
    Fault("stop logd", "not", 2, is_held=True, can_enclose=True),
    Fault("stop one haproxy", "frozen", is_held=True),
    Fault("stop every haproxy", "frozen", is_held=True),
    Fault("stop supervisord", "not", 2, is_held=True),
    Fault("stop everything", "moved", 5, is_held=True),
    # On purpose.
    Fault("handover", "planned", 6, whom=("master",)),
    Fault("restart", "planned", 3, restarts=True),
    Fault("pause", "not", 3, whom=("master", "backup"), is_held=True, can_enclose=True),
    # The network.
    Fault("cut", "moved", 6, is_held=True, can_enclose=True),
    Fault("deaf", "hidden", 3, is_held=True, can_enclose=True),
    Fault("mute", "moved", 3, is_held=True, can_enclose=True),
    Fault("lossy", "lossy", 4, is_held=True, can_enclose=True),
    Fault("link down", "moved", 4, is_held=True),
    Fault("link flaps", "hidden", 3, is_held=True),
    Fault("rename interface", "moved", 2, is_held=True),
    # Meddling.
    Fault("remove address", "mended", 3, whom=("master",)),
    Fault("add address", "moved", 3, whom=("backup",)),
    Fault("garbage", "not", 4, whom=("both",)),
    Fault("replay", "not", 4, engines=_NATIVE, whom=("both",)),
    Fault("full run dir", "not", 3, is_held=True),
)
BY_NAME = {fault.name: fault for fault in FAULTS}


@dataclass(frozen=True, slots=True)
class Step:
    """
    One fault of a sequence.

    Attributes:
        number: 1 and up.
        hold_s: how long it lasts before it is undone; 0: it is over at once.
        percent: of packets lost, where packets are lost.
        seed: for what the fault itself draws.
        inside: comes at the end of *hold_s*, is undone, and only then this one is.
    """

    number: int
    fault: Fault
    whom: Whom
    hold_s: float
    percent: int
    seed: int
    inside: Step | None = None

    def __str__(self) -> str:
        words = f"{self.fault.name} ({self.whom})"
        if self.fault.name == "lossy":
            words += f" {self.percent} %"
        if self.hold_s:
            words += f" for {self.hold_s:.1f} s"
        return words if self.inside is None else f"{words}, then {self.inside}"


def sequence(seed: int, engine: Engine, without: Collection[str] = ()) -> Iterator[Step]:
    """The steps that a seed brings, without end; none of the faults named in *without*."""
    # Chosen to be repeated, not to be secret.
    dice = random.Random(f"{seed} {engine}")
    possible = [one for one in FAULTS if engine in one.engines and one.name not in without]
    number = 0
    while True:
        number += 1
        step = _draw(dice, possible, number)
        if step.fault.can_enclose and not dice.randrange(_DOUBLED):
            step = replace(step, inside=_draw(dice, possible, number))
        yield step


def _draw(dice: random.Random, possible: Sequence[Fault], number: int) -> Step:
    (fault,) = dice.choices(possible, [fault.weight for fault in possible])
    whom = dice.choice(fault.whom)
    # As many short ones as long ones: what is shorter than a dead time matters as much.
    hold_s = HOLD_MIN_S * (HOLD_MAX_S / HOLD_MIN_S) ** dice.random()
    percent = dice.randint(10, 30)
    return Step(
        number, fault, whom, hold_s if fault.is_held else 0.0, percent, dice.randrange(2**32)
    )


def dead_time_s(engine: Engine) -> float:
    """Until a backup takes over from a master that says nothing; the longer one of two engines."""
    return NATIVE_DEAD_S if engine == "native" else UCARP_DEAD_S


def outage_bound_ms(step: Step, engine: Engine) -> float:
    """
    The longest time without an answer that a client may see from a step's begin to its end.

    not: nobody should notice. mended: supervisord or vipd puts it right in place. planned: the
    address moves on purpose. moved: the peer takes over after a dead time, and the design gives a
    second more. hidden: a network that no election can see through for as long as it lasts. frozen:
    until the agent has found out what hangs. lossy: the client loses its own packets too. dark:
    nobody is there until both have started, and each has waited for the other's lease to end; so it
    may be with two at once, when each hits one node.
    """
    stretch = LOSSY_STRETCH if engine == "native" else 1
    moved_ms = (stretch * dead_time_s(engine) + _TAKING_S[engine]) * 1000
    if step.inside is not None:
        return moved_ms + _DARK_MS + (step.hold_s + step.inside.hold_s) * 1000
    hold_ms = step.hold_s * 1000
    verb = step.fault.name.partition(" ")[0]
    if step.whom == "backup" and verb in ("kill", "stop", "restart"):
        return UNNOTICED_MS
    return {
        "not": UNNOTICED_MS,
        "mended": 1000.0,
        "planned": 300.0 if engine == "native" else 1300.0,
        "moved": moved_ms,
        "hidden": hold_ms + moved_ms,
        "frozen": max(4000.0, moved_ms),
        "lossy": moved_ms + 2000.0,
        "dark": moved_ms + _DARK_MS,
    }[step.fault.felt]


def settled_within_s(step: Step, engine: Engine) -> float:
    """
    From the end of a fault until exactly one node is MASTER and holds the address.

    A lease that nobody renews is gone after 4 s at most; ucarp hears up to a second late; a bundle
    that starts listens for 3 s before it says a word.
    """
    bound_s = 4.0 + dead_time_s(engine) + 1.0
    does_start = step.fault.restarts or (step.inside is not None and step.inside.fault.restarts)
    return bound_s + 8.0 if does_start else bound_s
