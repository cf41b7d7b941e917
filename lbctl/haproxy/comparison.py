"""One backend of one HAProxy process, as it runs and as it is wanted: what makes them the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.around import changes
from lbctl.haproxy.seen import SeenServer
from lbctl.haproxy.steps import (
    AddServer,
    RemoveServer,
    SetAddress,
    SetAdmin,
    SetMaxconn,
    SetWeight,
    Step,
)
from lbctl.model.address import split_address
from lbctl.model.names import service_of
from lbctl.model.target import TargetBackend, TargetServer, meaning


@dataclass(frozen=True, slots=True)
class Reason:
    """
    Why a reload.

    Attributes:
        backend: whose; empty: of what is around the generated backends.
        what: has changed, and why that takes a reload.
    """

    backend: str
    what: str

    def __str__(self) -> str:
        return f"{service_of(self.backend)}: {self.what}" if self.backend else self.what


@dataclass(slots=True)
class Draft:
    """
    A plan that grows; its steps come in the order of these groups.

    Attributes:
        gives: what brings service, or changes nothing of it.
        takes: what keeps requests from a server that stays.
        leaves: servers that go.
        reasons: see :class:`lbctl.haproxy.plan.Plan`.
        pending: see there.
    """

    gives: list[Step] = field(default_factory=list)
    takes: list[Step] = field(default_factory=list)
    leaves: list[Step] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    pending: list[RemoveServer] = field(default_factory=list)

    def add(self, other: Draft) -> None:
        """Take over what *other* says of one backend; with a reason, its steps do not count."""
        self.pending += other.pending
        if other.reasons:
            self.reasons += other.reasons
            return
        self.gives += other.gives
        self.takes += other.takes
        self.leaves += other.leaves


def compare(
    old: TargetBackend,
    new: TargetBackend,
    seen: Mapping[str, SeenServer],
    abilities: Abilities,
) -> Draft:
    """
    Plan for one backend.

    Args:
        old: as it was loaded.
        new: as it is wanted.
        seen: its servers in the process.
        abilities: of the process.
    """
    return _Comparison(old, new, seen, abilities).draft()


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One backend as it was loaded, as it is wanted, and as it runs."""

    old: TargetBackend
    new: TargetBackend
    seen: Mapping[str, SeenServer]
    abilities: Abilities

    def draft(self) -> Draft:
        draft = Draft()
        if why := self._own_lines():
            draft.reasons.append(Reason(self.new.name, why))
            return draft
        was_by_name = {server.name: server for server in self.old.servers}
        holders = {now.id: name for name, now in self.seen.items()}
        for server in self.new.servers:
            now, was = self.seen.get(server.name), was_by_name.get(server.name)
            if now is None:
                why = self._why_not_add(server, holders.get(server.id))
                draft.gives.append(AddServer(self.new.name, server.name, server, self.new.options))
            elif was is server and _is_as_wanted(server, now):
                continue
            else:
                why = self._why_not_set(server, was, now)
                self._settings(draft, server, was, now)
            if why:
                draft.reasons.append(Reason(self.new.name, why))
        self._leave(draft, was_by_name)
        return draft

    def _own_lines(self) -> str:
        """What differs apart from servers; empty: nothing but comments."""
        if self.old.head is self.new.head and self.old.options == self.new.options:
            return ""
        old, new = meaning(self.old.head).split("\n"), meaning(self.new.head).split("\n")
        if old == new and self.old.options == self.new.options:
            return ""
        what = changes(old, new)
        return f"its own lines change: {what}" if what else "its own lines change"

    def _why_not_add(self, server: TargetServer, holder: str | None) -> str:
        """Why *server* cannot come at run time, *holder* having its id; empty: it can."""
        comes = f"{server.name} ({server.address}) comes"
        if self.new.fixed:
            return f"{comes}, and its servers are fixed: {self.new.fixed}"
        if not self.abilities.can_add:
            return f"{comes}, and HAProxy {self.abilities.version} adds none at run time"
        if server.cookie and not self.abilities.can_add_cookie:
            return f"{comes} with a cookie, which HAProxy takes at run time from 3.0 on"
        if server.is_named:
            return f"{comes}, and HAProxy looks up no name that it learns at run time"
        if word := self.abilities.unspeakable(self.new.options):
            return f"{comes}, and {word!r} cannot be said at run time"
        if holder is not None:
            return f"{comes} with the id {server.id}, which {holder} still has"
        return ""

    def _why_not_set(self, server: TargetServer, was: TargetServer | None, now: SeenServer) -> str:
        """Why *server* cannot be changed at run time; empty: it can."""
        if now.id != server.id:
            return f"{server.name}: its id becomes {server.id} from {now.id}"
        if why := _kept(server, was, now):
            return why
        if (server.is_named or now.fqdn) and (was is None or was.address != server.address):
            return f"{server.name}: {server.address}: names are looked up after a reload"
        if self.new.fixed and not self._takes_weight(server, now):
            return (
                f"{server.name}: its weight becomes {server.weight}, and the weights are fixed: "
                f"{self.new.fixed}"
            )
        return ""

    def _takes_weight(self, server: TargetServer, now: SeenServer) -> bool:
        """
        Whether a static algorithm lets *server* have its weight: none but 0 and the first one.

        A drained server has no use for one.
        """
        return server.admin == "drain" or server.weight in (0, now.weight, now.initial_weight)

    def _settings(
        self, draft: Draft, server: TargetServer, was: TargetServer | None, now: SeenServer
    ) -> None:
        """Steps for a server that is there and stays."""
        backend, name = self.new.name, server.name
        place = split_address(server.address)
        if place is not None and place != (now.address, now.port):
            draft.gives.append(SetAddress(backend, name, *place))
        believed = -1 if was is None else was.maxconn or 0
        if (server.maxconn or 0) != (believed if now.limit < 0 else now.limit):
            draft.gives.append(SetMaxconn(backend, name, server.maxconn))
        is_static = bool(self.new.fixed) and server.admin == "drain"
        weigh: list[Step] = []
        if server.weight != now.weight and not is_static:
            weigh.append(SetWeight(backend, name, server.weight))
        if server.admin != now.admin:
            starts = now.check == "off" and server.admin != "maint"
            say = SetAdmin(backend, name, server.admin, starts_checks=starts)
            if server.admin == "ready":
                draft.gives += [*weigh, say]
            else:
                # a weight first would let a drained server of weight 0 have requests
                draft.takes += [say, *weigh]
        elif server.weight < now.weight:
            draft.takes += weigh
        else:
            draft.gives += weigh

    def _leave(self, draft: Draft, was_by_name: Mapping[str, TargetServer]) -> None:
        wanted = {server.name for server in self.new.servers}
        for name, now in self.seen.items():
            if name in wanted:
                continue
            if self.new.fixed and name not in was_by_name:
                continue  # of a server-template
            if self.new.fixed or not self.abilities.can_add:
                draft.reasons.append(Reason(self.new.name, self._why_not_remove(name)))
            elif now.admin == "maint" and name not in was_by_name:
                draft.pending.append(RemoveServer(self.new.name, name))
            else:
                draft.leaves.append(RemoveServer(self.new.name, name))

    def _why_not_remove(self, name: str) -> str:
        if self.new.fixed:
            return f"{name} goes, and its servers are fixed: {self.new.fixed}"
        return f"{name} goes, and HAProxy {self.abilities.version} removes none at run time"


def _kept(server: TargetServer, was: TargetServer | None, now: SeenServer) -> str:
    """What of *server* no command changes, and yet is to change; empty: nothing."""
    if now.cookie is not None and now.is_backup is not None:
        cookie, is_backup = now.cookie, now.is_backup
    elif was is not None:
        cookie, is_backup = was.cookie, was.is_backup
    elif server.cookie or server.is_backup:
        return f"{server.name} comes back before it was gone: how it was is not known"
    else:
        return ""
    if cookie != server.cookie:
        return f"{server.name}: its cookie changes"
    if is_backup != server.is_backup:
        return f"{server.name}: it becomes a {'backup' if server.is_backup else 'main'} server"
    return ""


def _is_as_wanted(server: TargetServer, now: SeenServer) -> bool:
    """A quick look, for the many that are: false does not mean that anything is to do."""
    return (
        now.id == server.id
        and now.weight == server.weight
        and now.admin == server.admin
        and server.address == f"{now.address}:{now.port}"
        and now.limit < 0
        and now.cookie is None
        and now.is_backup is None
    )
