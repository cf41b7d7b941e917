"""
The run dir and the state dir as the programs need them: directories, FIFOs, files, owners, modes.

A start begins with an empty tree: what an earlier bundle left, its sockets above all, is removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lbctl.errors import Problem, ValidationError
from lbctl.files import private_directory
from lbctl.launch.host import Account
from lbctl.layout import SOCKET_PATH_MAX_BYTES, RunDir, StateDir

_PUBLIC = 0o755
_USERS = 0o750
_CLOSED = 0o700
_GROUPS = 0o640


@dataclass(frozen=True, slots=True)
class File:
    """One file to write; *account* None: the starter's own."""

    path: Path
    content: bytes
    mode: int
    account: Account | None = None


def path_problems(run: RunDir) -> list[Problem]:
    """Sockets whose path would be longer than the kernel takes, told by the longest."""
    sockets = (
        run.master_socket(1),
        run.api_socket,
        run.nginx_socket,
        run.supervisor_socket,
        run.vipd_socket,
    )
    longest = max((os.fsencode(path) for path in sockets), key=len)
    if len(longest) <= SOCKET_PATH_MAX_BYTES:
        return []
    spare = SOCKET_PATH_MAX_BYTES - (len(longest) - len(os.fsencode(run.root)))
    what = (
        f"{run.root} is too long: {os.fsdecode(longest)} has {len(longest)} bytes, and a socket "
        f"may have {SOCKET_PATH_MAX_BYTES}: give a directory with at most {spare}"
    )
    return [Problem("--run-dir", what)]


@contextmanager
def writing(where: str, root: Path) -> Iterator[None]:
    """Whatever cannot be written inside is a problem of the flag *where*."""
    try:
        yield
    except OSError as error:
        path = error.filename or root
        what = f"{path}: {error.strerror or error}: it must be possible to write there"
        raise ValidationError([Problem(where, what)]) from error


def clear(run: RunDir) -> None:
    """
    Remove everything but the directory and its lock.

    Raises:
        ValidationError: something cannot be removed.
    """
    with writing("--run-dir", run.root):
        for path in (run.haproxy, run.nginx, run.api, run.ha, run.log, run.inputs, run.trial):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for path in run.root.iterdir():
            if path != run.lock and not path.is_dir():
                path.unlink()


def make(run: RunDir, account: Account, programs: Iterable[str], own: Iterable[str]) -> None:
    """
    Make the run dir's tree on an empty run dir.

    Args:
        account: the unprivileged user; the starter, where he is not root.
        programs: all of them: each gets a FIFO.
        own: those among them that run as the starter.

    Raises:
        ValidationError: it cannot be written.
    """
    theirs = account if os.geteuid() == 0 else None
    with writing("--run-dir", run.root):
        users = (run.haproxy, run.nginx, run.api, run.certs, run.nginx_page.parent)
        for path in users:
            path.mkdir(mode=_CLOSED)
        # The inner ones first: what lies in a directory of another user is not safe to touch.
        for path in reversed(users):
            _give(path, _USERS, theirs)
        _directory(run.ha, _CLOSED, None)
        _directory(run.log, _PUBLIC, None)
        _shared(run.inputs, account)
        if theirs is not None:
            _shared(run.inputs_copies, account)
        starters = frozenset(own)
        for program in programs:
            # The group reads: logd, which has no capability to read what it does not own.
            fifo = run.log_fifo(program)
            os.mkfifo(fifo, 0o600)
            _give(fifo, 0o660, None if program in starters else theirs)


def own_state(state: StateDir, account: Account) -> None:
    """
    Let the unprivileged user write the state dir, where the agent keeps its events; ``ha/`` in it
    stays the starter's, closed to others.

    Raises:
        ValidationError: it cannot be given away, or something else stands in the place of ``ha``.
    """
    with writing("--state-dir", state.ha), suppress(FileExistsError):
        state.ha.mkdir(mode=_CLOSED)
    try:
        with private_directory(state.ha, mend=True):
            pass
    except OSError as error:
        what = (
            f"{error.strerror}: who may write to {state.root} has put it there in the place of "
            "what an earlier start made; remove it, and the next start makes it anew"
        )
        raise ValidationError([Problem("--state-dir", what)]) from error
    if os.geteuid() != 0:
        return
    with writing("--state-dir", state.root):
        os.chown(state.root, account.uid, account.gid)


def write(files: Iterable[File], *, gid: int = -1) -> None:
    """
    Write files that are not there yet, each with its owner and mode before its content.

    Args:
        files: all of them.
        gid: of files without an account; -1: the starter's own.

    Raises:
        ValidationError: one cannot be written.
    """
    for file in files:
        with writing("--run-dir", file.path.parent):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(file.path, flags, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                if gid >= 0:
                    os.fchown(descriptor, -1, gid)
                os.fchmod(descriptor, file.mode)
                if file.account is not None and os.geteuid() == 0:
                    os.fchown(descriptor, file.account.uid, file.account.gid)
                stream.write(file.content)


def _directory(path: Path, mode: int, account: Account | None) -> None:
    path.mkdir(mode=_CLOSED)
    _give(path, mode, account)


def lay_out(run: RunDir, files: Iterable[File], account: Account) -> None:
    """
    Write *files* below *run*, which is not there yet, for programs that are to judge them.

    All of it stays this user's, so that nobody can lead it astray: the others read. But for
    ``nginx/``, in the end: nginx writes there, whatever it is asked.

    Raises:
        ValidationError: it cannot be written.
    """
    with writing("--run-dir", run.root):
        _shared(run.root, account)
        made = {run.root}
        for file in files:
            for path in reversed(file.path.parents):
                if path.is_relative_to(run.root) and path not in made:
                    _shared(path, account)
                    made.add(path)
            write([replace(file, mode=_GROUPS, account=None)], gid=account.gid)
        if run.nginx in made and os.geteuid() == 0:
            os.chown(run.nginx, account.uid, account.gid)


def remove(run: RunDir) -> None:
    """Take away what :func:`lay_out` made, or had begun to; links in it lead nowhere."""
    with suppress(FileNotFoundError):
        if os.geteuid() == 0:
            # Whoever writes there would keep it from ever being empty.
            os.chown(run.nginx, 0, 0, follow_symlinks=False)
    shutil.rmtree(run.root, ignore_errors=True)


def _shared(path: Path, account: Account) -> None:
    """A directory of this user that *account* may enter and read."""
    path.mkdir(mode=_CLOSED)
    os.chown(path, -1, account.gid)
    path.chmod(_USERS)


def _give(path: Path, mode: int, account: Account | None) -> None:
    path.chmod(mode)
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
