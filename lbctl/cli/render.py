"""``lbctl render``: what ``lbctl run`` would write, printed."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
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
from lbctl.launch.configuration import Dirs
from lbctl.launch.rehearse import masked, texts


def render(
    once: Annotated[
        bool, typer.Option("--once", help="Render one time and end, as without it.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Only what differs from the run dir.")
    ] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Print every file that a start would write into the run dir; passwords are masked."""
    del once
    written, secrets = texts(Dirs.at(config_dir, run_dir, state_dir), os.environ)
    print(masked(_difference(written) if diff else _listing(written), secrets), end="")


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


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="surrogateescape").splitlines(keepends=True)
    except OSError:
        return []
