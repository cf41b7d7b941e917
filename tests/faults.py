"""What the tests of faults look at and do: holders, restarts, outages, signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbctl.lab.bundle import Node
from lbctl.lab.pair import Pair
from lbctl.lab.probe import Probe
from lbctl.lab.process import pids_in
from lbctl.lab.wait import LabError, wait_until

DEAD_TIME_S = 3.0
#: From then on at most one node holds the addresses.
SINGLE_AFTER_S = 4.0
#: What supervisord starts again in place costs clients no more, and does not move the addresses.
MENDED_MS = 1000.0
#: supervisord tries three times (1, 2 and 3 s apart); the agent again every 5 s.
GIVEN_UP_WITHIN_S = 12.0
REVIVED_WITHIN_S = 8.0
#: A fault is over after 5 s without a cause.
RECOVERED_WITHIN_S = 8.0
#: A backup that is better takes over when it has heard the master, up to 1 s late.
HEARD_WITHIN_S = 2.5

NGINX_PORT = 8080
NGINX_CONF = f"server {{ listen {NGINX_PORT}; location / {{ return 200; }} }}\n"
BROKEN = "this is no configuration;\n"


@dataclass(frozen=True, slots=True)
class Stage:
    """Both nodes well, and how to tell a figure, so that the log of CI shows it."""

    pair: Pair
    master: Node
    backup: Node
    probe: Probe
    tell: Callable[[str], None]


def row_of(node: Node, program: str) -> dict[str, Any]:
    """
    What the agent says of a program.

    Raises:
        LabError: it does not answer, or does not know the program.
    """
    for row in node.status()["programs"]:
        if row["name"] == program:
            return dict(row)
    message = f"{node.name}: no {program} in the status"
    raise LabError(message)


def restarts(node: Node, program: str) -> int:
    return int(row_of(node, program)["restarts"])


def haproxies(node: Node) -> list[str]:
    return sorted(name for name in node.programs() if name.startswith("haproxy-"))


def wait_back(node: Node, program: str, pid: int, count: int, within_s: float = 4.0) -> None:
    """Wait until a program runs with another pid, and the status counts the restart."""

    def back() -> bool:
        state, now = node.programs()[program]
        return state == "RUNNING" and now not in (0, pid) and restarts(node, program) == count + 1

    def seen() -> str:
        return f"{node.programs()[program]}, restarts {count} -> {restarts(node, program)}"

    wait_until(back, within_s, f"{program} back with another pid and one restart more", seen=seen)


def recovery_ms(probe: Probe, mark: int) -> float:
    """From *mark* to the end of the last request that failed; 0: none did."""
    return max((record.end_ns - mark for record in probe.failures(mark)), default=0) / 1e6


def watch_holders(stage: Stage, mark: int) -> None:
    """From ``SINGLE_AFTER_S`` after *mark* on, one node at most answers for the VIP, then one."""
    doubled_s = 0.0
    while (now_s := (time.monotonic_ns() - mark) / 1e9) < SINGLE_AFTER_S + 0.7:
        held = stage.pair.holders()
        if len(held) > 1:
            doubled_s = (time.monotonic_ns() - mark) / 1e9
        assert len(held) <= 1 or now_s < SINGLE_AFTER_S, f"{held} after {now_s:.2f} s"
    assert len(held) == 1
    stage.tell(f"two holders seen until {doubled_s:.2f} s after" if doubled_s else "never two seen")


def kill_everything(node: Node) -> None:
    """SIGKILL for each process on the host until none is left; vipd first, so that none resigns."""
    node.kill("vipd")
    node.process.signal(signal.SIGKILL)

    def gone() -> bool:
        signal_all(left := pids_in([node.host.ns]), signal.SIGKILL)
        return not left

    wait_until(gone, 2, f"the end of everything on {node.name}", every_s=0.001)


def signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


# Killed, and mended in place.


def break_nginx(node: Node) -> None:
    (node.config.nginx_d / "broken.conf").write_text(BROKEN)
    node.kill("nginx", whole=True)


def mend_nginx(node: Node) -> None:
    (node.config.nginx_d / "broken.conf").unlink()


def break_haproxy(node: Node, *programs: str) -> None:
    """
    Killed, and not to start again: directories have the names of their Runtime sockets.

    A file that is broken would not do: the agent writes it anew.
    """
    for program in programs:
        path = _socket(node, program)
        path.unlink(missing_ok=True)
        path.mkdir()
    for program in programs:
        node.kill(program, whole=True)


def mend_haproxy(node: Node, *programs: str) -> None:
    for program in programs:
        if (path := _socket(node, program)).is_dir():
            path.rmdir()


def _socket(node: Node, program: str) -> Path:
    return node.run_dir.runtime_socket(int(program.rpartition("-")[2]))


def wait_holder(stage: Stage, node: Node, within_s: float) -> None:
    wait_until(
        lambda: stage.pair.holders() == {node.host.mac},
        within_s,
        f"{node.name} to hold the VIP",
        seen=lambda: [(n.name, n.status()["ha"]) for n in stage.pair.nodes],
    )
