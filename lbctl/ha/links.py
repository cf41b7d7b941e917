"""
The links that the addresses are on, or depend on: up, down, renamed, removed, made anew.

The kernel says that something has changed; what has become of each interface is looked up, a moment
later and once for a burst of news. An interface is its index: one that was renamed takes its
addresses along, one that was made anew under the old name is another one.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from lbctl.errors import NetlinkError
from lbctl.ha import interfaces
from lbctl.ha.address import Addresses
from lbctl.ha.interfaces import Change, Link

log = logging.getLogger(__name__)

#: Changes of addresses come in bursts; look once for all of them.
LOOK_AFTER_S = 0.02
_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Sight:
    """
    An interface as it is now.

    Attributes:
        name: under which it is known here.
        is_up: it can carry packets.
        what: a phrase for people: ``eth0 is down``.
        is_anew: there is another one of that name: every socket on it is of no more use.
    """

    name: str
    is_up: bool
    what: str
    is_anew: bool = False


OnSight = Callable[[Sight], None]


class Links:
    """
    Args:
        names: interfaces to look at.
        on_sight: told of each of them whenever links or addresses have changed.
        sets_itself: whether news of addresses that were set are our own doing.
        state: what the kernel says of an interface by its name.
        name_of: what it calls an index; OSError: nothing.
    """

    def __init__(
        self,
        names: Iterable[str],
        on_sight: OnSight,
        sets_itself: Callable[[], bool],
        state: Callable[[str], Link | None] = interfaces.link_state,
        name_of: Callable[[int], str] = socket.if_indextoname,
    ) -> None:
        self._state = state
        self._name_of = name_of
        self._indices = {name: self._index_of(name) for name in names}
        self._on_sight = on_sight
        self._sets_itself = sets_itself
        self._is_due = False

    def open(self) -> None:
        """
        Watch from now on, and tell what is there.

        Raises:
            NetlinkError: the kernel gives no netlink socket.
        """
        watch = interfaces.open_watch()
        asyncio.get_running_loop().add_reader(watch, self._news, watch)
        self.look()

    def look(self) -> None:
        """Tell what is there."""
        self._is_due = False
        for name in self._indices:
            try:
                self._on_sight(self._sight(name))
            except NetlinkError as error:
                log.warning("%s; looked at again with the next news", error)

    def renamed_to(self, name: str) -> str:
        """What the interface that was *name* is called now; empty: it is gone, or still so."""
        with suppress(OSError):
            now = self._name_of(self._indices[name])
            return "" if now == name else now
        return ""

    def _news(self, watch: socket.socket) -> None:
        changes = interfaces.read_changes(watch)
        # A link first: what waits here is outage. Renewing our own leases is news too.
        if Change.LINK in changes:
            self.look()
        elif (changes - {Change.ADDRESS_SET} or not self._sets_itself()) and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(LOOK_AFTER_S, self.look)

    def _sight(self, name: str) -> Sight:
        link = self._state(name)
        if link is None:
            now = self.renamed_to(name)
            return Sight(name, False, f"{name} was renamed to {now}" if now else f"{name} is gone")
        is_anew = self._indices[name] not in (0, link.index)
        if not self._indices[name]:
            self._indices[name] = link.index
        if is_anew:
            return Sight(name, False, f"{name} was made anew", is_anew=True)
        if not link.is_up:
            return Sight(name, False, f"{name} is down")
        what = "is up" if link.has_carrier else "has no carrier"
        return Sight(name, link.has_carrier, f"{name} {what}")

    def _index_of(self, name: str) -> int:
        try:
            link = self._state(name)
        except NetlinkError:
            return 0
        return 0 if link is None else link.index


def drop_from(interface: str, addresses: Iterable[str]) -> None:
    """Remove *addresses* from an interface that took them along when it was renamed."""
    try:
        with Addresses(interface) as table:
            for address in addresses:
                table.drop(address)
    except NetlinkError as error:
        log.warning("%s; they go with their lease", error)


async def wait_for(name: str) -> None:
    """Until there is an interface of that name."""
    while interfaces.link_state(name) is None:
        log.warning("there is no interface %s: waiting for it", name)
        await asyncio.sleep(_WAIT_S)
