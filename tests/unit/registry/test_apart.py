"""A thread for what makes its caller wait."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from lbctl.registry.apart import Apart
from tests.loops import in_a_loop

ENDS = """
import asyncio, threading
from lbctl.registry.apart import Apart

async def main():
    apart = Apart("x")
    asyncio.create_task(apart.run(threading.Event().wait))
    await asyncio.sleep(0)

asyncio.run(main())
"""


@in_a_loop
async def test_what_it_returns_and_raises_is_the_caller_s() -> None:
    apart = Apart("x")

    def fails() -> None:
        message = "no"
        raise OSError(message)

    assert await apart.run(lambda: 7) == 7
    with pytest.raises(OSError, match=r"^no$"):
        await apart.run(fails)
    apart.close()


@in_a_loop
async def test_one_follows_the_other_while_the_loop_goes_on() -> None:
    apart, gate = Apart("x"), threading.Event()
    done: list[int] = []

    def wait() -> None:
        gate.wait(10)
        done.append(1)

    def follow() -> None:
        done.append(2)

    waits = asyncio.ensure_future(apart.run(wait))
    follows = asyncio.ensure_future(apart.run(follow))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(waits, follows)
    apart.close()

    assert done == [1, 2]


@in_a_loop
async def test_who_stops_waiting_keeps_nobody_else_from_being_answered() -> None:
    apart, gate = Apart("x"), threading.Event()
    waits = asyncio.ensure_future(apart.run(lambda: gate.wait(10)))
    await asyncio.sleep(0)
    waits.cancel()
    gate.set()

    assert await apart.run(lambda: 7) == 7
    apart.close()


def test_a_program_ends_though_somebody_is_still_asked() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=20)

    assert (done.returncode, done.stderr) == (0, "")
