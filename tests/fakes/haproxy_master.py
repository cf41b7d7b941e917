"""
A master that can lose orders and be another one all of a sudden, which a real one does too rarely.

Its words are those of HAProxy 2.6; tests/contract/test_reload.py holds the reader to the real ones.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_PROC = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
{master}           master          {reloads} [failed: 0]   0d00h00m06s     2.6.12
# workers
{worker}           worker          0               0d00h00m01s     2.6.12
# programs

"""


class FakeMaster:
    """
    Attributes:
        loses: so many orders have no effect.
        begins_anew: the next order makes it another process, with its count at zero.
        orders: that it was given.
    """

    def __init__(self, *, loses: int = 0, begins_anew: bool = False) -> None:
        self.loses = loses
        self.begins_anew = begins_anew
        self.orders = 0
        self._reloads = 0
        # One that runs, and is asked for nothing but whether it does.
        self._pid = os.getpid()

    @asynccontextmanager
    async def at(self, path: Path) -> AsyncIterator[str]:
        server = await asyncio.start_unix_server(self._answer, path)
        try:
            yield str(path)
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = (await reader.read()).decode().strip()
        if command == "reload":
            self._reload()
        else:
            worker = 1000 + self._reloads
            text = _PROC.format(master=self._pid, reloads=self._reloads, worker=worker)
            writer.write(text.encode())
        writer.close()

    def _reload(self) -> None:
        self.orders += 1
        if self.begins_anew:
            self._pid, self._reloads = os.getppid(), 0
        elif self.orders > self.loses:
            self._reloads += 1
