"""``lbctl doctor``: what will bite later, before it does."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
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
from lbctl.errors import EXIT_OK, EXIT_VALIDATION
from lbctl.launch.listening import begin


def doctor(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VIP] [PASSWORD] [IP ...]",
            help=(
                "As for lbctl run, with the same environment. Without any: those of the bundle "
                "that runs here; without a bundle the host alone is looked at."
            ),
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> int:
    """
    Look at this host and its network for what will bite later. Starts and changes nothing.

    Ends with 13 when something is bad; takes up to 8 s, most of it to listen.
    """
    # Before the imports: whoever is on the network is heard for three seconds meanwhile.
    listening = begin()
    from lbctl.cli.doctor_view import draw
    from lbctl.doctor.examine import examine
    from lbctl.doctor.row import is_bad
    from lbctl.doctor.subject import read_subject
    from lbctl.launch.configuration import Dirs

    dirs = Dirs.at(config_dir, run_dir, state_dir)
    try:
        subject = read_subject(arguments or [], dirs, os.environ)
        rows = asyncio.run(examine(subject, listening, os.environ))
    finally:
        if listening is not None:
            listening.close()
    if json_output:
        counts = Counter(row.verdict.value for row in rows)
        checks = [row.as_dict() for row in rows]
        typer.echo(json.dumps({"counts": counts, "checks": checks}, indent=2))
    else:
        draw(rows)
    return EXIT_VALIDATION if is_bad(rows) else EXIT_OK
