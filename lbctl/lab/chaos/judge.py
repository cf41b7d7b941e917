"""What must hold on a pair after each fault, and what must not grow over many."""

from __future__ import annotations

import math
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from lbctl.lab import local
from lbctl.lab.arp import holders
from lbctl.lab.bundle import Node
from lbctl.lab.leftovers import superfluous
from lbctl.lab.pair import Pair
from lbctl.lab.wait import LabError, wait_until

#: Restarts, the fault's own recovery time, and a HAProxy that was given up and revived.
WELL_WITHIN_S = 30.0
_TIDY_WITHIN_S = 5.0
_GROWN_UP_S = 15.0
#: The lab's hosts answer within a millisecond.
_ARP_S = 0.06

_WATCHED = ("vipd", "agent", "logd")
VIPD_MAX_KB = 35 * 1024
#: For caches and fragmentation; a leak of a hundred bytes a packet is more within an hour.
GROWTH_MAX_KB = 8 * 1024
GROWTH_MAX_FDS = 12


@dataclass(frozen=True, slots=True)
class Size:
    """
    A process as /proc shows it.

    Attributes:
        kb: RssAnon.
        fds: open descriptors.
    """

    kb: int
    fds: int


def grown(name: str, first: Size, now: Size) -> list[str]:
    """What is wrong with the growth of a process since it was first looked at; pure."""
    found = []
    if now.kb > first.kb + GROWTH_MAX_KB:
        found.append(f"{name} grew from {first.kb} to {now.kb} kB")
    if now.fds > first.fds + GROWTH_MAX_FDS:
        found.append(f"{name} had {first.fds} descriptors and has {now.fds}")
    if name.endswith("vipd") and now.kb > VIPD_MAX_KB:
        found.append(f"{name} has {now.kb} kB of anonymous memory, more than {VIPD_MAX_KB}")
    return found


@dataclass(slots=True)
class Growth:
    """
    The watched processes since each was grown up: one that has just started loads and caches.

    Attributes:
        worst: by name, the largest of all its lives.
    """

    worst: dict[str, Size] = field(default_factory=dict)
    #: By pid and start, since a pid comes again.
    _first: dict[tuple[int, float], Size] = field(default_factory=dict)

    def look(self, node: Node) -> list[str]:
        """
        What is wrong, if anything.

        Raises:
            LabError: supervisord does not answer.
        """
        found = []
        for program in _WATCHED:
            pid = node.programs().get(program, ("", 0))[1]
            now = size_of(pid)
            if now is None:
                continue
            name = f"{node.name}: {program}"
            found += grown(name, self._first_size(pid, now), now)
            old = self.worst.get(name, now)
            self.worst[name] = Size(max(old.kb, now.kb), max(old.fds, now.fds))
        return found

    def _first_size(self, pid: int, now: Size) -> Size:
        began_s = began_at_s(pid)
        if time.clock_gettime(time.CLOCK_BOOTTIME) - began_s < _GROWN_UP_S:
            return now
        return self._first.setdefault((pid, began_s), now)


def began_at_s(pid: int) -> float:
    """When a process was started, on CLOCK_BOOTTIME; a moment that never comes: it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.inf
    return int(words[19]) / os.sysconf("SC_CLK_TCK")


def size_of(pid: int) -> Size | None:
    """None: there is no such process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        fds = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None
    found = re.search(r"RssAnon:\s*(\d+)", status)
    return Size(int(found[1]), fds) if found else None


def wait_single(pair: Pair, within_s: float, *, is_asked: bool = True) -> tuple[Node, Node]:
    """
    Wait until one node is MASTER and holds the address, and the other is BACKUP and does not.

    Args:
        is_asked: ask by ARP too, so that nobody else in the network holds it, whatever he says.

    Returns:
        (master, backup)

    Raises:
        LabError: it does not come to that; says what was seen.
    """

    def single() -> tuple[Node, Node] | None:
        for master, backup in (pair.nodes, pair.nodes[::-1]):
            if (_role(master), _role(backup)) != ("MASTER", "BACKUP"):
                continue
            if backup.holds(pair.vip) or not master.holds(pair.vip):
                return None
            if not is_asked or _holders(pair) == {master.host.mac}:
                return master, backup
        return None

    def seen() -> str:
        held = [node.name for node in pair.nodes if node.holds(pair.vip)]
        roles = {node.name: _role(node) for node in pair.nodes}
        return f"roles {roles}, the address is on {held}, ARP is answered by {_holders(pair)}"

    found = wait_until(single, within_s, "one MASTER that alone holds the address", seen=seen)
    assert found is not None
    return found


def _holders(pair: Pair) -> set[str]:
    return holders(pair.client, pair.vip, within_s=_ARP_S)


def wait_well(pair: Pair, growth: Growth) -> None:
    """
    Wait until every program runs, nothing is at fault, nothing is left over; then look for growth.

    Raises:
        LabError: something of that does not hold; says what.
    """

    def unwell() -> list[str]:
        return [what for node in pair.nodes for what in _unwell(node)]

    def untidy() -> list[str]:
        return [f"{node.name}: {what}" for node in pair.nodes for what in superfluous(node)]

    wait_until(lambda: not unwell(), WELL_WITHIN_S, "both nodes well", seen=unwell, every_s=0.1)
    wait_until(lambda: not untidy(), _TIDY_WITHIN_S, "nothing left over", seen=untidy, every_s=0.1)
    found = [what for node in pair.nodes for what in growth.look(node)]
    if found:
        raise LabError("; ".join(found))


def _status(node: Node) -> dict[str, object]:
    answer: dict[str, object] = local.ask_line(node.run_dir.vipd_socket, {"op": "status"})["status"]
    return answer


def _role(node: Node) -> str:
    try:
        return str(_status(node)["role"])
    except LabError:
        return ""


def _unwell(node: Node) -> list[str]:
    try:
        states = local.idle(node.programs())
        status = _status(node)
    except LabError as error:
        return [str(error)]
    found = [f"{node.name}: {name} {state}" for name, state in states.items()]
    faults = status.get("faults")
    if faults:
        found.append(f"{node.name}: {faults}")
    if status.get("paused"):
        found.append(f"{node.name}: is paused")
    return found
