"""Waiting inside an event loop, which goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")


async def until(claim: Callable[[], object], what: str, *, within_s: float = 5.0) -> None:
    """Return once *claim* holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not claim():
        assert loop.time() < deadline, f"{what}: not within {within_s:g} s"
        await asyncio.sleep(0.002)


def in_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine, run in a loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run
