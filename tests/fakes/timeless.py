"""An event loop in which waiting takes no time: its clock goes on while nothing is to be done."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")


class _Selector(selectors.SelectSelector):
    """Instead of waiting it has the loop's clock go on. Threads and sockets are not waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "waits for ever for nothing"
            self.now += timeout
        return ready


class TimelessLoop(asyncio.SelectorEventLoop):
    """
    Attributes:
        now: what its clock says, seconds.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self._selected = _Selector()
        self._selected.now = now
        super().__init__(self._selected)

    def time(self) -> float:
        return self._selected.now

    def stand_still(self, seconds: float) -> None:
        """Time goes on and this process does not."""
        self._selected.now += seconds


def in_no_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine, run in such a loop."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=TimelessLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def clock() -> float:
    """The running loop's."""
    return asyncio.get_running_loop().time()


def stand_still(seconds: float) -> None:
    """See :meth:`TimelessLoop.stand_still`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TimelessLoop)
    loop.stand_still(seconds)
