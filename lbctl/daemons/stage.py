"""The main of ``stage``: reads the operator's files again, and ends."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from lbctl.errors import EXIT_OK, EXIT_UNEXPECTED, LbctlError, Problem
from lbctl.follow.generation import Verdict, verdict_of, write_verdict
from lbctl.launch.stage import stage
from lbctl.layout import RunDir

log = logging.getLogger(__name__)


def main() -> int:
    """``python -m lbctl.daemons.stage RUN_DIR``, started by supervisord when somebody wants it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    began = time.monotonic()
    run = RunDir(Path(sys.argv[1]))
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
    for problem in verdict.problems:
        log.error("%s", problem)
    for warning in verdict.warnings:
        log.warning("warning: %s", warning)
    if verdict.restart:
        log.warning("with the next start alone: %s", ", ".join(verdict.restart))
    if verdict.code == EXIT_OK:
        log.info("generation %s, read in %.2f s", verdict.number, verdict.took_s)
    else:
        log.error("refused: all stays as it is")


if __name__ == "__main__":
    sys.exit(main())
