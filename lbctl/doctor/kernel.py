"""What only a try can tell of this kernel and this container: pidfds, sock_diag, real time."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from lbctl.doctor.row import Row, ok, unknown, warn
from lbctl.errors import NetlinkError
from lbctl.ha.diag import destroy, established

_PRIORITY = 10
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Kernel:
    """
    Attributes:
        release: as ``uname -r``.
        pidfd: why there is none; empty: it works. None was not tried, here and below.
        destroy: why a connection cannot be ended.
        real_time: why this process cannot be scheduled in real time.
    """

    release: str
    pidfd: str | None
    destroy: str | None
    real_time: str | None


def try_kernel() -> Kernel:
    """Try each on this process alone."""
    return Kernel(os.uname().release, try_pidfd(), try_destroy(), try_real_time())


def try_pidfd() -> str:
    return _tried(lambda: os.close(os.pidfd_open(os.getpid())))


def try_real_time() -> str:
    """For a moment, this thread alone."""

    def attempt() -> None:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
        os.sched_setscheduler(0, *before)

    return _tried(attempt)


def try_destroy() -> str | None:
    """On a connection of this process with itself; None: without a loopback nothing was tried."""
    try:
        with socket.create_server((_LOOPBACK, 0)) as server:
            here = server.getsockname()
            with socket.create_connection(here, timeout=1.0) as client:
                peer = client.getsockname()
                accepted, _ = server.accept()
                with accepted:
                    return _destroy(here[1], peer[1])
    except OSError:
        return None


def _destroy(port: int, peer_port: int) -> str | None:
    try:
        mine = [
            one
            for one in established([_LOOPBACK])
            if (one.port, one.peer_port) == (port, peer_port)
        ]
        return "" if destroy(mine) else None
    except NetlinkError as error:
        return str(error).partition(": ")[2] or str(error)


def _tried(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def judge_kernel(kernel: Kernel, *, is_native: bool, has_group: bool) -> list[Row]:
    """What is lost where something does not work."""
    rows = [_pidfd(kernel)]
    if has_group:
        rows.append(_ending(kernel))
    if is_native:
        rows.append(_real_time(kernel))
    return rows


def _pidfd(kernel: Kernel) -> Row:
    if kernel.pidfd:
        text = f"{kernel.release}: no pidfd ({kernel.pidfd}): dead programs are noticed later"
        return warn("kernel", text, "Linux 5.3 or later has them")
    return ok("kernel", f"{kernel.release}: pidfds")


def _ending(kernel: Kernel) -> Row:
    check = "connections"
    if kernel.destroy is None:
        return unknown(check, "not tried: this process cannot connect to itself on 127.0.0.1")
    if "NET_ADMIN" in kernel.destroy:
        return unknown(check, "not tried: this process lacks NET_ADMIN")
    if kernel.destroy:
        return warn(
            check,
            f"{kernel.destroy}: after a move clients with open connections hang until they give up",
            "a kernel with CONFIG_INET_DIAG_DESTROY",
        )
    return ok(check, "can be ended, so that clients know at once that the address has moved")


def _real_time(kernel: Kernel) -> Row:
    check = "real time"
    if kernel.real_time:
        return warn(
            check,
            f"{kernel.real_time}: on an overloaded host advertisements leave late, and the peer "
            "may take over",
            "give the capability SYS_NICE (--cap-add=SYS_NICE)",
        )
    return ok(check, "vipd can be scheduled in real time")
