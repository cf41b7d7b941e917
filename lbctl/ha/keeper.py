"""
The keeper of the addresses: makes the interface hold what the role says, and only that.

Master: every address of the group, renewed as a lease on evidence, announced at once, again after
a second and every minute. Otherwise: none. It looks at what is there, compares, and acts, so that
any number of calls in any order end in the same state.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from lbctl.errors import NetlinkError
from lbctl.ha.journal import Journal
from lbctl.ha.lease import LEASE_S, Verdict
from lbctl.ha.role import Role, RoleFile, RoleName
from lbctl.spec import GroupSpec

log = logging.getLogger(__name__)

ANNOUNCE_AGAIN_S = 1.0
ANNOUNCE_REFRESH_S = 60.0


class AddressTable(Protocol):
    """
    The addresses of one interface. Each call takes about a millisecond.

    Raises:
        NetlinkError: the kernel refused; the message says what and why.
    """

    def present(self) -> Mapping[str, float | None]:
        """Address with prefix -> seconds of lease left, None: for ever."""

    def hold(self, cidr: str, *, lease_s: int = LEASE_S) -> None:
        """Add it, or renew its lease."""

    def drop(self, cidr: str) -> None:
        """Remove it; one that is not there is fine."""


class Announce(Protocol):
    """Tell the neighbours where the addresses are: gratuitous ARP, neighbour advertisement."""

    def __call__(self, addresses: Iterable[str]) -> None: ...


class Keeper:
    """Owns the role file and the addresses of one group."""

    def __init__(
        self,
        group: GroupSpec,
        roles: RoleFile,
        table: AddressTable,
        announce: Announce,
        journal: Journal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._roles = roles
        self._table = table
        self._announce = announce
        self._journal = journal
        self._clock = clock
        self._announce_at = float("inf")
        self._doubt = ""
        self._is_hushed = False
        self.transitions = 0
        self.role = roles.read()

    def take(self, role: Role) -> None:
        """
        Act on a new word: set or remove the addresses, then return.

        Raises:
            NetlinkError: the addresses are not as the role wants them.
        """
        with self._roles.locked():
            was = self._roles.read()
            if not self._roles.record(role):
                log.info("an older word (%s) came after %s and is dropped", role.name, was.name)
                role = was
            self._enter(was, role)
            self._set(Verdict.RENEW if role.name is RoleName.MASTER else Verdict.DROP)
        self.announce_if_due()

    def tend(self, verdict: Verdict, doubt: str) -> None:
        """
        Once a second, and whenever the kernel says that addresses changed.

        Raises:
            NetlinkError: as in :meth:`take`.
        """
        if doubt != self._doubt:
            self._doubt = doubt
            if doubt:
                self._journal.note("address", f"{doubt}: the lease is not renewed", doubt=doubt)
        with self._roles.locked():
            recorded = self._roles.read()
            if recorded.at_ns != self.role.at_ns:
                # The slow path of a hook was here. Its word counts; ask again in the next turn.
                self._enter(self.role, recorded)
                return
            self._set(verdict)
        self.announce_if_due()

    def mend(self) -> None:
        """Put back what somebody took away, take away what somebody put there; renew nothing."""
        with self._roles.locked():
            if self._roles.read().at_ns != self.role.at_ns:
                return
            present = self._table.present()
            if self.role.name is RoleName.MASTER and not self._doubt:
                self._put_back(present)
            elif self.role.name is not RoleName.MASTER:
                self._remove(present)
        self.announce_if_due()

    def renew_once_more(self) -> None:
        """
        The speaker has just ended: without a peer its successor is MASTER again after the dead
        time, and until then the addresses stay; with one, its first advertisement ends them.
        """
        if self.role.name is RoleName.MASTER and not self._doubt:
            self.tend(Verdict.RENEW, "")

    def held(self) -> tuple[tuple[str, bool, float | None], ...]:
        """For each address of the group: itself, whether it is there, seconds of lease left."""
        try:
            present = self._table.present()
        except NetlinkError:
            # The interface is gone, and its addresses with it.
            present = {}
        return tuple((a, a in present, present.get(a)) for a in self._group.addresses)

    def hush(self, on: bool) -> None:
        """
        Announce nothing until the next change of the role, or until it is taken back: this node is
        leaving, and its word after the winner's would lead the clients to where nobody is.
        """
        self._is_hushed = on

    def announce_if_due(self) -> None:
        """Tell the neighbours when it is time."""
        now = self._clock()
        if self.role.name is not RoleName.MASTER or self._is_hushed:
            return
        if now >= self._announce_at:
            self._announce(self._group.addresses)
            self._announce_at = now + ANNOUNCE_REFRESH_S

    def announce_now(self) -> None:
        """A second master has been heard: neighbours may believe it, so tell them again."""
        if self._announce_at < float("inf"):
            self._announce(self._group.addresses)
            self._announce_at = self._clock() + ANNOUNCE_AGAIN_S

    def announce_in_s(self) -> float:
        """Seconds until the next announcement is due."""
        return max(0.0, self._announce_at - self._clock())

    def _enter(self, was: Role, role: Role) -> None:
        self.role = role
        if role.name is was.name:
            return
        self._is_hushed = False
        self.transitions += 1
        self._announce_at = float("inf")
        self._journal.note(
            "role", f"{was.name} -> {role.name}: {role.why}", was=was.name, role=role.name
        )

    def _set(self, verdict: Verdict) -> None:
        if verdict is Verdict.DROP:
            self._remove(self._table.present())
            return
        if verdict is Verdict.RENEW:
            first = self._announce_at == float("inf")
            for address in self._group.addresses:
                self._table.hold(address, lease_s=LEASE_S)
            if first:
                self._announce(self._group.addresses)
                self._announce_at = self._clock() + ANNOUNCE_AGAIN_S

    def _put_back(self, present: Mapping[str, float | None]) -> None:
        missing = [a for a in self._group.addresses if a not in present]
        for address in missing:
            self._table.hold(address, lease_s=LEASE_S)
            self._journal.note("address", f"{address} had been removed: put back", address=address)
        if missing and not self._is_hushed:
            self._announce(missing)
            self._announce_at = self._clock() + ANNOUNCE_AGAIN_S

    def _remove(self, present: Mapping[str, float | None]) -> None:
        errors = []
        ours = {address.partition("/")[0] for address in self._group.addresses}
        for address in present:
            # Whatever its prefix: it would be answered for all the same.
            if address.partition("/")[0] not in ours:
                continue
            try:
                self._table.drop(address)
            except NetlinkError as error:
                errors.append(str(error))
        if errors:
            message = "; ".join(errors)
            raise NetlinkError(message)
