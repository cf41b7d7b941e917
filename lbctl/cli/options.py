"""The three directories that every command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigDirOption = Annotated[
    Path,
    typer.Option("--config-dir", envvar="LBCTL_CONFIG_DIR", help="What the operator owns."),
]
RunDirOption = Annotated[
    Path,
    typer.Option("--run-dir", envvar="LBCTL_RUN_DIR", help="Rendered files and sockets."),
]
StateDirOption = Annotated[
    Path,
    typer.Option("--state-dir", envvar="LBCTL_STATE_DIR", help="What survives a restart."),
]

CONFIG_DIR = Path("/haproxy")
RUN_DIR = Path("/run/lbctl")
STATE_DIR = Path("/var/lib/lbctl")
