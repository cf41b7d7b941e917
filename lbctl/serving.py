"""HTTP on a Unix socket, whose mode says who may ask."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from aiohttp import web

#: SIGTERM ends open streams; nobody is waited for, seconds.
_SHUTDOWN_S: Final = 0.1
#: Who comes while so many wait is sent away (EAGAIN): a storm of payloads is not to be.
_BACKLOG: Final = 1024


async def serve(app: web.Application, path: Path, *, mode: int) -> web.AppRunner:
    """
    Listen on *path*, in place of whoever did; the caller cleans the runner up.

    Raises:
        OSError: the socket cannot be made.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    await web.SockSite(runner, _listener(path, mode), backlog=_BACKLOG).start()
    return runner


def _listener(path: Path, mode: int) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777 & ~mode)
    try:
        listener.bind(str(path))
    finally:
        os.umask(umask)
    return listener
