"""
Text of supervisord.conf, and the shell line that runs one program in it.

Pure but for reading the template. What a program is allowed and in which order it stops is decided
elsewhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from lbctl.layout import RunDir, share
from lbctl.render.engine import render_file

#: So many that supervisord never gives up.
FOR_EVER = 1_000_000


class Output(Enum):
    """Where a program's stdout and stderr go. Only logd keeps descriptor 9, as its stdout."""

    FIFO = "1<>{fifo} 2>&1 9>&-"
    PROTOCOL = "2<>{fifo} 9>&-"
    TRUE_STDOUT = "1>&9 2<>{fifo} 9>&-"


@dataclass(frozen=True, slots=True)
class Supervised:
    """
    One program as supervisord is to run it.

    Attributes:
        name: unique.
        command: the whole shell line.
        priority: the highest number stops first.
        directory: where it runs; it must exist.
        stop_signal: without SIG.
        stop_wait_s: after that its process group is killed, whole seconds.
        autostart: with supervisord; else somebody else starts it.
        start_retries: after that many starts in a row that fail it is FATAL.
        is_listener: it speaks supervisor's event protocol on stdin and stdout.
        group: programs that stop together share one; empty: it is its own.
        is_task: it ends by itself, and is not started again.
    """

    name: str
    command: str
    priority: int
    directory: str
    stop_signal: str = "TERM"
    stop_wait_s: int = 2
    autostart: bool = True
    start_retries: int = 3
    is_listener: bool = False
    group: str = ""
    is_task: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Programs that stop at the same time."""

    name: str
    programs: tuple[str, ...]
    priority: int


def shell_line(argv: Sequence[str], fifo: Path, output: Output, *, before: str = "") -> str:
    """
    *argv* under ``/bin/sh``, which opens the FIFO and is gone.

    The FIFO is opened for reading too: that never waits for a reader, and what was written
    survives logd.

    Args:
        before: shell commands that come first.
    """
    streams = output.value.format(fifo=shlex.quote(str(fifo)))
    script = f"{before}exec {shlex.join(argv)} {streams}"
    return f"/bin/sh -c {shlex.quote(script)}"


def supervisord_conf(
    programs: Sequence[Supervised], run: RunDir, *, is_root: bool, owner: str
) -> str:
    """
    The whole file.

    Args:
        programs: in any order.
        run: where the bundle runs.
        is_root: root starts the bundle.
        owner: of supervisord's socket: ``0:107``.
    """
    groups = [
        Group(name, tuple(p.name for p in members), members[0].priority)
        for name in dict.fromkeys(p.group for p in programs if p.group)
        if (members := [p for p in programs if p.group == name])
    ]
    context = {
        "programs": [_escaped(program) for program in programs],
        "groups": groups,
        "run": run,
        "is_root": is_root,
        "owner": owner,
    }
    return render_file(share("conf") / "supervisord.conf.j2", context)


def _escaped(program: Supervised) -> Supervised:
    """Supervisor expands ``%(...)s`` in both."""
    return replace(
        program,
        command=program.command.replace("%", "%%"),
        directory=program.directory.replace("%", "%%"),
    )
