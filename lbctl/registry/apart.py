"""
A thread of its own for a library that makes its caller wait: one question after the other.

It is a daemon: whoever ends the program does not wait for a database that does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

_Job = Callable[[], None]


class Apart:
    """Its thread starts with the first question."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def run(self, action: Callable[[], T]) -> T:
        """What *action* returns or raises; it goes on where the one who waits is cancelled."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def tell(found: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(found)  # type: ignore[arg-type]  # None is one of T then

        def job() -> None:
            found, failed = None, None
            try:
                found = action()
            except Exception as error:
                failed = error
            # The loop may be gone by now.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, found, failed)

        self._jobs.put(job)
        if self._thread is None:
            self._thread = Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        return await future

    def close(self) -> None:
        """The thread ends when it has done what it was asked."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
