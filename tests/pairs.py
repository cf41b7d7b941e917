"""A started pair between two tests: both nodes well; figures told; commands and exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lbctl.lab import local
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import DEFAULT_HOSTS, Lab
from lbctl.lab.pair import VIP, Pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import LabError, wait_until

#: advbase 1 s, dead ratio 3: what the ucarp engine waits for a master that says nothing.
DEAD_TIME_S = 3.0
#: Nobody is without an answer for longer while a healthy node is up.
OUTAGE_MS = (DEAD_TIME_S + 1.0) * 1000
#: Two nodes that do not know of each other are both MASTER for no longer.
TWO_MASTERS_S = 2.2

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """Both nodes well, a client of the VIP, and a way to tell a figure."""

    pair: Pair
    master: Node
    backup: Node
    probe: Probe
    tell: Tell


def lbctl(node: Node, *argv: str) -> subprocess.CompletedProcess[str]:
    """An lbctl command on *node*'s directories, whatever its exit code."""
    name, *rest = argv
    return node.host.run([*node.lbctl, name, *node.directories, *rest], check=False, timeout=20)


def faults(node: Node) -> list[str]:
    """
    What vipd finds wrong.

    Raises:
        LabError: the status does not say.
    """
    ha = node.status()["ha"]
    if ha is None:
        message = f"{node.name}: no word of vipd in the status"
        raise LabError(message)
    return list(ha["faults"])


def wait_well(pair: Pair, within_s: float = 20.0) -> tuple[Node, Node]:
    """Wait for one MASTER, one BACKUP, no faults, all programs and the agent; (master, backup)."""

    def well() -> bool:
        return not any(local.idle(node.programs()) or faults(node) for node in pair.nodes) and all(
            node.agent_status() for node in pair.nodes
        )

    def seen() -> str:
        return "; ".join(f"{n.name}: {n.programs()} {faults(n)}" for n in pair.nodes)

    wait_until(well, within_s, "both nodes well", seen=seen)
    return pair.wait_settled(within_s)


def wait_connections(node: Node, count: int) -> None:
    """Wait until that many are established for longer than a probe's, which is there for ms."""
    argv = ["ss", "-Htn", "state", "established", "src", VIP]
    seen = set[str]()

    def lasting() -> bool:
        nonlocal seen
        now = {line.split()[3] for line in node.host.run(argv).stdout.splitlines()}
        seen, before = now, seen
        return len(now & before) >= count

    wait_until(lasting, 2, f"{count} connections", every_s=0.05, seen=lambda: seen)


@contextmanager
def own_lab(*hosts: str) -> Iterator[Lab]:
    """A lab for one test; what it knows is in the output of a test that fails."""
    with Lab(hosts or DEFAULT_HOSTS) as lab:
        try:
            yield lab
        except BaseException:
            sys.stdout.write(lab.dump())
            raise


def double_s(doubled: tuple[int, int] | None) -> float:
    """Seconds for which two machines answered."""
    return 0.0 if doubled is None else (doubled[1] - doubled[0]) / 1e9


def write_out(text: str) -> None:
    """A figure for whoever reads the log of CI."""
    sys.stdout.write(f"\n  {text}")
    sys.stdout.flush()
