"""The last step of ``lbctl run``: the process becomes supervisord, under the same pid."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from lbctl.bundle.notify import keep_for_supervisord
from lbctl.launch.locks import place
from lbctl.layout import RunDir

#: Never in the environment of a program that runs on.
_SECRETS = "LBCTL_PASSWORD"


def become_supervisord(run: RunDir, locks: Sequence[int]) -> NoReturn:
    """
    Hand over locks and stdout, forget the password, and exec.

    Raises:
        OSError: the interpreter cannot be executed.
    """
    for name in [name for name in os.environ if name.startswith(_SECRETS)]:
        del os.environ[name]
    keep_for_supervisord(os.environ)
    # supervisord wants a temporary directory for nothing, and the root may be read-only.
    os.environ.setdefault("TMPDIR", str(run.root))
    sys.stdout.flush()
    sys.stderr.flush()
    # The operator's word to read the files again; until supervisord hears it, it ends nothing.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0, inheritable=True)
    place(locks)
    module = "lbctl.bundle.supervisord"
    argv = [sys.executable, "-I", "-m", module, "-c", str(run.supervisord_conf)]
    os.execv(argv[0], argv)
