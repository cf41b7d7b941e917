"""``lbctl config``: what is in force, from the file, the environment and the flags."""

from __future__ import annotations

import os
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
from lbctl.layout import ConfigDir
from lbctl.settings.load import as_json, effective, load


def config(
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Print what is in force: lb.yaml < environment < flags."""
    settings = load(ConfigDir(config_dir), environ=os.environ)
    if json_output:
        typer.echo(as_json(settings))
        return
    typer.echo(f"# {config_dir}/lb.yaml, run dir {run_dir}, state dir {state_dir}")
    typer.echo(effective(settings), nl=False)
