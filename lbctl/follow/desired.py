"""
What is asked for: the services of all sources as one, without those that HAProxy refuses, and with
what they had for those that would lose too much.

Pure but for what it remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from lbctl.follow.guard import Guard, Held
from lbctl.follow.merge import Merged, merged
from lbctl.follow.naming import Family, Named, named
from lbctl.follow.overrides import Key
from lbctl.model.names import server_name
from lbctl.model.service import Service, Snapshot
from lbctl.model.target import Admin, Target


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
        self.backend_name = backend_name
        self.prefer: Family = "ipv4"
        self._by_source: dict[str, Snapshot] = {}
        self._names: dict[str, Mapping[str, tuple[str, ...]]] = {}
        self._applied: dict[str, Service] = {}
        self._is_known = False
        self._merged = Merged()
        self._named = Named()
        self._is_fresh = True

    @property
    def applied(self) -> Mapping[str, Service]:
        """By name, as they are in force; what an earlier life has applied is not in it."""
        return self._applied

    @property
    def clashes(self) -> tuple[str, ...]:
        """What sources say otherwise than the one that counts."""
        self.wanted()
        return self._merged.clashes

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """Addresses by host name, as sources tell them; one that a source forgot keeps its last."""
        known: dict[str, tuple[str, ...]] = {}
        for source in sorted(self._names, reverse=True):
            known |= self._names[source]
        return known

    def places(self) -> dict[Key, str]:
        """IP address by HAProxy's backend and server, of those with a name that a source knows."""
        self.wanted()
        return {
            (self.backend_name(name), server_name(key)): address
            for (name, key), address in self._named.places().items()
        }

    def snapshots(self) -> Mapping[str, Snapshot]:
        """What each source said last."""
        return self._by_source

    def sources_of(self, name: str) -> tuple[str, ...]:
        """Whose service it is, the one that defines it first; empty: nobody's any more."""
        self.wanted()
        return self._merged.sources.get(name, ())

    def state_of(self, key: Key) -> Admin:
        """What sources say of a server, by HAProxy's names."""
        for service in self.wanted().values():
            if self.backend_name(service.name) == key[0]:
                found = (one for one in service.servers if server_name(one.key) == key[1])
                return next((one.state for one in found), "ready")
        return "ready"

    def source_saying(self, name: str, key: str) -> str:
        """Which source has this server of a service, the one that counts; empty: none."""
        for source in self.sources_of(name):
            for service in self._by_source[source].services:
                if service.name == name and any(one.key == key for one in service.servers):
                    return source
        return ""

    def offer(self, snapshot: Snapshot) -> bool:
        """Take in what a source knows; whether that is anything new."""
        before = self._by_source.get(snapshot.source)
        has_services = before is None or before.services != snapshot.services
        has_names = dict(snapshot.names) != (dict(before.names) if before is not None else {})
        if before is not None and not has_services:
            # By the objects others know what has not changed.
            snapshot = replace(snapshot, services=before.services)
        if has_names:
            known = self._names.get(snapshot.source, {})
            self._names[snapshot.source] = {**known, **snapshot.names}
        self._by_source[snapshot.source] = snapshot
        is_new = has_services or has_names
        self._is_fresh = self._is_fresh and not is_new
        return is_new

    def forget(self, source: str) -> bool:
        """It is no source any more; whether it was one."""
        self._names.pop(source, None)
        was_there = self._by_source.pop(source, None) is not None
        self._is_fresh = self._is_fresh and not was_there
        return was_there

    def set_prefer(self, prefer: Family) -> None:
        """Which of a name's addresses are taken."""
        self._is_fresh = self._is_fresh and prefer == self.prefer
        self.prefer = prefer

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

    def wanted(self) -> Mapping[str, Service]:
        """By name, of all sources; see :mod:`lbctl.follow.merge`."""
        if not self._is_fresh:
            self._merged = merged(self._by_source.values(), self._merged)
            self._named = named(self._merged.services, self.names, self.prefer, self._named)
            self._is_fresh = True
        return self._named.services


def _counts(services: Iterable[Service]) -> dict[str, int]:
    """Servers of each; one that HAProxy finds by name counts as one."""
    return {one.name: len(one.servers) or (1 if one.dns else 0) for one in services}
