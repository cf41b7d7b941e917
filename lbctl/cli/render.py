"""``lbctl render``: what ``lbctl run`` would write, printed."""

from __future__ import annotations

import asyncio
import difflib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import LbctlError
from lbctl.follow.generation import read_generation
from lbctl.follow.takes import NOTHING_OF_HAPROXY, what_it_takes
from lbctl.follow.texts import is_ours, without_token
from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.version import version_of
from lbctl.launch.asking import asked
from lbctl.launch.configuration import Dirs
from lbctl.launch.known import ignored, saved
from lbctl.launch.rehearse import Texts, masked, texts
from lbctl.launch.secrets import read_secrets
from lbctl.model.service import Snapshot
from lbctl.settings.load import load
from lbctl.settings.transfer import restart_keys
from lbctl.spec import read_spec


def render(
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Ask every source of services once, and print haproxy.cfg alone: a dry run.",
        ),
    ] = False,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Only what differs from the run dir, and what that takes."),
    ] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """
    Print every file that a start would write into the run dir; passwords are masked.

    With what the sources of services said last, or, with --once, say now.
    """
    dirs = Dirs.at(config_dir, run_dir, state_dir)
    settings = load(dirs.config, environ=os.environ)
    if once:
        snapshots = asyncio.run(asked(settings, read_secrets(settings), dirs.state))
    else:
        snapshots = saved(settings, dirs.state)
    found = texts(dirs, os.environ, snapshots)
    for what in (*_problems(snapshots), *ignored(settings, snapshots), *found.refused):
        print(f"lbctl: warning: {what}", file=sys.stderr)
    if diff:
        _print_difference(dirs, found, snapshots)
    elif once:
        print(masked(found.by_path[found.place], found.secrets), end="")
    else:
        print(masked(_listing(found.by_path), found.secrets), end="")


def _problems(snapshots: Sequence[Snapshot]) -> Iterator[str]:
    """What the sources themselves have left out."""
    for one in snapshots:
        yield from (
            what if one.source in what else f"{one.source}: {what}" for what in one.problems
        )


def _print_difference(dirs: Dirs, found: Texts, snapshots: Sequence[Snapshot]) -> None:
    difference = _difference(found.by_path)
    print(masked(difference, found.secrets), end="")
    for line in () if not difference else _what_it_takes(dirs, found.by_path, snapshots):
        print(masked(f"# {line}", found.secrets))


def _listing(written: Mapping[Path, str]) -> str:
    return "\n".join(f"==> {path} <==\n{text}" for path, text in written.items())


def _difference(written: Mapping[Path, str]) -> str:
    """A unified diff from what is there to what would be; empty: nothing would change."""
    return "".join(
        line
        for path, text in written.items()
        for line in difflib.unified_diff(
            _lines(path), text.splitlines(keepends=True), str(path), f"{path} (rendered)"
        )
    )


def _what_it_takes(
    dirs: Dirs, written: Mapping[Path, str], snapshots: Sequence[Snapshot]
) -> tuple[str, ...]:
    """Where a bundle runs on these directories; what is set at run time alone is not in it."""
    run = dirs.run
    try:
        spec = read_spec(run.spec)
    except LbctlError:
        return ("it takes: a start; no bundle runs on this --run-dir",)
    there = [path for path in run.haproxy.iterdir() if is_ours(path.name)]
    before = {path.name: "".join(_lines(path)) for path in there}
    running = read_generation(run).settings
    keys = restart_keys(running, load(dirs.config, environ=os.environ))
    if keys:
        # What a restart brings, no reload does.
        written = texts(dirs, os.environ, snapshots, running).by_path
    after = {path.name: text for path, text in written.items() if path.parent == run.haproxy}
    told = what_it_takes(before, after, Abilities.of(version_of(spec.haproxy_version)))
    if not keys:
        return told
    restart = f"a restart of lbctl, for {', '.join(keys)}"
    return (f"it takes: {restart}",) if told == NOTHING_OF_HAPROXY else (*told, restart)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(errors="surrogateescape")
        return without_token(text).splitlines(keepends=True)
    except OSError:
        return []
