"""The main of ``certs``: reads the certificates alone again, quickly, and ends."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from lbctl.errors import LbctlError
from lbctl.launch.recertify import recertify
from lbctl.layout import RunDir

log = logging.getLogger(__name__)


def main() -> int:
    """``python -m lbctl.daemons.certs RUN_DIR``, started by supervisord when somebody wants it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        verdict = recertify(RunDir(Path(sys.argv[1])))
    except LbctlError as error:
        log.error("%s", error)
        return error.exit_code
    for problem in verdict.problems:
        log.error("%s; the certificates stay as they are", problem)
    for warning in verdict.warnings:
        log.warning("warning: %s", warning)
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())
