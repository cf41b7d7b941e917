"""
The keeper of the addresses: makes the interface hold what the role says, and only that.

Master: every address of the group, renewed as a lease on evidence, announced at once, again after
a second and every minute (settings), and while a second master speaks. Otherwise: none. It looks at
what is there, compares, and acts, so that any number of calls in any order end in the same state.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from lbctl.errors import NetlinkError
from lbctl.ha.journal import Journal
from lbctl.ha.lease import LEASE_S, Verdict
from lbctl.ha.role import Role, RoleFile, RoleName
from lbctl.spec import GroupSpec

log = logging.getLogger(__name__)

#: Not more often than this while a second master is heard, seconds.
ANNOUNCE_APART_S = 0.2
#: After each word of a second master, seconds: it may announce itself a moment after it.
ANNOUNCE_AFTER_RIVAL_S = (0.1, 0.3, 1.0)
_NEVER = float("-inf")


@contextmanager
def tried_again() -> Iterator[None]:
    """What the kernel refuses is told and no error: every turn from now on tries again."""
    try:
        yield
    except NetlinkError as error:
        log.warning("addresses are not as they should be: %s; next try in a second", error)


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
        self._announced_at = _NEVER
        self._again_s = group.announce_again_s
        self._more: list[float] = []
        self._has_renewed = False
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
            if role.at_ns <= was.at_ns:
                log.info("an older word (%s) came after %s and is dropped", role.name, was.name)
                role = was
            self._turn(was, role)
            try:
                # Before everything that can wait: clients do not.
                self._act(role)
            finally:
                self._roles.record(role)
                self._note(was, role)
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
                was = self.role
                self._turn(was, recorded)
                self._note(was, recorded)
                return
            self._set(verdict)
        self.announce_if_due()

    def mend(self) -> None:
        """Put back what somebody took away, take away what somebody put there; renew nothing."""
        with self._roles.locked():
            if self._roles.read().at_ns != self.role.at_ns:
                return
            present = self._table.present()
            if self.role.name is RoleName.MASTER and self._has_renewed and not self._doubt:
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

    def announce_now(self, addresses: Iterable[str]) -> None:
        """Somebody else answers for them."""
        if self.role.name is RoleName.MASTER and not self._is_hushed:
            self._announce(addresses)

    def announce_if_due(self) -> None:
        """Tell the neighbours when it is time."""
        now = self._clock()
        if self.role.name is not RoleName.MASTER or self._is_hushed:
            return
        if now >= self._announce_at:
            self._tell(self._group.addresses)

    def rival(self, gone_after_s: float) -> None:
        """
        A second master has been heard, and neighbours may believe it: tell them again now, and once
        more when it has been silent for *gone_after_s* seconds: its word may have been the last.
        """
        if self._announce_at == float("inf") or self._is_hushed:
            return
        now = self._clock()
        if now - self._announced_at >= ANNOUNCE_APART_S:
            self._tell(self._group.addresses)
        self._again_from_now()
        self._more = sorted(now + after_s for after_s in (*ANNOUNCE_AFTER_RIVAL_S, gone_after_s))
        self._announce_at = self._more.pop(0)

    def announce_in_s(self) -> float:
        """Seconds until the next announcement is due."""
        return max(0.0, self._announce_at - self._clock())

    def _turn(self, was: Role, role: Role) -> None:
        self.role = role
        if role.name is not was.name:
            self._is_hushed = False
            self.transitions += 1
            self._announce_at = float("inf")
            self._more = []

    def _note(self, was: Role, role: Role) -> None:
        if role.name is was.name:
            return
        self._journal.note(
            "role",
            f"{was.name} -> {role.name}: {role.why}",
            was=was.name,
            role=role.name,
            why=role.why,
            vhid=self._group.vhid,
        )

    def _act(self, role: Role) -> None:
        if role.name is RoleName.MASTER:
            self._set(Verdict.RENEW)
            return
        # One that somebody has set with another prefix is found in the next turn: a look at all
        # addresses takes longer than the rest.
        self._remove(self._group.addresses)

    def _tell(self, addresses: Iterable[str]) -> None:
        self._announce(addresses)
        self._announced_at = self._clock()
        if self._more:
            self._announce_at = self._more.pop(0)
            return
        # Each pause is twice the last one: a network that loses the first words is told again
        # after no longer than it has been so.
        self._announce_at = self._announced_at + self._again_s
        self._again_s = min(2 * self._again_s, self._group.announce_refresh_s)

    def _again_from_now(self) -> None:
        self._again_s = min(self._group.announce_again_s, self._group.announce_refresh_s)

    def _set(self, verdict: Verdict) -> None:
        if verdict is Verdict.DROP:
            self._remove(self._table.present())
            return
        if verdict is Verdict.RENEW:
            # From now on it is this process's word that the addresses are here.
            self._has_renewed = True
            first = self._announce_at == float("inf")
            for address in self._group.addresses:
                self._table.hold(address, lease_s=LEASE_S)
            if first:
                self._again_from_now()
                self._tell(self._group.addresses)

    def _put_back(self, present: Mapping[str, float | None]) -> None:
        missing = [a for a in self._group.addresses if a not in present]
        for address in missing:
            self._table.hold(address, lease_s=LEASE_S)
            self._journal.note("address", f"{address} had been removed: put back", address=address)
        if missing and not self._is_hushed:
            self._again_from_now()
            self._tell(missing)

    def _remove(self, present: Iterable[str]) -> None:
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
