"""
The operator's programs in ``hooks.d``, judged before the night in which they are to run.

They are looked at and tried for their rights, and none is run.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from lbctl.errors import Problem
from lbctl.launch.looks import may_run
from lbctl.launch.privileges import Privileges
from lbctl.layout import HOOK_EVENTS, ConfigDir

_SHEBANG_MAX_BYTES = 256


def hook_programs(config: ConfigDir) -> tuple[Path, ...]:
    """All of them; none where ``hooks.d`` cannot be read, which :func:`hooks_d_problems` says."""
    try:
        return tuple(path for event in HOOK_EVENTS for path in config.hooks(event))
    except OSError:
        return ()


def hooks_d_problems(config: ConfigDir, privileges: Privileges) -> Iterator[Problem]:
    """What would not run when it must."""
    try:
        for event in HOOK_EVENTS:
            config.hooks(event)
    except OSError as error:
        yield Problem(str(error.filename), f"cannot be read: {error.strerror}")
        return
    for path in hook_programs(config):
        interpreter = _interpreter(path)
        if not may_run(str(path), privileges):
            who = privileges.account.name
            what = f"is no file that user {who} may run, as whom the agent runs it: chmod 755?"
            yield Problem(str(path), what)
        elif interpreter is not None and not Path(interpreter).exists():
            yield Problem(str(path), f"its first line names {interpreter!r}, which is not here")


def hooks_d_warnings(config: ConfigDir) -> Iterator[str]:
    """What is never run, and what others than its owner could change."""
    try:
        names = sorted(path.name for path in config.hooks_d.iterdir())
    except OSError:
        return
    for name in names:
        if name not in HOOK_EVENTS and not name.startswith("."):
            yield f"{config.hooks_d / name}: never run: only {', '.join(HOOK_EVENTS)} are"
    directories = (config.hooks_d, *{path.parent for path in hook_programs(config)})
    for path in dict.fromkeys((*directories, *hook_programs(config))):
        if path.exists() and path.stat().st_mode & stat.S_IWOTH:
            yield f"{path}: every user of this host can change what runs: chmod o-w"


def _interpreter(path: Path) -> str | None:
    """What stands behind ``#!``; None: nothing does, or it cannot be read."""
    try:
        with path.open("rb") as stream:
            first = stream.readline(_SHEBANG_MAX_BYTES)
    except OSError:
        return None
    # A carriage return belongs to the name, as the kernel reads it.
    found = re.match(rb"#![ \t]*([^ \t\n]+)", first)
    return found[1].decode(errors="replace") if found else None
