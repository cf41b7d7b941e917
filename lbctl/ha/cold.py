"""
The slow path of the hooks, when vipd does not answer: a fresh interpreter does the work itself.

``python -I -m lbctl.ha.cold RUN_DIR MASTER|BACKUP AT_NS UCARP_PID``. It writes the role file as
vipd would, so that a vipd that comes back knows the role and cannot undo it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lbctl.errors import EXIT_OK, LbctlError
from lbctl.ha.address import Addresses
from lbctl.ha.announce import announce
from lbctl.ha.interfaces import link_state
from lbctl.ha.lease import LEASE_S
from lbctl.ha.role import Role, RoleFile, RoleName
from lbctl.ha.ucarp import is_ucarp, process_facts
from lbctl.layout import RunDir
from lbctl.spec import GroupSpec, read_spec


def main(arguments: list[str]) -> int:
    """Do what the hook was asked to; returns an exit code, which ucarp ignores."""
    root, name, at_ns, pid = arguments
    run = RunDir(Path(root))
    try:
        group = read_spec(run.spec).group
        if group is not None:
            _apply(run, group, _role(RoleFile(run.role).read(), name, int(at_ns), int(pid)))
    except LbctlError as error:
        print(f"{name}: {error}; vipd tries again when it is back", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return EXIT_OK


def _role(known: Role, name: str, at_ns: int, pid: int) -> Role:
    facts = process_facts(pid)
    start = facts.start if facts else 0
    if known.name == name and not is_ucarp(pid):
        # Somebody runs the hook by hand: the speaker is still the one that was.
        pid, start = known.ucarp_pid, known.ucarp_start
    return Role(
        RoleName(name),
        at_ns,
        since=time.time(),
        ucarp_pid=pid,
        ucarp_start=start,
        why="ucarp's word, taken by the hook itself",
    )


def _apply(run: RunDir, group: GroupSpec, role: Role) -> None:
    roles = RoleFile(run.role)
    with roles.locked(), Addresses(group.interface) as table:
        if not roles.record(role):
            return
        for address in group.addresses:
            if role.name is RoleName.MASTER:
                table.hold(address, lease_s=LEASE_S)
            else:
                table.drop(address)
    link = link_state(group.interface)
    if role.name is RoleName.MASTER and link is not None:
        announce(group.interface, link.mac, group.addresses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
