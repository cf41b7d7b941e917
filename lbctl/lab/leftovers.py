"""What should not be on a node that is well: zombies, strays, workers that were left behind."""

from __future__ import annotations

from pathlib import Path

from lbctl.lab.bundle import Node, children_of
from lbctl.lab.process import pids_in


def superfluous(node: Node) -> list[str]:
    """
    Zombies, and processes that are neither a program nor its present workers.

    Raises:
        LabError: supervisord does not answer.
    """
    programs = node.programs()
    children = children_of(node.process.pid)
    found = [f"zombie {pid}" for pid in children if _stat(pid)[:1] == ["Z"]]
    known = {node.process.pid, *children}
    strays = pids_in([node.host.ns]) - known
    found += [f"stray {pid}: {words}" for pid in strays if (words := _words(pid))]
    for program in sorted(name for name in programs if name.startswith("haproxy-")):
        workers = children_of(programs[program][1])
        if len(workers) != 1:
            found.append(f"{program} has {len(workers)} workers")
    direct = [pid for pid in children if _stat(pid)[1:2] == [str(node.process.pid)]]
    running = [name for name, (_, pid) in programs.items() if pid]
    if len(direct) != len(running):
        found.append(f"{len(direct)} children of supervisord for {len(running)} programs")
    return found


def _stat(pid: int) -> list[str]:
    """State, parent, ... of a process; empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _words(pid: int) -> str:
    """Its command; empty: it is gone meanwhile, as a short-lived one of the lab's own is."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
