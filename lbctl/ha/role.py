"""
The role file: which role this node has by its speaker's last word, shared by the hooks and vipd.

Every writer gives the moment it learned the role (CLOCK_MONOTONIC, nanoseconds), which is the
sequence number: an older word never replaces a newer one, however late its writer wakes up. Whoever
changes addresses holds the lock and reads the role inside it, so that a slow writer cannot undo
what a newer hook has done. The file is also how a restarted vipd knows the role.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from lbctl.errors import NetlinkError
from lbctl.files import write_atomic

log = logging.getLogger(__name__)

LOCK_WAIT_S = 0.05


class RoleName(StrEnum):
    """The states as ucarp prints them."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"


@dataclass(frozen=True, slots=True)
class Role:
    """
    A role and who said so.

    Attributes:
        name: the role.
        at_ns: CLOCK_MONOTONIC when its source learned it: the sequence number.
        since: wall clock, seconds, for people.
        ucarp_pid: the speaker that became this; 0: vipd itself decided.
        ucarp_start: its start time in clock ticks since boot, so that a reused pid is not taken
            for it.
        why: a sentence for people.
    """

    name: RoleName
    at_ns: int
    since: float
    ucarp_pid: int = 0
    ucarp_start: int = 0
    why: str = ""


NO_ROLE = Role(RoleName.INIT, at_ns=0, since=0.0, why="just started")


class RoleFile:
    """The file and its lock. Safe between processes; every method returns within 50 ms."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_path = path.with_suffix(".lock")
        self._unwritten = NO_ROLE

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Nobody else changes the role or the addresses meanwhile.

        Raises:
            NetlinkError: somebody has held the lock for 50 ms, longer than any change takes, or
                there is no lock to be had.
        """
        try:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"{self._lock_path}: {error.strerror}"
            raise NetlinkError(message) from error
        try:
            _take(descriptor, self._lock_path)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> Role:
        """The newest role known; :data:`NO_ROLE` when there is none that can be read."""
        return max(self._read_file(), self._unwritten, key=lambda role: role.at_ns)

    def _read_file(self) -> Role:
        try:
            raw = json.loads(self._path.read_text())
            return Role(**{**raw, "name": RoleName(raw["name"])})
        except (OSError, ValueError, TypeError, KeyError):
            return NO_ROLE

    def record(self, role: Role) -> bool:
        """
        Write *role* unless a newer one stands there. The caller holds the lock.

        A full run dir must not keep a node from its role: what cannot be written is remembered, for
        the life of this process.

        Returns:
            Whether *role* is now the newest one.
        """
        if role.at_ns <= self.read().at_ns:
            return False
        try:
            write_atomic(self._path, json.dumps(asdict(role)), mode=0o600)
        except OSError as error:
            log.warning("%s: %s: a restarted vipd will not know this role", self._path, error)
            self._unwritten = role
        return True


def _take(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                message = f"{path}: held by another process for {LOCK_WAIT_S * 1000:.0f} ms"
                raise NetlinkError(message) from error
            time.sleep(0.001)
        else:
            return
