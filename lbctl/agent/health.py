"""
The checks that ask: each looks in its own rhythm, counts rise and fall, and vipd is told.

Looks of different checks run side by side; one check never overlaps itself. vipd hears of every
change at once, and of everything again each second, so that a vipd that was started anew knows, and
one that hears nothing knows that this process is gone. What vipd does meanwhile, hang or be away,
is no matter here: nobody waits for it longer than a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lbctl.agent.hang import Note
from lbctl.agent.looks import Looker
from lbctl.errors import VipdError
from lbctl.ha.checks import Look, Verdict
from lbctl.spec import DISCOVERY_CHECK, BundleSpec, CheckSpec

log = logging.getLogger(__name__)

TELL_EVERY_S = 1.0
TELL_LIMIT_S = 1.0
#: What vipd watches itself is not asked here.
ASKED = frozenset({"http", "tcp", "command"})


class Told(Protocol):
    """Whoever decides by the verdicts."""

    async def health(self, checks: Sequence[Mapping[str, Any]], *, limit_s: float) -> None:
        """
        Raises:
            VipdError: not told, or nobody knows.
        """


class Looks(Protocol):
    """Whoever looks: within the check's time limit, and without raising."""

    async def look(self, check: CheckSpec) -> Look: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Standing:
    """One check as it is now; *last* is its last look, *took_s* how long that took."""

    check: CheckSpec
    verdict: Verdict = field(default_factory=Verdict)
    last: Look | None = None
    took_s: float = 0.0


class HealthChecks:
    """All of them; ``run`` lives as long as the agent does. Without a vipd there are none."""

    def __init__(
        self,
        spec: BundleSpec,
        vipd: Told | None,
        note: Note,
        *,
        is_stopping: Callable[[], bool] = lambda: False,
        looker: Looks | None = None,
        discovery: Callable[[], tuple[bool | None, str]] | None = None,
        tell_every_s: float = TELL_EVERY_S,
    ) -> None:
        self._vipd = vipd
        self._note = note
        self._is_stopping = is_stopping
        self._tell_every_s = tell_every_s
        named = {"LBCTL_NODE": spec.node, "LBCTL_HOSTNAME": spec.hostname}
        self._looker = Looker(named) if looker is None else looker
        asked = (check for check in spec.checks if check.kind in ASKED)
        self._standing = [_Standing(check) for check in asked] if vipd else []
        is_taken = any(check.name == DISCOVERY_CHECK.name for check in spec.checks)
        self._discovery = discovery if vipd and not is_taken else None
        self._discovered: tuple[bool | None, str] = (None, "")
        self._news = asyncio.Event()
        self._is_told = True

    async def run(self) -> None:
        """Look and tell until the bundle stops: what fails from then on was meant to."""
        if not self._standing and self._discovery is None:
            return
        try:
            async with asyncio.TaskGroup() as group:
                for standing in self._standing:
                    group.create_task(self._look_forever(standing))
                group.create_task(self._tell_forever())
        finally:
            await self._looker.close()

    def on_discovery(self) -> None:
        """What it says may be another thing now; vipd hears of it at once."""
        if self._discovery is None:
            return
        was, self._discovered = self._discovered, self._discovery()
        is_well, what = self._discovered
        if is_well is was[0]:
            return
        self._news.set()
        fields = {"check": DISCOVERY_CHECK.name, "is_well": is_well}
        if is_well is False:
            self._note("check", f"check {DISCOVERY_CHECK.name} has failed: {what}", fields)
        elif was[0] is False:
            self._note("check", f"check {DISCOVERY_CHECK.name} is well again", fields)

    def as_list(self) -> list[dict[str, Any]]:
        """For status: what the last look of each found, and how long it took."""
        return [
            {
                "name": one.check.name,
                "kind": one.check.kind,
                "is_well": one.verdict.is_well,
                "what": one.verdict.what,
                "last": None if one.last is None else one.last.what,
                "took_s": round(one.took_s, 3),
                "against": one.verdict.against,
            }
            for one in self._standing
        ]

    async def _look_forever(self, standing: _Standing) -> None:
        due = time.monotonic()
        while not self._is_stopping():
            began = time.monotonic()
            look = await self._looker.look(standing.check)
            standing.took_s = time.monotonic() - began
            if not self._is_stopping():
                self._take(standing, look)
            due = next_due(due, time.monotonic(), standing.check.interval_s)
            await asyncio.sleep(due - time.monotonic())

    def _take(self, standing: _Standing, look: Look) -> None:
        check, was = standing.check, standing.verdict
        standing.last = look
        standing.verdict = was.after(look, rise=check.rise, fall=check.fall)
        if standing.verdict.is_well is was.is_well:
            return
        self._news.set()
        if standing.verdict.is_well is False:
            text = f"check {check.name} has failed: {look.what}"
        elif was.is_well is False:
            text = f"check {check.name} is well again: {look.what}"
        else:
            return
        self._note("check", text, {"check": check.name, "is_well": look.is_well})

    async def _tell_forever(self) -> None:
        while not self._is_stopping():
            self._news.clear()
            # Time alone may have decided it.
            self.on_discovery()
            await self._tell()
            try:
                async with asyncio.timeout(self._tell_every_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _tell(self) -> None:
        known = [
            {"name": s.check.name, "is_well": s.verdict.is_well, "what": s.verdict.what}
            for s in self._standing
            if s.verdict.is_well is not None
        ]
        is_well, what = self._discovered
        if is_well is not None:
            known.append({"name": DISCOVERY_CHECK.name, "is_well": is_well, "what": what})
        try:
            if known and self._vipd is not None:
                await self._vipd.health(known, limit_s=TELL_LIMIT_S)
                self._is_told = True
        except VipdError as error:
            if self._is_told:
                log.warning("vipd is not told of the checks: %s; tried again each second", error)
            self._is_told = False


def next_due(due: float, now: float, interval_s: float) -> float:
    """
    When to look again, in step with *due*, the time of the last look: one that took too long leaves
    out those that it has missed.
    """
    return due + interval_s * (max(0.0, now - due) // interval_s + 1)
