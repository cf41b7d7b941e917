"""
What is asked for: the services of all sources as one, without those that HAProxy refuses, and with
what they had for those that would lose too much.

Pure but for what it remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lbctl.follow.guard import Guard, Held
from lbctl.model.service import Service, Snapshot
from lbctl.model.target import Target

#: The source that the operator writes; it comes before all others.
OPERATOR: Final = "lb.yaml"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """
    A service that cannot be had as it is.

    Attributes:
        service: the definition that is refused; another one is tried again.
        what: why, in HAProxy's words or ours.
        at: wall clock, seconds.
        serves_as_before: an earlier definition is in force in its place.
    """

    service: Service
    what: str
    at: float
    serves_as_before: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Attributes:
        services: what is to be compiled.
        held: losses that wait.
        frozen: backends whose servers stay as they run: held, and the service as it was is not
            known, since this process has not applied it.
        is_frame_frozen: a service that is not known is held: its routes must stay, so that nothing
            may be reloaded.
    """

    services: tuple[Service, ...]
    held: tuple[Held, ...] = ()
    frozen: frozenset[str] = frozenset()
    is_frame_frozen: bool = False


class Desired:
    """Sources in, one selection out."""

    def __init__(self, guard: Guard, backend_name: Callable[[str], str]) -> None:
        self.guard = guard
        self.left_out: dict[str, LeftOut] = {}
        self.clashes: tuple[str, ...] = ()
        self.backend_name = backend_name
        self._by_source: dict[str, tuple[Service, ...]] = {}
        self._applied: dict[str, Service] = {}
        self._is_known = False
        self._wanted: dict[str, Service] | None = None

    @property
    def applied(self) -> Mapping[str, Service]:
        """By name, as they are in force; what an earlier life has applied is not in it."""
        return self._applied

    def sources(self) -> Mapping[str, int]:
        """How many services each one has."""
        return {source: len(services) for source, services in self._by_source.items()}

    def source_of(self, name: str) -> str:
        """Whose service it is; empty: nobody's any more."""
        for source in self._order():
            if any(one.name == name for one in self._by_source[source]):
                return source
        return ""

    def offer(self, snapshot: Snapshot) -> bool:
        """Take in what a source knows; whether that is anything new."""
        is_new = self._by_source.get(snapshot.source) != snapshot.services
        self._by_source[snapshot.source] = snapshot.services
        self._wanted = None if is_new else self._wanted
        return is_new

    def select(self, now: float, running: Target) -> Selection:
        """What to compile at *now*, by the guard's clock, beside what runs."""
        wanted = self.wanted()
        self._forgive(wanted)
        if not self._is_known:
            return self._select_unknown(now, wanted, running)
        held = self.guard.judge(now, _counts(self._applied.values()), _counts(wanted.values()))
        kept = {one.name: self._applied[one.name] for one in held}
        return Selection(tuple(self._settle({**wanted, **kept})), held)

    def leave_out(self, name: str, what: str, at: float) -> bool:
        """
        *name* is refused; its earlier definition takes its place, and nothing, if that is refused.

        Returns:
            Whether that is news: a refusal that was known is none.
        """
        known = self.left_out.get(name)
        service = self.wanted().get(name) or self.applied.get(name)
        if service is None:
            return False
        if known is not None and not known.serves_as_before:
            return False
        before = self.applied.get(name)
        can_serve = known is None and before is not None and before != service
        self.left_out[name] = LeftOut(service, what, at, can_serve)
        return True

    def retry_all(self) -> None:
        """What was refused may be accepted now: the rest of the configuration is another one."""
        self.left_out.clear()

    def settled(self, selection: Selection) -> None:
        """It is in force, but for what is frozen: that is still known by its backend alone."""
        frozen = selection.frozen
        self._is_known = not frozen
        self._applied = {
            one.name: one
            for one in selection.services
            if not frozen or self.backend_name(one.name) not in frozen
        }

    def settled_servers(self, services: Iterable[Service], backends: Collection[str]) -> None:
        """The servers of those with *backends* are in force; the rest of them is not."""
        for one in services:
            known = self._applied.get(one.name)
            if known is not None and known is not one and self.backend_name(one.name) in backends:
                self._applied[one.name] = replace(known, servers=one.servers)

    def _settle(self, services: Mapping[str, Service]) -> Iterable[Service]:
        return self._accepted(services) if self.left_out else services.values()

    def _accepted(self, services: Mapping[str, Service]) -> Iterable[Service]:
        for name, service in services.items():
            refused = self.left_out.get(name)
            if refused is None or refused.service != service:
                yield service
            elif refused.serves_as_before and name in self.applied:
                yield self.applied[name]

    def _forgive(self, wanted: Mapping[str, Service]) -> None:
        """One that is defined anew, or gone, is refused no more."""
        self.left_out = {
            name: one for name, one in self.left_out.items() if wanted.get(name) == one.service
        }

    def _select_unknown(
        self, now: float, wanted: Mapping[str, Service], running: Target
    ) -> Selection:
        """After a start: what an earlier life has applied is known by its backends alone."""
        names = {self.backend_name(name): name for name in (*wanted, *self._applied)}
        had = {
            names.get(backend, backend): len(one.servers)
            for backend, one in running.backends.items()
        }
        had |= _counts(self._applied.values())
        held = self.guard.judge(now, had, _counts(wanted.values()))
        kept = {one.name: self._applied[one.name] for one in held if one.name in self._applied}
        unknown = [one.name for one in held if one.name not in kept]
        return Selection(
            tuple(self._settle({**wanted, **kept})),
            held,
            frozen=frozenset(self.backend_name(name) for name in unknown if name in wanted),
            is_frame_frozen=any(name not in wanted for name in unknown),
        )

    def _order(self) -> Sequence[str]:
        return sorted(self._by_source, key=lambda source: (source != OPERATOR, source))

    def wanted(self) -> Mapping[str, Service]:
        """By name; of two with one name the operator's counts, then the first source's."""
        if self._wanted is not None:
            return self._wanted
        found: dict[str, Service] = {}
        all_of_them = [(s, one) for s in self._order() for one in self._by_source[s]]
        self.clashes = tuple(
            f"{one.name} of {source}: another source has the name"
            for source, one in all_of_them
            if found.setdefault(one.name, one) is not one
        )
        self._wanted = found
        return found


def _counts(services: Iterable[Service]) -> dict[str, int]:
    """Servers of each; one that HAProxy finds by name counts as one."""
    return {one.name: len(one.servers) or (1 if one.dns else 0) for one in services}
