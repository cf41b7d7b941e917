"""What a role does to this host's addresses, and what happens when the kernel says no."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha.engine import Parts
from lbctl.ha.hands import Hands
from lbctl.ha.journal import Journal
from lbctl.ha.keeper import Keeper
from lbctl.ha.role import Role, RoleFile, RoleName
from lbctl.ha.track import Tracker
from lbctl.ha.worth import OwnVoice, Worth
from lbctl.layout import RunDir
from tests.fakes.address_table import FakeAddressTable
from tests.fakes.programs import FakePrograms
from tests.loops import in_a_loop
from tests.specs import bundle_spec, group_spec

MASTER = Role(RoleName.MASTER, 1, 0.0, why="said")
BACKUP = Role(RoleName.BACKUP, 2, 0.0, why="said")


class NotedHands(Hands):
    """Notes what was set when connections were reset."""

    def __init__(self, parts: Parts, table: FakeAddressTable) -> None:
        super().__init__(parts)
        self._table = table
        self.set_at_reset: list[set[str]] = []

    def destroy(self) -> int:
        self.set_at_reset.append(set(self._table.leases))
        return 0


class Node:
    """Hands over a table in memory."""

    def __init__(self, directory: Path) -> None:
        self.group = group_spec()
        self.table = FakeAddressTable()
        tracker, journal = Tracker(()), Journal()
        roles = RoleFile(directory / "role.json")
        keeper = Keeper(self.group, roles, self.table, lambda _addresses: None, journal)
        self.worth = Worth(self.group, tracker, OwnVoice(0), journal)
        parts = Parts(
            bundle_spec(group=self.group), self.group, RunDir(directory), FakePrograms(),
            tracker, journal, keeper, self.worth,
        )  # fmt: skip
        self.hands = NotedHands(parts, self.table)


@in_a_loop
async def test_connections_are_reset_before_the_addresses_go(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.hands.become(MASTER)
    node.hands.become(BACKUP)

    assert node.hands.set_at_reset == [set(node.group.addresses)]
    assert not node.table.leases


@in_a_loop
async def test_addresses_that_cannot_be_set_are_a_fault_of_this_node(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.table.refuses = True
    with pytest.raises(NetlinkError):
        node.hands.become(MASTER)

    assert node.worth.has_own("addresses")


@in_a_loop
async def test_addresses_off_is_backup_on_record_without_a_reset(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.hands.become(MASTER)
    node.hands.addresses_off("handover")

    assert not node.hands.is_master
    assert not node.table.leases
    assert node.hands.set_at_reset == []
