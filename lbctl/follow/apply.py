"""
One turn: from what is wanted to what runs, at run time where that is enough, else by a reload.

The files come first, so that they always say what is to run. What HAProxy refuses is found and left
out; a reload that fails leaves the old files and the old workers.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lbctl.follow.desired import Desired, Selection
from lbctl.follow.fleet import ByHand, Fleet, Performed
from lbctl.follow.guard import Held
from lbctl.follow.isolate import Refusal, isolate
from lbctl.follow.overrides import Key, Overrides
from lbctl.follow.pace import Backoff, Pace
from lbctl.follow.reach import changed_backends, with_servers_of, within_reach
from lbctl.follow.world import Wanted, World
from lbctl.haproxy.plan import Plan, Running, plan
from lbctl.model.service import Service

Did = Literal["nothing", "runtime", "reload", "failed"]

#: Refused services are searched so often in one turn; each search finds all that it can.
_SEARCHES = 3
#: Repairs in vain, one after the other, until a reload is to set it right.
VAIN_MOST = 2


@dataclass(frozen=True, slots=True)
class Compiled:
    """
    Services as files.

    Attributes:
        wanted: what HAProxy is to load; the token is not set.
        problems: service -> why it cannot be compiled, and is not in it.
        notes: what works, and is worth a thought.
    """

    wanted: Wanted
    problems: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


#: Pure; raises LbctlError where nothing can be made of it at all: a template of the operator's.
Compile = Callable[[Sequence[Service]], Compiled]


@dataclass(frozen=True, slots=True)
class Applied:
    """
    What a turn has done.

    Attributes:
        did: ``failed``: what runs is as it was.
        steps: what was done at run time, in words, of the process that most was done on.
        commands: how many steps, over all processes.
        reasons: why a reload was needed; or is, while it has to wait.
        failure: what went wrong; empty: nothing.
        waits_for: the clock, when the reload may be tried; None: none is needed.
        left_out: services that this turn has found to be refused.
        pending: removals that wait until the server is not in use any more, in words.
        by_hand: states that somebody had set on a Runtime socket, and that now hold everywhere.
        took_s: seconds.
    """

    did: Did
    steps: tuple[str, ...] = ()
    commands: int = 0
    reasons: tuple[str, ...] = ()
    failure: str = ""
    waits_for: float | None = None
    held: tuple[Held, ...] = ()
    left_out: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    by_hand: tuple[ByHand, ...] = ()
    took_s: float = 0.0


@dataclass(slots=True)
class _Turn:
    """What the parts of one turn hand to each other."""

    selection: Selection
    wanted: Wanted
    names: frozenset[str]
    plans: Mapping[int, Plan]
    reasons: tuple[str, ...]

    @property
    def mark(self) -> str:
        """Of what a reload would bring: the same one again is the same attempt."""
        more = "".join(f"{name}\0{text}\0" for name, text in sorted(self.wanted.more.items()))
        return f"{self.wanted.target.shape()}{hash(more)}"


class Applier:
    """Knows what the files say and what each process answered; one turn at a time."""

    def __init__(
        self,
        world: World,
        desired: Desired,
        overrides: Overrides,
        pace: Pace,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.world = world
        self.desired = desired
        self.overrides = overrides
        self.pace = pace
        self.fleet = Fleet(world, overrides)
        self.loaded = world.read()
        self.backoff = Backoff()
        self.old_workers = 20
        self.why = ""
        self._clock = clock
        self._wall = wall

    async def turn(self, compile_: Compile, *, by_force: str = "") -> Applied:
        """
        Make it so.

        Args:
            compile_: for the present generation.
            by_force: why a reload is wanted though nothing needs one; empty: none is.

        Raises:
            LbctlError, OSError: nothing was done, or not all of it.
        """
        began = self._clock()
        by_hand = await self._refresh()
        left_out: list[str] = []
        for _ in range(_SEARCHES):
            turn = self._prepare(compile_, left_out, by_force)
            if not turn.reasons:
                done = await self._at_run_time(turn)
                break
            if self._must_wait(turn):
                done = await self._partly(turn)
                break
            if crowd := "" if by_force else await self._crowd():
                done = await self._try(turn, crowd, by_force)
                break
            refused = await self._refused(turn, compile_)
            if not refused.found:
                done = await self._try(turn, refused.why, by_force)
                break
            left_out += refused.found
        else:
            done = await self._try(turn, "HAProxy refuses more than can be left out", by_force)
        return replace(
            done,
            held=turn.selection.held,
            left_out=tuple(dict.fromkeys(left_out)),
            by_hand=by_hand,
            took_s=self._clock() - began,
        )

    async def _try(self, turn: _Turn, refusal: str, by_force: str) -> Applied:
        if not refusal:
            return await self._reload(turn, by_force)
        self.backoff.tried(turn.mark, self._clock())
        return await self._partly(turn, refusal)

    async def _crowd(self) -> str:
        """Why the old workers are too many for a further reload; empty: they are not."""
        old = sum(int(str(one["old"])) for one in await self.world.workers())
        if old <= self.old_workers:
            return ""
        return (
            f"the reload waits: {old} old workers still have connections, and apply.old_workers "
            f"is {self.old_workers}; `lbctl reload --force` does not wait"
        )

    async def _refresh(self) -> tuple[ByHand, ...]:
        """Look at those who must be looked at, and make somebody's word everybody's."""
        by_hand = await self.fleet.refresh(self.loaded.target)
        for one in by_hand:
            self.overrides.set(
                one.key,
                by=f"hand on the socket of process {one.number}",
                at=self._wall(),
                admin=one.admin,
                weight=one.weight,
                is_own=self.keeps_ready(one.key),
            )
        return by_hand

    def keeps_ready(self, key: Key) -> bool:
        """Whether ``ready`` is a word of its own: a source or the operator's file differs."""
        is_own = key[0] not in self.loaded.target.backends
        return is_own or self.desired.state_of(key) != "ready"

    def _prepare(self, compile_: Compile, left_out: list[str], by_force: str) -> _Turn:
        """Select, compile, plan; what cannot be compiled is left out."""
        running = self.loaded.target
        for _ in range(_SEARCHES):
            selection = self.desired.select(self._clock(), running)
            compiled = compile_(selection.services)
            news = [
                name
                for name, what in compiled.problems.items()
                if self.desired.leave_out(name, what, self._wall())
            ]
            left_out += news
            if not news:
                break
        target = with_servers_of(compiled.wanted.target, running, selection.frozen)
        self.overrides.forget_ready(target)
        target = self.overrides.applied(target)
        wanted = replace(compiled.wanted, target=target, token=self.loaded.token)
        names = changed_backends(running.backends, target.backends)
        plans = self.fleet.plans(running, target, names)
        reasons = self._reasons(wanted, plans, by_force)
        return _Turn(selection, wanted, names, plans, reasons)

    def _reasons(self, wanted: Wanted, plans: Mapping[int, Plan], by_force: str) -> tuple[str, ...]:
        """Why a reload, each reason once."""
        loaded = self.loaded
        found = [by_force] if by_force else []
        if wanted.is_beside != loaded.is_beside:
            found.append("the operator's haproxy.cfg comes or goes")
        found += [f"{name} changed" for name in wanted.differing(loaded)]
        found += [str(reason) for plan in plans.values() for reason in plan.reasons]
        if not plans:
            nobody = plan(Running(loaded.target), wanted.target, self.world.abilities)
            found += [str(reason) for reason in nobody.reasons]
        found += [
            f"{one.program} runs what it loaded before" for one in self.fleet.unloaded(loaded.token)
        ]
        found += [
            f"{one.program} could not be set right: {one.left}"
            for one in self.fleet.answering
            if one.vain >= VAIN_MOST
        ]
        return tuple(dict.fromkeys([*([self.why] if self.why and found else []), *found]))

    def _must_wait(self, turn: _Turn) -> bool:
        return turn.selection.is_frame_frozen or self._clock() < self._reload_due(turn)

    def _reload_due(self, turn: _Turn) -> float:
        return max(self.pace.reload_due(), self.backoff.until(turn.mark))

    async def _at_run_time(self, turn: _Turn) -> Applied:
        performed = await self._install(turn.wanted, turn.plans)
        self.desired.settled(turn.selection)
        self.backoff.settled()
        did: Did = "runtime" if performed.commands or turn.names else "nothing"
        failure = "; ".join(performed.failed)
        return Applied(
            did, performed.steps, performed.commands, failure=failure, pending=performed.pending
        )

    async def _partly(self, turn: _Turn, failure: str = "") -> Applied:
        """The reload has to wait; servers need not."""
        running = self.loaded.target
        beyond = {reason.backend for plan in turn.plans.values() for reason in plan.reasons}
        target = within_reach(running, turn.wanted.target, beyond)
        names = changed_backends(running.backends, target.backends)
        plans = self.fleet.plans(running, target, names)
        able = {number: plan for number, plan in plans.items() if not plan.reasons}
        performed = await self._install(replace(self.loaded, target=target), able)
        self.desired.settled_servers(turn.selection.services, names)
        due = self._reload_due(turn)
        if turn.selection.is_frame_frozen:
            due = max(due, self.desired.guard.due or 0.0)
        did: Did = "runtime" if performed.commands else "nothing"
        return Applied(
            "failed" if failure else did,
            performed.steps,
            performed.commands,
            turn.reasons,
            "; ".join(filter(None, (failure, *performed.failed))),
            due,
            pending=performed.pending,
        )

    async def _install(self, wanted: Wanted, plans: Mapping[int, Plan]) -> Performed:
        """The file, then the processes."""
        if wanted.target is not self.loaded.target and wanted.target != self.loaded.target:
            await self.world.write(wanted, self.loaded)
        self.loaded = wanted
        return await self.fleet.perform(plans, wanted.target)

    async def _refused(self, turn: _Turn, compile_: Compile) -> _Refused:
        """Ask HAProxy; whom it refuses is left out from now on."""
        if _same_files(turn.wanted, self.loaded):
            return _Refused()
        said = await self.world.judge(turn.wanted)
        if not said:
            return _Refused()
        services = turn.selection.services
        names = {self.desired.backend_name(one.name): one.name for one in services}

        async def judge(some: Sequence[Service]) -> tuple[Refusal, ...]:
            target = self.overrides.applied(compile_(some).wanted.target)
            found = await self.world.judge(replace(turn.wanted, target=target))
            return tuple(replace(one, service=names.get(one.service, "")) for one in found)

        applied = self.desired.applied
        good = frozenset(one.name for one in services if applied.get(one.name) == one)
        found = await isolate(services, good, judge)
        news = [
            name
            for name, what in found.refused.items()
            if self.desired.leave_out(name, what, self._wall())
        ]
        return _Refused(tuple(news), "" if news else "; ".join(one.what for one in said))

    async def _reload(self, turn: _Turn, by_force: str) -> Applied:
        """Write, reload, look; where nobody could load it, everything is as it was."""
        self.fleet.mark_stale()
        if await self._refresh():
            target = self.overrides.applied(turn.wanted.target)
            turn.wanted = replace(turn.wanted, target=target)
        before, wanted = self.loaded, turn.wanted
        programs = {one.program for one in self.fleet.answering}
        if not _same_files(wanted, before):
            wanted = replace(wanted, token=secrets.token_hex(8))
            await self.world.write(wanted, before)
            self.loaded = wanted
        elif not by_force:
            odd = [one for one in self.fleet.answering if one.vain >= VAIN_MOST]
            programs = {one.program for one in (*odd, *self.fleet.unloaded(wanted.token))}
        self.backoff.tried(turn.mark, self._clock())
        results = await self.world.reload(programs)
        self.pace.reloaded(self._clock())
        bad = [f"{one.name}: {one.said}" for one in results if not one.is_ok]
        failure = "; ".join(bad)
        if bad and len(bad) == len(results):
            if wanted is not before:
                await self.world.write(before, wanted)
                self.loaded = before
            for one in results:
                if one.needs_restart:
                    await self.world.restart(one.name)
            # The others were not asked.
            return await self._partly(turn, bad[0])
        self.why = ""
        self.desired.settled(turn.selection)
        self.world.tidy(self.loaded)
        performed = await self._after_reload(programs)
        words = "; ".join(filter(None, (failure, *performed.failed)))
        due = self._reload_due(turn) if self.fleet.unloaded(self.loaded.token) else None
        return Applied("reload", (), performed.commands, turn.reasons, words, due)

    async def _after_reload(self, programs: Collection[str]) -> Performed:
        """New workers know what the file says, and not yet what it cannot say."""
        self.fleet.mark_stale(programs)
        target = self.loaded.target
        await self.fleet.refresh(target)
        return await self.fleet.perform(self.fleet.plans(target, target, ()), target)


@dataclass(frozen=True, slots=True)
class _Refused:
    """Services that were found to be refused; and, where nobody was, why nothing can be loaded."""

    found: tuple[str, ...] = ()
    why: str = ""


def _same_files(one: Wanted, other: Wanted) -> bool:
    return replace(one, token=other.token) == other
