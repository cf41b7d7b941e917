"""
All HAProxy processes as they answered last, and what is done to them at run time, side by side.

A process that does not answer keeps nobody waiting twice: it is asked again when it has started
anew, or at the next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from lbctl.errors import RuntimeApiError
from lbctl.follow.overrides import Key, Overrides
from lbctl.follow.reach import narrowed
from lbctl.follow.world import Look, World
from lbctl.haproxy.perform import Outcome
from lbctl.haproxy.plan import Plan, Running, plan
from lbctl.haproxy.seen import Seen, SeenServer
from lbctl.haproxy.steps import SetAdmin, SetWeight, Step
from lbctl.model.target import Admin, Target

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class Member:
    """
    One process.

    Attributes:
        number: 1 and up.
        program: that it belongs to.
        look: its last answer; None: it has not answered in this life of ours.
        is_stale: it must be looked at as a whole.
        dirty: backends in which it differs from what is wanted, or may.
        is_doubted: it was silent since its last look, and may have missed something.
        pending: removals that wait until the server is not in use any more, in words.
        vain: repairs in a row after which something was left.
        left: what that was, in words.
        silence: why it does not answer; empty: it does.
    """

    number: int
    program: str
    look: Look | None = None
    is_stale: bool = True
    is_doubted: bool = False
    dirty: set[str] = field(default_factory=set)
    pending: tuple[str, ...] = ()
    vain: int = 0
    left: str = ""
    silence: str = ""


@dataclass(frozen=True, slots=True)
class ByHand:
    """Somebody has set a server's state or weight on a Runtime socket."""

    number: int
    key: Key
    admin: Admin | None = None
    weight: int | None = None


