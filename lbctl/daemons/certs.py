"""The main of ``certs``: reads the certificates alone again, quickly, and ends."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from lbctl.bundle.saying import speak
from lbctl.errors import LbctlError
from lbctl.launch.recertify import recertify
from lbctl.layout import RunDir

log = logging.getLogger(__name__)


def main() -> int:
    """``python -m lbctl.daemons.certs RUN_DIR``, started by supervisord when somebody wants it."""
    run = RunDir(Path(sys.argv[1]))
    speak(run.spec)
    try:
        verdict = recertify(run)
    except LbctlError as error:
        log.error("%s", error)
        return error.exit_code
    # What is wrong is in the verdict, and the agent tells it.
    for warning in verdict.warnings:
        log.warning("warning: %s", warning)
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())
