"""
ucarp as a program: its command line, and what /proc says about the process.

vipd decides with which advskew ucarp speaks; supervisord runs it. Between the two stands a small
shell file that vipd rewrites: the next start of the program speaks with the new value.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from lbctl.files import write_atomic
from lbctl.layout import RunDir, share
from lbctl.spec import GroupSpec

log = logging.getLogger(__name__)

PROGRAM = "ucarp"

#: A node with a fault speaks with this advskew and its severity on top: any healthy peer wins.
FAULTY_ADVSKEW = 240
WORST_SEVERITY = 15

_ADVSKEW = re.compile(r"--advskew=(\d+)")


def argv(group: GroupSpec, run: RunDir, advskew: int, *, hooks: Path | None = None) -> list[str]:
    """
    ucarp's command line.

    ``--preempt`` always: equal advskew does not pre-empt, and a faulty master must give way.
    ``--neutral``: the down hook at start would cost a round trip and change nothing.
    """
    hooks = share("hooks") if hooks is None else hooks
    return [
        "ucarp",
        f"--interface={group.interface}",
        f"--srcip={group.source}",
        f"--vhid={group.vhid}",
        f"--passfile={run.password}",
        f"--addr={group.vip}",
        f"--advbase={group.advbase_s}",
        f"--advskew={advskew}",
        f"--deadratio={group.dead_ratio}",
        f"--upscript={hooks / 'vip-up'}",
        f"--downscript={hooks / 'vip-down'}",
        f"--xparam={run.root}",
        "--preempt",
        "--neutral",
        "--shutdown",
    ]


def launch_script(group: GroupSpec, run: RunDir, advskew: int, *, hooks: Path | None = None) -> str:
    """The text of ``ucarp.sh``: run by ``/bin/sh FILE``, so that /run may be mounted noexec."""
    return f"exec {shlex.join(argv(group, run, advskew, hooks=hooks))}\n"


def write_launch_script(
    group: GroupSpec, run: RunDir, advskew: int, *, hooks: Path | None = None
) -> None:
    """Say with which advskew the next ucarp speaks."""
    text = launch_script(group, run, advskew, hooks=hooks)
    try:
        write_atomic(run.ucarp_launch, text, mode=0o600)
    except OSError as error:
        # A full run dir: the old text's page is there, and takes the new one.
        log.warning("%s: %s: written in place", run.ucarp_launch, error)
        with run.ucarp_launch.open("r+") as stream:
            stream.write(text)
            stream.truncate()


def launched_advskew(run: RunDir, default: int) -> int:
    """What :func:`write_launch_script` said last, perhaps in an earlier life of vipd."""
    try:
        found = _ADVSKEW.search(run.ucarp_launch.read_text())
    except OSError:
        return default
    return int(found[1]) if found else default


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """
    What /proc says of a process.

    Attributes:
        start: start time, clock ticks since boot; with the pid it names one process for ever.
        is_stopped: by a signal or a tracer: it holds its sockets and does nothing.
        is_dead: a zombie.
    """

    start: int
    is_stopped: bool
    is_dead: bool


def process_facts(pid: int) -> ProcessFacts | None:
    """The process, or None when there is no such one. Source: proc(5), /proc/PID/stat."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name stands in parentheses and may hold anything, a parenthesis too.
    fields = text.rpartition(")")[2].split()
    state = fields[0]
    return ProcessFacts(
        start=int(fields[19]), is_stopped=state in ("T", "t"), is_dead=state in ("Z", "X")
    )


def is_ucarp(pid: int) -> bool:
    """Whether the process goes by that name (/proc/PID/comm)."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == PROGRAM
    except OSError:
        return False


def children(pid: int) -> tuple[int, ...]:
    """Processes *pid* waits for: ucarp has one only while a hook runs, and is deaf meanwhile."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return ()
    return tuple(int(word) for word in text.split())


def age_s(facts: ProcessFacts, boot_clock_s: float) -> float:
    """Seconds since the process started; *boot_clock_s* is CLOCK_BOOTTIME."""
    return boot_clock_s - facts.start / os.sysconf("SC_CLK_TCK")