class Fleet:
    """Looks, plans, performs; remembers."""

    def __init__(self, world: World, overrides: Overrides) -> None:
        self._world = world
        self._overrides = overrides
        self.members = {n: Member(n, world.program(n)) for n in world.numbers}

    @property
    def answering(self) -> tuple[Member, ...]:
        """Those that are known as they are now."""
        return tuple(one for one in self.members.values() if one.look and not one.silence)

    @property
    def is_unfinished(self) -> bool:
        """Some process does not answer, or has something left to do."""
        return any(
            one.is_stale or one.silence or one.dirty or one.pending for one in self.members.values()
        )

    def mark_stale(self, programs: Collection[str] | None = None) -> None:
        """Look at the processes of *programs* as a whole before the next step; None: at all."""
        for member in self.members.values():
            if programs is None or member.program in programs:
                member.is_stale = True

    def touch(self, backends: Collection[str]) -> None:
        """Something is wanted of servers in *backends* that the files do not tell."""
        for member in self.members.values():
            member.dirty |= set(backends)

    def unloaded(self, token: str) -> tuple[Member, ...]:
        """Those that have not loaded what the files say."""
        return tuple(one for one in self.answering if one.look and one.look.token != token)

    async def refresh(self, loaded: Target) -> tuple[ByHand, ...]:
        """Look at the stale ones; what was changed by hand since the look before."""
        stale = [one for one in self.members.values() if one.is_stale]
        before = {one.number: one.look for one in stale}
        await asyncio.gather(*(self._look(one) for one in stale))
        found: list[ByHand] = []
        for one in stale:
            was, now = before[one.number], one.look
            if one.silence or was is None or now is None or was is now:
                continue
            if (was.worker, was.token) == (now.worker, now.token):
                found += self._by_hand(one.number, was.seen, now.seen, loaded)
        return tuple(found)

    def plans(self, loaded: Target, wanted: Target, names: Collection[str]) -> dict[int, Plan]:
        """By process: what makes the backends *names*, and those in which it differs, as wanted."""
        found = {}
        for member in self.answering:
            # Until it is performed: what is wanted may be what the files say by the next turn.
            member.dirty |= {*names}
            found[member.number] = self._plan(member, loaded, wanted, member.dirty)
        return found

    async def perform(self, plans: Mapping[int, Plan], wanted: Target) -> Performed:
        """Have all of it done at the same time, and look whether it was."""
        busy = {number: one for number, one in plans.items() if one.steps or one.pending}
        outcomes = await asyncio.gather(*(self._perform(n, one, wanted) for n, one in busy.items()))
        for member in self.answering:
            if member.number in plans and member.number not in busy:
                member.dirty.clear()
                member.pending, member.vain, member.left = (), 0, ""
        return Performed(tuple(o for o in outcomes if o is not None))

    def keys(self) -> frozenset[Key]:
        """Every server that any process has; empty while one has not been looked at."""
        return self.known() if all(one.look for one in self.members.values()) else frozenset()

    def known(self) -> frozenset[Key]:
        """Every server of those processes that have been looked at."""
        looks = [one.look for one in self.members.values() if one.look is not None]
        return frozenset(
            (backend, server)
            for look in looks
            for backend, servers in look.seen.items()
            for server in servers
        )

    async def _look(self, member: Member) -> None:
        was, is_doubted = member.look, member.is_doubted
        asking = self._world.look(member.number, None, in_full=was is None)
        look = await self._ask(member, asking)
        if look is not None:
            member.look, member.is_stale, member.is_doubted = look, False, False
            member.dirty |= {*look.seen} if was is None or is_doubted else _differing(was, look)

    async def _ask(self, member: Member, asking: Awaitable[_Answer]) -> _Answer | None:
        try:
            answer = await asking
        except RuntimeApiError as error:
            member.silence, member.is_stale, member.is_doubted = str(error), True, True
            return None
        member.silence = ""
        return answer

    def _plan(self, member: Member, loaded: Target, wanted: Target, names: Collection[str]) -> Plan:
        assert member.look is not None
        seen = member.look.seen
        # What the operator's own file has is not ours to remove.
        ours = {name for name in names if name in loaded.backends or name in wanted.backends}
        running = Running(
            narrowed(loaded, ours), {n: seen[n] for n in ours if n in seen}, is_whole=True
        )
        made = plan(running, narrowed(wanted, ours), self._world.abilities)
        steps = tuple(self._own_steps(seen, wanted))
        return replace(made, steps=(*made.steps, *steps)) if steps else made

    def _own_steps(self, seen: Seen, wanted: Target) -> Iterator[Step]:
        """What is wanted of servers that the operator's own file has."""
        for (backend, server), one in self._overrides.items():
            found = seen.get(backend, {}).get(server)
            if backend in wanted.backends or found is None:
                continue
            if one.admin is not None and one.admin != found.admin:
                yield SetAdmin(backend, server, one.admin)
            if one.weight is not None and one.weight != found.weight:
                yield SetWeight(backend, server, one.weight)

    async def _perform(self, number: int, one: Plan, wanted: Target) -> Outcome | None:
        member = self.members[number]
        outcome = await self._ask(member, self._world.perform(number, one))
        if outcome is None:
            return None
        touched = {step.backend for step in (*one.steps, *one.pending)}
        again = await self._ask(member, self._world.look(number, touched))
        if again is None or member.look is None:
            return outcome
        seen = {name: servers for name, servers in member.look.seen.items() if name not in touched}
        member.look = replace(again, seen={**seen, **again.seen})
        self._note_rest(member, wanted, touched, outcome)
        return outcome

    def _note_rest(
        self, member: Member, wanted: Target, touched: set[str], outcome: Outcome
    ) -> None:
        """What is not as it should be, though it was asked for."""
        rest = self._plan(member, wanted, wanted, touched)
        member.pending = tuple(str(one) for one in outcome.pending)
        member.dirty = {step.backend for step in (*rest.steps, *rest.pending)}
        refused = [str(one) for one in outcome.failed]
        member.left = "; ".join(refused or [step.describe() for step in rest.steps])
        member.vain = member.vain + 1 if rest.steps else 0

    def _by_hand(self, number: int, was: Seen, now: Seen, loaded: Target) -> Iterator[ByHand]:
        for backend, servers in now.items():
            before = was.get(backend, {})
            if servers == before:
                continue
            for name, server in servers.items():
                old = before.get(name)
                if old is not None and (old.admin, old.weight) != (server.admin, server.weight):
                    yield from self._judge(number, (backend, name), old, server, loaded)

    def _judge(
        self, number: int, key: Key, old: SeenServer, new: SeenServer, loaded: Target
    ) -> Iterable[ByHand]:
        """Ours, if it is what we want; else somebody's hand."""
        admin, weight = self._expected(key, loaded)
        by_hand = ByHand(
            number,
            key,
            admin=new.admin if new.admin not in (old.admin, admin) else None,
            weight=new.weight if _is_set(old, new) and new.weight != weight else None,
        )
        return () if by_hand.admin is None and by_hand.weight is None else (by_hand,)

    def _expected(self, key: Key, loaded: Target) -> tuple[Admin | None, int | None]:
        backend, name = key
        generated = loaded.backends.get(backend)
        if generated is None:
            one = self._overrides.get(key)
            return (one.admin, one.weight) if one else (None, None)
        found = next((server for server in generated.servers if server.name == name), None)
        return (found.admin, found.weight) if found else (None, None)


@dataclass(frozen=True, slots=True)
class Performed:
    """What became of plans, by process."""

    outcomes: tuple[Outcome, ...]

    @property
    def commands(self) -> int:
        return sum(len(one.done) for one in self.outcomes)

    @property
    def steps(self) -> tuple[str, ...]:
        """What was done, in words, on the process that most was done on."""
        longest = max((one.done for one in self.outcomes), key=len, default=())
        return tuple(step.describe() for step in longest)

    @property
    def pending(self) -> tuple[str, ...]:
        """What is tried again, in words, of the process that most is left on."""
        longest = max((one.pending for one in self.outcomes), key=len, default=())
        return tuple(str(one) for one in longest)

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(str(failed) for one in self.outcomes for failed in one.failed)


def _differing(was: Look, now: Look) -> set[str]:
    """Backends that are not as they were at the last look; all of another life."""
    if (was.worker, was.token) != (now.worker, now.token):
        return {*now.seen}
    names = {*was.seen, *now.seen}
    return {name for name in names if was.seen.get(name) != now.seen.get(name)}


def _is_set(old: SeenServer, new: SeenServer) -> bool:
    """The weight is another one, and not because the server drains, which is told as a state."""
    return old.weight != new.weight and "drain" not in (old.admin, new.admin)
