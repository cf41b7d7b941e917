"""
HAProxy's part of ``/metrics``: a program of its own is run for it, by one who asks for all who ask
meanwhile.

It writes into memory that belongs to no process, so that this one neither grows nor holds up a
reader until a slow one is done; what is not whole is not told at all.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from weakref import WeakSet

log = logging.getLogger(__name__)

#: From its start to its end, seconds.
LIMIT_S: Final = 5.0
#: Whoever asks for more texts than these at a time holds them, and does not read.
TEXTS_MOST: Final = 4
_CHUNK_BYTES: Final = 64 * 1024
_SAID_BYTES: Final = 4000


@dataclass(slots=True)
class Scrapes:
    """
    Attributes:
        failures: runs of which there is no text.
        took_s: the last one that succeeded; 0: none did.
        trouble: what the last one said went wrong; empty: nothing.
    """

    failures: int = 0
    took_s: float = 0.0
    trouble: str = ""


class Text:
    """What a run has written; gone with the last one who holds it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def __del__(self) -> None:
        os.close(self._descriptor)

    def chunks(self) -> Iterator[bytes]:
        """All of it, in pieces."""
        offset = 0
        while chunk := os.pread(self._descriptor, _CHUNK_BYTES, offset):
            offset += len(chunk)
            yield chunk


class Scraper:
    """
    Owned by one event loop.

    Args:
        run: the run dir, for the program.
        argv: the program; the run dir comes behind it.
    """

    def __init__(self, run: Path, argv: Sequence[str] = ()) -> None:
        own = (sys.executable, "-I", "-m", "lbctl.daemons.scrape")
        self._argv = (*(argv or own), str(run))
        self.scrapes = Scrapes()
        self._running: asyncio.Task[Text | None] | None = None
        self._texts: WeakSet[Text] = WeakSet()

    @property
    def is_crowded(self) -> bool:
        """Too many texts are being read, slowly."""
        return len(self._texts) >= TEXTS_MOST

    async def take(self) -> Text | None:
        """
        What HAProxy's processes say now; None: nobody knows.

        Who comes while a run is under way gets what it finds: it has just begun.
        """
        if self._running is None:
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(self._ended)
        # Whoever goes away early leaves the others their answer.
        return await asyncio.shield(self._running)

    async def close(self) -> None:
        """The program that runs is ended."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def _ended(self, _task: asyncio.Task[Text | None]) -> None:
        self._running = None

    async def _run(self) -> Text | None:
        began = time.monotonic()
        out, said = os.memfd_create("metrics"), os.memfd_create("said")
        is_good = False
        try:
            code = await self._run_program(out, said)
            words = os.pread(said, _SAID_BYTES, 0).decode(errors="replace").strip()
            is_good = code == 0
            trouble = words if is_good else (words.splitlines() or [_how(code)])[-1]
        except OSError as error:
            trouble = f"{self._argv[0]}: {error}"
        finally:
            os.close(said)
            if not is_good:
                os.close(out)
        self._note(trouble, is_good=is_good)
        if not is_good:
            return None
        self.scrapes.took_s = time.monotonic() - began
        text = Text(out)
        self._texts.add(text)
        return text

    async def _run_program(self, out: int, said: int) -> int | None:
        """Its exit code; None: it took too long."""
        process = await asyncio.create_subprocess_exec(
            *self._argv, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=said, cwd="/"
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                return await process.wait()
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _note(self, trouble: str, *, is_good: bool) -> None:
        if not is_good:
            self.scrapes.failures += 1
        if trouble and trouble != self.scrapes.trouble:
            what = "some of HAProxy's metrics" if is_good else "HAProxy's metrics"
            log.warning("%s are missing: %s; the next scrape tries again", what, trouble)
        self.scrapes.trouble = trouble


def _how(code: int | None) -> str:
    if code is None:
        return f"not done within {LIMIT_S:g} s, and ended"
    return f"ended by signal {-code}" if code < 0 else f"exit {code} without a word"
