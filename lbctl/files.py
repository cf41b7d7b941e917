"""
Files that are either the old one or the new one, never half of each.

*Private* is a directory that belongs to this process's user and that nobody else may write to,
though it may lie in somebody else's: its name there may stand for anything by now, so it is opened
first, looked at, and only what lies in the open one is touched.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: A FIFO does not keep the reader waiting.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_PART_BYTES = 1 << 20
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_atomic(
    path: Path, text: str, *, mode: int = 0o644, uid: int = -1, gid: int = -1, durable: bool = False
) -> bool:
    """
    Replace *path* by *text* with one rename.

    Args:
        path: the file; its directory exists and takes a temporary neighbour.
        text: the whole content, written as UTF-8; surrogates are the bytes they were read from.
        mode: permission bits, set before the file has its name.
        uid: owner, -1 keeps the caller's.
        gid: group, -1 keeps the caller's.
        durable: survive a power cut: fsync the file and its directory.

    Returns:
        Whether anything was written: equal content, mode and owner leave the file alone.

    Raises:
        OSError: the directory is missing, full or not writable; the old file is untouched.
    """
    content = text.encode(errors="surrogateescape")
    with _named(path), _opened(os.open(path.parent, _DIRECTORY)) as directory:
        if _is_already(path, content, mode, uid, gid):
            return False
        temporary = f".{path.name}.{secrets.token_hex(4)}"
        descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=directory)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                os.fchmod(descriptor, mode)
                if uid >= 0 or gid >= 0:
                    os.fchown(descriptor, uid, gid)
                if durable:
                    stream.flush()
                    os.fsync(descriptor)
            os.replace(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            raise
        if durable:
            os.fsync(directory)
    return True


def read_regular(path: Path) -> str:
    """
    The text of a file that somebody else may have put there; bytes that are no UTF-8 are replaced.

    Raises:
        OSError: it cannot be read, or is no file.
    """
    with _named(path):
        return _read(os.open(path, _READ)).decode(errors="replace")


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """
    What an operator's file holds, whatever has come into its place: a FIFO keeps nobody waiting,
    and a device without an end fills no memory.

    Raises:
        OSError: it cannot be read, or is a directory, a FIFO, or longer than *most_bytes*.
    """
    with _named(path), os.fdopen(os.open(path, _READ), "rb", buffering=0) as stream:
        mode = os.fstat(stream.fileno()).st_mode
        if stat.S_ISFIFO(mode):
            raise OSError(errno.EINVAL, "it is a FIFO, and a file is wanted")
        found = bytearray()
        while part := stream.read(min(_PART_BYTES, most_bytes + 1 - len(found))):
            found += part
        if len(found) > most_bytes:
            what = f"it is longer than {most_bytes >> 20} MB"
            raise OSError(errno.EFBIG, what)
    return bytes(found)


def write_private(path: Path, text: str) -> None:
    """
    Replace *path* in its private directory, durably, closed to others; one writer at a time.

    Raises:
        OSError: the directory is not to be had, full, or not private; the old file is untouched.
    """
    temporary = f".{path.name}.new"
    with _named(path), private_directory(path.parent) as directory:
        with suppress(FileNotFoundError):
            # Of a writer that was killed.
            os.unlink(temporary, dir_fd=directory)
        descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=directory)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(descriptor)
        os.replace(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)


def read_private(path: Path) -> str:
    """
    The text of a file in its private directory; bytes that are no UTF-8 are replaced.

    Raises:
        OSError: it is not there, or no file, or the directory is not private.
    """
    with _named(path), private_directory(path.parent) as directory:
        found = _read(os.open(path.name, _READ | os.O_NOFOLLOW, dir_fd=directory))
        return found.decode(errors="replace")


@contextmanager
def private_directory(path: Path, *, mend: bool = False) -> Iterator[int]:
    """
    A private directory, open.

    Args:
        path: links on the way to it are followed, and it must be none itself.
        mend: close it to others where it is not.

    Yields:
        Its descriptor.

    Raises:
        OSError: it is not there, or not private.
    """
    with _opened(_open_directory(path)) as directory:
        there = os.fstat(directory)
        if there.st_uid != os.geteuid():
            what = f"belongs to uid {there.st_uid}"
            raise _not_private(what, path)
        if mend:
            os.fchmod(directory, 0o700)
        elif there.st_mode & 0o022:
            what = f"has mode {stat.S_IMODE(there.st_mode):04o}"
            raise _not_private(what, path)
        yield directory


def _open_directory(path: Path) -> int:
    try:
        return os.open(path, _DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        what = "is no directory"
        raise _not_private(what, path) from error


def _not_private(what: str, path: Path) -> PermissionError:
    text = f"{path} {what}, and must be a directory of uid {os.geteuid()} that no other may write"
    return PermissionError(errno.EPERM, text, os.fspath(path))


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no file")
        return stream.read()


def _is_already(path: Path, content: bytes, mode: int, uid: int, gid: int) -> bool:
    try:
        status = path.stat()
        return (
            status.st_mode & 0o7777 == mode
            and uid in (-1, status.st_uid)
            and gid in (-1, status.st_gid)
            and _read(os.open(path, _READ)) == content
        )
    except OSError:
        return False


@contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors name *path*, not a name inside its directory."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise
