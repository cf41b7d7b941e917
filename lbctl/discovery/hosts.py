"""
The provider ``hosts``: the names in a file like ``/etc/hosts``, whoever writes it, and however.

A file is read when nobody has written to it for a moment. One that ends in the middle of a line, or
is empty, is being written, or was left so: it takes no name away. One that cannot be read takes
nothing away either: that is the hub's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Final

from lbctl.discovery.base import HEARD_EVERY_S
from lbctl.discovery.filewatch import FileWatch
from lbctl.discovery.hosts_read import HostsFile, read_hosts
from lbctl.errors import ProviderError
from lbctl.files import read_bounded
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import Hosts

#: Whoever writes has done, when the file was as it is for so long, seconds.
SETTLE_S: Final = 0.02
#: The same of a file that ends in the middle of a line, or is empty.
SETTLE_HALF_S: Final = 0.5
#: Somebody who never stops writing does not hide what others wrote.
SETTLE_AT_MOST_S: Final = 1.0
#: A hundred thousand names are less.
FILE_MAX_BYTES: Final = 8 << 20


class HostsProvider:
    """Follows ``discovery.hosts.path``, which must be given."""

    name = "hosts"

    def __init__(self, hosts: Hosts, wall: Callable[[], float] = time.time) -> None:
        assert hosts.path is not None
        self._path = Path(hosts.path)
        self._wall = wall
        self._known: Mapping[str, tuple[str, ...]] = {}
        self._is_lost = False
        self.target = hosts.path

    async def fetch(self) -> Snapshot:
        """
        Raises:
            ProviderError: the file is not there, cannot be read, or is too long.
        """
        return self._snapshot(self._read())

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        """
        Raises:
            ProviderError: as :meth:`fetch`. Called again it waits for the file to come, and raises
                the same when it has not within a minute.
        """
        look = FileWatch(self._path)
        try:
            if self._is_lost:
                await self._until_back(look)
            while True:
                yield self._snapshot(await self._settled(look))
                await look.changed(HEARD_EVERY_S)
        finally:
            look.close()

    async def close(self) -> None:
        """Nothing is held between two watches."""

    async def _until_back(self, look: FileWatch) -> None:
        """Whoever asks pauses longer and longer, and would be late."""
        loop = asyncio.get_running_loop()
        end = loop.time() + HEARD_EVERY_S
        while (left_s := end - loop.time()) > 0:
            look.begin()
            try:
                self._read()
            except ProviderError:
                await look.changed(left_s)
            else:
                return

    async def _settled(self, look: FileWatch) -> HostsFile:
        """The file, when nobody seems to write to it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + SETTLE_AT_MOST_S
        while True:
            look.begin()
            is_late = loop.time() >= end
            if await look.changed(SETTLE_S) and not is_late:
                continue
            try:
                found = self._read()
            except ProviderError:
                # Between the old one and the new one; but not for ever.
                if self._is_lost or is_late or not await look.changed(SETTLE_HALF_S):
                    self._is_lost = True
                    raise
                continue
            if found.is_whole or is_late or not await look.changed(SETTLE_HALF_S):
                return found

    def _read(self) -> HostsFile:
        try:
            content = read_bounded(self._path, FILE_MAX_BYTES)
        except OSError as error:
            message = f"hosts {self.target}: {error.strerror}"
            raise ProviderError(message) from error
        return read_hosts(content)

    def _snapshot(self, found: HostsFile) -> Snapshot:
        self._is_lost = False
        problems = found.problems
        names = dict(found.names)
        if not found.is_whole and (more := self._known.keys() - names.keys()):
            names = {**self._known, **names}
            problems += (f"it has no end of line at its end: {len(more)} names missing are kept",)
        self._known = names
        return Snapshot(self.name, (), self._wall(), problems, names=names)
