"""What a role does to this host: addresses set and removed, connections listed and reset."""

from __future__ import annotations

import asyncio
import logging
import time

from lbctl.errors import NetlinkError
from lbctl.ha import diag
from lbctl.ha.engine import Parts
from lbctl.ha.role import Role, RoleName

log = logging.getLogger(__name__)


class Hands:
    """The hands of one group's engine, and of its leaving."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts

    @property
    def is_master(self) -> bool:
        return self._p.keeper.role.name is RoleName.MASTER

    def become(self, role: Role) -> None:
        """
        Take a role that an election gives; connections end before the addresses go.

        Raises:
            NetlinkError: the addresses are not as the role wants them, which counts as a fault.
        """
        if self.is_master and role.name is RoleName.BACKUP:
            self.destroy()
        try:
            self._p.keeper.take(role)
        except NetlinkError as error:
            self._p.worth.own_fault("addresses", f"addresses cannot be set: {error}", 14)
            raise

    def addresses_off(self, why: str) -> None:
        """Record BACKUP and remove the addresses."""
        role = Role(RoleName.BACKUP, time.monotonic_ns(), time.time(), why=why)
        try:
            self._p.keeper.take(role)
        except NetlinkError as error:
            # The role stands on record: every turn from now on tries again.
            log.warning("%s: addresses cannot be removed: %s; next try in a second", why, error)

    def destroy(self) -> int:
        """Reset every connection on the addresses; how many."""
        try:
            return diag.destroy(diag.established(self._p.group.addresses))
        except NetlinkError as error:
            log.warning("connections cannot be reset: %s; their clients time out", error)
            return 0

    async def connections(self) -> frozenset[object]:
        """Those on the virtual addresses now; listed in a thread, since there may be thousands."""
        try:
            found = await asyncio.to_thread(diag.established, self._p.group.addresses)
        except NetlinkError as error:
            log.warning("connections cannot be listed: %s; nothing is drained", error)
            return frozenset()
        return frozenset((c.address, c.port, c.peer, c.peer_port) for c in found)
