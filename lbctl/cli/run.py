"""``lbctl run``: check, render, listen, and become supervisord."""

from __future__ import annotations

import os
import sys
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
from lbctl.launch.listening import begin


def run(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VIP] [PASSWORD] [IP ...]",
            help=(
                "The virtual address (IPv4), the password shared with the other host (at most 19 "
                "bytes), further virtual addresses. Without any: a plain load balancer. With "
                "LBCTL_PASSWORD_FILE set there is no PASSWORD here: all after VIP are addresses. "
                "IPS in the environment adds addresses; DEV is the interface, VHID the id."
            ),
        ),
    ] = None,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Run the bundle on this host: HAProxy, nginx and, with a VIP, UCARP."""
    # First of all: whoever is on the network is heard for three seconds, whatever else takes time.
    listening = begin() if arguments else None
    # Imported here: half a second that runs beside the listening, not before it.
    from lbctl.launch.configuration import Dirs
    from lbctl.launch.start import start

    dirs = Dirs.at(Path(config_dir), Path(run_dir), Path(state_dir))
    start(arguments or [], dirs, environ=os.environ, listening=listening, warn=_warn)


def _warn(text: str) -> None:
    print(f"lbctl: warning: {text}", file=sys.stderr, flush=True)
