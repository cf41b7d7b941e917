"""The web servers behind the balancers."""

from __future__ import annotations

import sys

from lbctl.lab import web
from lbctl.lab.hosts import Host
from lbctl.lab.process import Process
from lbctl.lab.wait import LabError, wait_until


def serve(host: Host, *, bind: str | None = None, port: int = 80) -> Process:
    """
    Start the lab's web server (:mod:`.web`) on *host*, under its name; it accepts on return.

    Args:
        host: where.
        bind: an address; None: all, IPv4 and IPv6.
        port: TCP.

    Raises:
        LabError: it does not come up.
    """
    argv = [sys.executable, "-I", web.__file__, host.name, f"--port={port}"]
    if bind is not None:
        argv.append(f"--bind={bind}")
    process = host.spawn(argv, log=f"web-{port}.log")

    def is_serving() -> bool:
        if not process.is_running:
            message = f"web server on {host.name} ended: {process.text()}"
            raise LabError(message)
        return "serving" in process.text()

    wait_until(is_serving, 5.0, f"web server on {host.name}", seen=process.text)
    return process
