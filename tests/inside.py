"""This process itself on a host of the lab: sockets that it opens are that host's."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lbctl.lab.hosts import Host
from lbctl.lab.wait import LabError

# sched.h
_CLONE_NEWNET: Final = 0x40000000


@contextmanager
def inside(host: Host) -> Iterator[None]:
    """For the length of a block: the lab ends everything that is left on its hosts."""
    with Path("/proc/self/ns/net").open() as home:
        _enter(Path("/run/netns", host.ns))
        try:
            yield
        finally:
            _enter(Path(f"/proc/self/fd/{home.fileno()}"))


def _enter(namespace: Path) -> None:
    with namespace.open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
            message = f"{namespace}: {os.strerror(ctypes.get_errno())}"
            raise LabError(message)
