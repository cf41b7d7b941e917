"""``lbctl check``: whether what is in the config dir would run."""

from __future__ import annotations

import os
import sys

from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.launch.configuration import Dirs
from lbctl.launch.rehearse import rehearse


def check(
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """
    Judge lb.yaml, haproxy.cfg and nginx.d, with HAProxy's and nginx's own words.

    Needs no VIP and no capability, and nothing is started: `RUN lbctl check` in a Dockerfile.
    """
    right, warnings = rehearse(Dirs.at(config_dir, run_dir, state_dir), os.environ)
    for warning in warnings:
        print(f"lbctl: warning: {warning}", file=sys.stderr)
    for part in right:
        print(f"ok: {part}")
