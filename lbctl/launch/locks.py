"""One bundle for one pair of directories: locks that live exactly as long as supervisord."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lbctl.errors import Problem, ValidationError

#: Supervisor keeps 0..4 for itself on a reload and closes 3..8 in its children: a descriptor that
#: supervisord holds for life and no child inherits is 3 or 4.
FIRST_DESCRIPTOR = 3
#: The true stdout, for logd: above what supervisor closes.
STDOUT_DESCRIPTOR = 9

_FOREIGN = frozenset({"lost+found"})


def make_directory(path: Path, *, where: str, marker: str) -> None:
    """
    Have the directory *path*, fit to be lbctl's own.

    Args:
        path: absolute.
        where: the flag that names it.
        marker: a name inside that lbctl always leaves there.

    Raises:
        ValidationError: it cannot be made or written, or holds what is not lbctl's: files in it
            are replaced and removed, so a slip of the pen (``--run-dir /etc``) must end here.
    """
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        names = {entry.name for entry in path.iterdir()} - _FOREIGN
    except OSError as error:
        what = f"{path}: {error.strerror or error}: it must be a directory that can be written"
        raise ValidationError([Problem(where, what)]) from error
    if names and marker not in names:
        what = (
            f"{path} holds {', '.join(sorted(names)[:3])} and was never lbctl's: files in it would "
            "be replaced; give an empty directory, or one that is not there yet"
        )
        raise ValidationError([Problem(where, what)])


def take(path: Path, *, where: str) -> int:
    """
    Lock *path* and leave this process's pid in it; the lock ends with the last descriptor.

    Returns:
        The descriptor.

    Raises:
        ValidationError: another bundle has it, or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        what = f"{path}: {error.strerror}: it must be possible to write there"
        raise ValidationError([Problem(where, what)]) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        who = f"lbctl, pid {holder}," if holder.isdecimal() else "another lbctl"
        what = (
            f"{who} runs on {path.parent} already: a second one needs directories and ports "
            "of its own; nothing was started"
        )
        raise ValidationError([Problem(where, what)]) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def release(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def place(locks: Iterable[int]) -> None:
    """Move the locks and stdout to the numbers at which supervisord is to inherit them."""
    # Away from the target range first: one lock may lie where the other belongs.
    away = [fcntl.fcntl(lock, fcntl.F_DUPFD, STDOUT_DESCRIPTOR + 1) for lock in locks]
    os.dup2(1, STDOUT_DESCRIPTOR, inheritable=True)
    for number, descriptor in enumerate(away, FIRST_DESCRIPTOR):
        os.dup2(descriptor, number, inheritable=True)
        os.close(descriptor)
    # What our own parent left open is no business of the programs, whose children keep it for life.
    for entry in Path("/proc/self/fd").iterdir():
        if int(entry.name) > STDOUT_DESCRIPTOR:
            with suppress(OSError):
                os.set_inheritable(int(entry.name), False)
