"""
What a lab may call its own: a prefix and a directory, held by a lock while its maker lives.

A pid alone would not do: another process may have it by the time somebody looks.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from lbctl.lab.process import NETNS_DIR
from lbctl.lab.wait import LabError

DIRECTORY = Path("/tmp")

_NAMESPACE = re.compile(r"(lb(\d+)x\d+)-\w+")
_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Claim:
    """
    A lab's names.

    Attributes:
        prefix: ``lb<pid>x<n>``.
        lock: descriptor of the held lock; -1 for a lab whose maker has died.
    """

    prefix: str
    lock: int = -1

    @property
    def directory(self) -> Path:
        return DIRECTORY / f"lbctl-lab-{self.prefix.removeprefix('lb')}"

    @property
    def kept(self) -> Path:
        """Where the directory is after a release that keeps it."""
        return DIRECTORY / f"lbctl-kept-{self.prefix.removeprefix('lb')}"

    def namespace(self, host: str) -> str:
        return f"{self.prefix}-{host}"

    def namespaces(self) -> list[str]:
        """Those that exist."""
        return [name for name in _all_namespaces() if name.startswith(f"{self.prefix}-")]

    def release(self, *, keep: bool = False) -> None:
        """Give the names up; *keep* leaves the files, under a name that no lab sweeps."""
        if keep:
            self.directory.rename(self.kept)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self.lock >= 0:
            os.close(self.lock)


def claim() -> Claim:
    """
    Take a new prefix and make its directory; every user may enter it, as the bundle's user must.

    Raises:
        LabError: the directory is there already.
    """
    prefix = f"lb{os.getpid()}x{next(_counter)}"
    directory = Claim(prefix).directory
    try:
        directory.mkdir()
        directory.chmod(0o755)
        lock = os.open(directory / "owner", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        message = f"lab: make {directory}: {error}; nothing was made"
        raise LabError(message) from error
    os.write(lock, b"held\n")
    return Claim(prefix, lock)


def stale() -> list[Claim]:
    """The labs that are still there while their makers are not."""
    prefixes = {match[1] for name in _all_namespaces() if (match := _NAMESPACE.fullmatch(name))}
    for directory in DIRECTORY.glob("lbctl-lab-*x*"):
        match = re.fullmatch(r"lbctl-lab-(\d+x\d+)", directory.name)
        if match and directory.is_dir() and directory.lstat().st_uid == os.geteuid():
            prefixes.add(f"lb{match[1]}")
    return [one for one in map(Claim, sorted(prefixes)) if _is_stale(one)]


def _all_namespaces() -> list[str]:
    return sorted(path.name for path in NETNS_DIR.glob("*"))


def _is_stale(claim: Claim) -> bool:
    pid = claim.prefix.removeprefix("lb").partition("x")[0]
    if not Path("/proc", pid).exists():
        return True
    try:
        with (claim.directory / "owner").open() as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Empty: it is being made at this moment.
            return owner.read() != ""
    except OSError:
        return False
