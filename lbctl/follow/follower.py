"""
The loop that keeps HAProxy at what is wanted: one turn at a time, begun by whatever changes.

What it is told comes in by calls that return at once; what a turn has done is told as events, in
the status, and to those who wait for it. A turn that fails leaves what runs as it is, and comes
again, ever less often while it fails in the same way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lbctl.errors import LbctlError
from lbctl.follow import report
from lbctl.follow.apply import Applied, Applier
from lbctl.follow.base import Base, Note
from lbctl.follow.desired import Desired
from lbctl.follow.guard import Guard, Held
from lbctl.follow.merge import OPERATOR
from lbctl.follow.overrides import Overrides
from lbctl.follow.pace import Backoff, Pace, Pacing
from lbctl.follow.tally import Tally
from lbctl.follow.world import World
from lbctl.model.service import Snapshot

log = logging.getLogger(__name__)

#: All servers of all processes are looked at this often, seconds.
AUDIT_EVERY_S = 30.0
#: What is left to do, or does not answer, is tried again after so long, seconds.
AGAIN_S = 1.0
#: ``haproxy -c`` of what was changed at run time, at most this often, seconds.
CHECK_EVERY_S = 5.0
#: Who has files brought in waits so long for a reload that has to wait, seconds.
PATIENCE_S = 10.0


class Follower:
    """Owned by one event loop; :meth:`run` is its life."""

    def __init__(
        self,
        world: World,
        overrides: Overrides,
        backend_name: Callable[[str], str],
        note: Note,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.pace = Pace(Pacing())
        self.desired = Desired(Guard(0.0), backend_name)
        self.overrides = overrides
        self.applier = Applier(world, self.desired, overrides, self.pace, clock=clock, wall=wall)
        self.base: Base | None = None
        self.last: dict[str, Any] | None = None
        self.failure: dict[str, Any] | None = None
        self.tally = Tally()
        self.workers: Sequence[Mapping[str, Any]] = ()
        self.is_at_work = False
        self.on_reload: Callable[[], None] = lambda: None
        self._note = note
        self._clock = clock
        self._wall = wall
        self._wake = asyncio.Event()
        self._waiters: list[asyncio.Future[Applied]] = []
        self._patient: list[asyncio.Future[Applied]] = []
        self._joined: list[asyncio.Future[Applied]] = []
        self._by_force = ""
        self._again_at: float | None = None
        self._audited_at = self._began_at = clock()
        self._is_unchecked = False
        self._trouble = Backoff()
        self._told_unloadable = ""
        self._told_held: frozenset[tuple[str, int | None]] = frozenset()

    # --- what comes in -------------------------------------------------------------------------

    def offer(self, snapshot: Snapshot) -> None:
        """A source of services has something to say."""
        if self.desired.offer(snapshot):
            self._begin()

    def forget(self, source: str) -> None:
        """It is no source any more; what it said goes, as any loss does."""
        if self.desired.forget(source):
            self._begin()

    async def set_base(self, base: Base, *, confirm: bool = False, force: str = "") -> Applied:
        """
        The operator's files have been read anew; returns what became of it.

        Args:
            confirm: losses go through that the guard would hold back.
            force: why HAProxy is reloaded though nothing has changed; empty: it is not.
        """
        if self.base is not None and self.base.number != base.number:
            self.desired.retry_all()
        self.base = base
        self.pace.pacing = base.pacing
        self.desired.guard.hold_s = base.hold_s
        self.applier.old_workers = base.old_workers
        self.applier.why = base.why
        self.desired.set_prefer(base.prefer)
        self.desired.offer(Snapshot(OPERATOR, base.services, self._wall()))
        self.applier.backoff.settled()
        if confirm:
            self.desired.guard.confirm_next()
        self._by_force = force
        return await self._outcome(self._patient)

    def confirm(self) -> tuple[Held, ...]:
        """Let through what is held back now."""
        held = self.desired.guard.confirm()
        self._begin()
        return held

    def process_restarted(self, program: str) -> None:
        """Its processes know what the file says, and nothing that was said since."""
        fleet = self.applier.fleet
        if any(one.program == program for one in fleet.members.values()):
            fleet.mark_stale([program])
            self._begin()

    async def outcome(self, *, is_patient: bool = False) -> Applied:
        """Begin a turn; what it has done, though a reload may have to wait: *is_patient* waits."""
        return await self._outcome(self._patient if is_patient else self._waiters)

    async def outcome_of_offered(self) -> Applied:
        """What becomes of all that was offered: the turn at work has it, unless more came since."""
        if not self.is_at_work or self.pace.due() is not None:
            return await self.outcome(is_patient=True)
        waiter: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()
        self._joined.append(waiter)
        return await waiter

    async def _outcome(self, waiters: list[asyncio.Future[Applied]]) -> Applied:
        waiter: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        self._begin()
        return await waiter

    async def look(self) -> None:
        """Have all processes looked at now."""
        self.applier.fleet.mark_stale()
        await self.outcome()

    def _begin(self) -> None:
        self.pace.offered(self._clock())
        self._wake.set()

    # --- the life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._check_forever())
            while True:
                await self._wait()
                if self.base is not None:
                    await self._one(self.base)

    async def _wait(self) -> None:
        """Until there is something to do."""
        while (left_s := self._due() - self._clock()) > 0:
            self._wake.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _due(self) -> float:
        """The clock, when the next turn begins."""
        if self.base is None:
            return self._clock() + AUDIT_EVERY_S
        goes_at = self.desired.guard.due
        if goes_at is not None and goes_at <= self._began_at:
            # The last turn did not come so far as to let it through.
            goes_at = None
        times = (self.pace.due(), self._again_at, goes_at)
        audit = self._audited_at + AUDIT_EVERY_S
        return min((one for one in times if one is not None), default=audit)

    async def _one(self, base: Base) -> None:
        self.is_at_work = True
        self._began_at = self._clock()
        waiters, patient = [*self._waiters], [*self._patient]
        self._waiters.clear()
        self._patient.clear()
        force, self._by_force = self._by_force, ""
        self.pace.taken()
        if self._clock() >= self._audited_at + AUDIT_EVERY_S:
            self.applier.fleet.mark_stale()
            self._audited_at = self._began_at
        try:
            self._restore(is_due=bool(patient) or self._audited_at == self._began_at)
            applied = await self.applier.turn(base.compile, by_force=force)
        except (LbctlError, OSError) as error:
            self._trouble.tried(str(error), self._clock())
            waits_for = self._trouble.until(str(error))
            applied = Applied("failed", failure=str(error), waits_for=waits_for)
        else:
            self._trouble.settled()
        finally:
            self.is_at_work = False
            self.pace.ended(self._clock())
        is_audit = self._audited_at == self._began_at
        if is_audit and (there := self.applier.fleet.keys()):
            self.overrides.note_present(there, self._wall())
        if applied.did == "reload" or is_audit or not self.workers:
            self.workers = await self.applier.world.workers()
        if applied.did == "reload":
            self.on_reload()
        self._settle(applied)
        if applied.waits_for is not None and not applied.failure:
            self._by_force = self._by_force or force
        patient += self._joined
        self._joined = []
        if self._is_paused(applied):
            self._patient += patient
        else:
            waiters += patient
        _answer(waiters, applied)

    def _restore(self, *, is_due: bool) -> None:
        """What HAProxy would load when it starts is what runs, whoever has been at the files."""
        if is_due and (names := self.applier.world.restore(self.applier.loaded)):
            what = f"{', '.join(names)} in the run dir: not what runs, written anew"
            self._note("reload", what, {"files": list(names)})

    def _is_paused(self, applied: Applied) -> bool:
        """A reload comes soon, by itself."""
        if applied.waits_for is None or applied.failure or applied.held:
            return False
        return applied.waits_for - self._clock() <= PATIENCE_S

    def _settle(self, applied: Applied) -> None:
        """Tell what was done, and find out when to go on."""
        self._tell(applied)
        self._again_at = applied.waits_for
        if self.applier.fleet.is_unfinished:
            soon = self._clock() + AGAIN_S
            self._again_at = soon if self._again_at is None else min(soon, self._again_at)
        self._is_unchecked |= applied.did == "runtime"

    # --- haproxy -c in the background ----------------------------------------------------------

    async def _check_forever(self) -> None:
        """What was changed at run time must be what HAProxy would load."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            is_down = any(one.silence for one in self.applier.fleet.members.values())
            if (self._is_unchecked or is_down) and not self.is_at_work:
                self._is_unchecked = False
                await self._check(is_down=is_down)

    async def _check(self, *, is_down: bool) -> None:
        """
        A service that is refused where it serves goes on serving, until that keeps a HAProxy down.
        """
        loaded = self.applier.loaded
        try:
            self._restore(is_due=is_down)
            said = await self.applier.world.judge(loaded)
        except (LbctlError, OSError) as error:
            log.warning("the files in the run dir could not be checked: %s; going on", error)
            return
        if loaded is not self.applier.loaded:
            self._is_unchecked = True
            return
        if not said:
            self._forget_failure(lambda what: what == self._told_unloadable)
            self._told_unloadable = ""
            return
        names = {self.desired.backend_name(name): name for name in self.desired.applied}
        blamed = {names[one.service]: one.what for one in said if one.service in names}
        words = "; ".join(one.what for one in said)
        if not is_down or not blamed:
            self._is_unchecked = True
            self._tell_unloadable(words)
            return
        for name, what in blamed.items():
            if self.desired.leave_out(name, what, self._wall()):
                self._tell_left_out([name])
        self._begin()

    # --- what is told --------------------------------------------------------------------------

    def _tell(self, applied: Applied) -> None:
        if applied.did != "nothing" or applied.failure:
            self.last = report.applied_record(applied, self._wall())
        self.tally.count(applied, self._wall())
        processes = len(self.applier.fleet.answering)
        text = report.sentence(applied, processes)
        is_news = applied.failure != (self.failure or {}).get("what")
        if text and (not applied.failure or is_news):
            kind = "apply" if applied.did == "runtime" else "reload"
            self._note(kind, text, report.applied_record(applied, self._wall()))
        if applied.failure:
            self._fail(applied.failure)
        elif applied.did == "reload" or applied.waits_for is None:
            self._forget_failure(lambda what: what != self._told_unloadable)
        for one in applied.by_hand:
            self._note("apply", report.by_hand_sentence(one), {"server": "/".join(one.key)})
        self._tell_left_out(applied.left_out)
        self._tell_held(applied.held)

    def _tell_left_out(self, names: Sequence[str]) -> None:
        for name in names:
            one = self.desired.left_out.get(name)
            if one is not None:
                fields = {"service": name, "what": one.what}
                self._note("reload", report.left_out_sentence(name, one), fields)

    def _tell_held(self, held: Sequence[Held]) -> None:
        """Each once, until it wants something else."""
        now = self._clock()
        for one in held:
            if (one.name, one.wants) not in self._told_held:
                fields = {"service": one.name, "had": one.had, "wants": one.wants}
                self._note("reload", report.held_sentence(one, now), fields)
        self._told_held = frozenset((one.name, one.wants) for one in held)

    def _tell_unloadable(self, words: str) -> None:
        what = f"a HAProxy that has to start would refuse what is running: {words}"
        if what != self._told_unloadable:
            self._note("reload", what, {"what": words})
        self._told_unloadable = what
        self._fail(what)

    def _fail(self, what: str) -> None:
        if self.failure is None or self.failure["what"] != what:
            self.failure = {"what": what, "at": self._wall()}

    def _forget_failure(self, is_over: Callable[[str], bool]) -> None:
        if self.failure is not None and is_over(self.failure["what"]):
            self.failure = None

    def status(self) -> dict[str, Any]:
        """``apply`` in the node's status."""
        now, fleet = self._clock(), self.applier.fleet
        return {
            "state": self._state(),
            "generation": self.base.number if self.base else None,
            "last": self.last,
            "failure": self.failure,
            "held": report.held_records(self.desired.guard.held, now),
            "left_out": report.left_out_records(self.desired.left_out),
            "clashes": list(self.desired.clashes),
            "overrides": report.override_records(self.overrides.items()),
            "processes": report.member_records(fleet.members.values()),
            "workers": list(self.workers),
        }

    def warnings(self) -> list[str]:
        """What the operator should know, in sentences."""
        now = self._clock()
        found = [f"not applied: {self.failure['what']}"] if self.failure else []
        found += [report.held_sentence(one, now) for one in self.desired.guard.held]
        found += [
            report.left_out_sentence(name, one)
            for name, one in sorted(self.desired.left_out.items())
        ]
        found += report.mute_sentences(self.applier.fleet.members.values())
        found += [f"service {clash}" for clash in self.desired.clashes]
        return found + ([self.overrides.error] if self.overrides.error else [])

    def _state(self) -> str:
        if self.base is None:
            return "starting"
        if self.failure is not None:
            return "failed"
        if self.desired.guard.held:
            return "held"
        return "busy" if self.is_at_work or self.pace.due() is not None else "idle"


def _answer(waiters: Sequence[asyncio.Future[Applied]], applied: Applied) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(applied)
