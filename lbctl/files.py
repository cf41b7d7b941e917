"""Files that are either the old one or the new one, never half of each."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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
    if _is_already(path, text, mode, uid, gid):
        return False
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(
            descriptor, "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as stream:
            stream.write(text)
            os.fchmod(stream.fileno(), mode)
            if uid >= 0 or gid >= 0:
                os.fchown(stream.fileno(), uid, gid)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        _sync_directory(path.parent)
    return True


def _is_already(path: Path, text: str, mode: int, uid: int, gid: int) -> bool:
    try:
        status = path.stat()
        return (
            status.st_mode & 0o7777 == mode
            and uid in (-1, status.st_uid)
            and gid in (-1, status.st_gid)
            and path.read_bytes() == text.encode(errors="surrogateescape")
        )
    except OSError:
        return False


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
