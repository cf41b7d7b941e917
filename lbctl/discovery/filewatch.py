"""
Tells when a file may have changed: written in place, replaced, removed, or back again.

By inotify, of the file itself and of the directories that its name leads through: what is written
in place, through a bind mount too, shows with the file, and what takes its place with its name. The
kernel does not tell everything (a file system of another host, a limit that is reached): the file
is looked at once a second besides.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Between two looks, where inotify says nothing, seconds.
LOOK_S: Final = 1.0

# inotify(7)
_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED, _CREATE, _DELETE = 0xC0, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_OF_FILE: Final = _MODIFY | _ATTRIB | _CLOSE_WRITE | _DELETE_SELF | _MOVE_SELF
_OF_DIRECTORY: Final = _CREATE | _MOVED | _DELETE
_OVERFLOW: Final = 0x4000
#: Told of the file itself, or of what cannot be known.
_OURS: Final = _OF_FILE | _OVERFLOW
#: wd, mask, cookie, length of the name behind it
_HEAD: Final = struct.Struct("iIII")
_EVENTS_BYTES: Final = 1 << 16
#: A chain of links that is longer leads nowhere.
_LINKS_MOST: Final = 8

_libc: Final = ctypes.CDLL(None, use_errno=True)

Mark = tuple[int, ...] | None


class FileWatch:
    """
    Watches one path; the file may be missing. Where inotify cannot be had, the looks are all there
    is. Needs a running loop.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._news = asyncio.Event()
        self._seen: Mark = None
        self._names: set[bytes] = set()
        descriptor: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._descriptor: int | None = None if descriptor < 0 else descriptor
        if self._descriptor is not None:
            asyncio.get_running_loop().add_reader(self._descriptor, self._on_events)

    def begin(self) -> None:
        """What changes from now on counts. To be called before the file is read."""
        self._news.clear()
        self._turn()
        # After that: what changes between the two is told of.
        self._seen = mark(self._path)

    async def changed(self, within_s: float) -> bool:
        """Whether anything changes within so many seconds, or has since :meth:`begin`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while not self._news.is_set() and mark(self._path) == self._seen:
            left_s = end - loop.time()
            if left_s <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, LOOK_S)):
                    await self._news.wait()
        return True

    def close(self) -> None:
        """Let go of inotify."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _turn(self) -> None:
        """To the file, and to each directory where its name, or a link's, stands; as they are."""
        self._names.clear()
        name = self._path
        for _ in range(_LINKS_MOST):
            self._names.add(os.fsencode(name.name))
            self._add(name.parent, _OF_DIRECTORY)
            try:
                name = name.parent / name.readlink()
            except OSError:
                break
        self._add(self._path, _OF_FILE)

    def _add(self, path: Path, events: int) -> None:
        """Once more for the same one changes nothing; one that is not there is looked at later."""
        if self._descriptor is not None:
            events_wanted = ctypes.c_uint32(events)
            _libc.inotify_add_watch(self._descriptor, os.fsencode(path), events_wanted)

    def _on_events(self) -> None:
        assert self._descriptor is not None
        try:
            found = os.read(self._descriptor, _EVENTS_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        at = 0
        while at < len(found):
            _, mask, _, length = _HEAD.unpack_from(found, at)
            at += _HEAD.size
            name = found[at : at + length].rstrip(b"\0")
            at += length
            if mask & _OURS or name in self._names:
                self._news.set()


def mark(path: Path) -> Mark:
    """Two that differ mean that the file has changed; None: it is not there."""
    try:
        there = path.stat()
    except OSError:
        return None
    return (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns)
