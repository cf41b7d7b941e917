"""``lbctl run``: check, render, listen, and become supervisord."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import EXIT_UNEXPECTED, LbctlError, ProblemsError
from lbctl.launch.listening import begin

_ENDING = (signal.SIGTERM, signal.SIGINT)


def run(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VIP] [PASSWORD] [IP ...]",
            help=(
                "The virtual address (IPv4), the password shared with the other host (at most 19 "
                "bytes), further virtual addresses. Without any: a plain load balancer. With "
                "LBCTL_PASSWORD_FILE set there is no PASSWORD here: all after VIP are addresses. "
                "IPS in the environment adds addresses; DEV is the interface, VHID the id. An "
                "address is /32 or /128 unless a prefix is given (10.0.1.203/24)."
            ),
        ),
    ] = None,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Run the bundle on this host: HAProxy, nginx and, with a VIP, CARP."""
    for number in _ENDING:
        signal.signal(number, _end)
    # Before the imports: whoever is on the network is heard for three seconds meanwhile.
    listening = begin() if arguments else None
    # Imported here: half a second that runs beside the listening, not before it.
    from lbctl.bundle.notify import Notifier
    from lbctl.launch.configuration import Dirs
    from lbctl.launch.start import start
    from lbctl.settings.early import log_format

    dirs = Dirs.at(Path(config_dir), Path(run_dir), Path(state_dir))
    is_json = log_format(dirs.config.settings, os.environ) == "json"
    warn = _warn_json if is_json else _warn
    try:
        start(arguments or [], dirs, environ=os.environ, listening=listening, warn=warn)
    except LbctlError as error:
        # Between two tries "systemctl status" shows no line of the journal, but this.
        Notifier.given(os.environ).send(f"STATUS=not started: {' '.join(str(error).split())}")
        if is_json:
            raise _reported(error) from error
        raise


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """
    Leave through the clean-up, which a second signal must not cut short.

    The kernel keeps a signal from PID 1 unless that has a handler. exec takes the handler away, and
    supervisord installs its own.
    """
    for one in _ENDING:
        signal.signal(one, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _warn(text: str) -> None:
    print(f"lbctl: warning: {text}", file=sys.stderr, flush=True)


def _warn_json(text: str) -> None:
    _tell("warning", text)


def _reported(error: LbctlError) -> typer.Exit:
    """As the command line does, a line for each problem."""
    for one in error.problems if isinstance(error, ProblemsError) else (error,):
        _tell("error", str(one))
    return typer.Exit(error.exit_code or EXIT_UNEXPECTED)


def _tell(level: str, text: str) -> None:
    """As logd does from then on: one object a line."""
    from lbctl.bundle.objects import line_of, stamp

    line = line_of(stamp(time.time()), "lbctl", text, level=level, kind="start")
    sys.stderr.buffer.write(line.encode("utf-8", "replace"))
    sys.stderr.flush()
