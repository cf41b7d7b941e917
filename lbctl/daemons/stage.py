"""The main of ``stage``: reads the operator's files again, and ends."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from lbctl.bundle.saying import speak
from lbctl.errors import EXIT_UNEXPECTED, LbctlError, Problem
from lbctl.follow.generation import Verdict, verdict_of, write_verdict
from lbctl.launch.stage import stage
from lbctl.layout import RunDir

log = logging.getLogger(__name__)


def main() -> int:
    """``python -m lbctl.daemons.stage RUN_DIR``, started by supervisord when somebody wants it."""
    began = time.monotonic()
    run = RunDir(Path(sys.argv[1]))
    speak(run.spec)
    try:
        verdict = stage(run, os.environ)
    except LbctlError as error:
        log.error("%s", error)
        return error.exit_code
    except Exception as error:
        # Whoever waits is told, whatever nobody thought of.
        problem = Problem("stage", f"{error!r}; nothing was changed")
        write_verdict(run, "stage", verdict_of(began, code=EXIT_UNEXPECTED, problems=(problem,)))
        raise
    _say(verdict)
    return verdict.code


def _say(verdict: Verdict) -> None:
    """What the agent does not: it tells what was refused and why, and what was brought in."""
    for warning in verdict.warnings:
        log.warning("warning: %s", warning)


if __name__ == "__main__":
    sys.exit(main())
