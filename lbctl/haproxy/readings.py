"""
All HAProxy processes asked at the same time for what they count.

Owns nothing but the order of asking; a process that does not answer is part of the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.process_facts import parse_facts
from lbctl.haproxy.runtime import Runtime, UnixRuntime
from lbctl.haproxy.table import Table
from lbctl.spec import HaproxyProcess


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What one process answered.

    Attributes:
        process: who was asked.
        facts: ``show info``; empty without an answer.
        table: ``show stat``; empty without an answer.
        failure: why there is no answer; empty with one.
    """

    process: HaproxyProcess
    facts: Mapping[str, str]
    table: Table
    failure: str = ""


async def show_info(runtime: Runtime) -> dict[str, str]:
    """``show info`` by key. Raises what :meth:`Runtime.ask` raises."""
    return parse_facts(await runtime.ask("show info"))


async def show_stat(runtime: Runtime) -> Table:
    """``show stat``. Raises what :meth:`Runtime.ask` and :meth:`Table.parse` raise."""
    return Table.parse(await runtime.ask("show stat"))


async def read_all(
    processes: Iterable[HaproxyProcess], timeout_s: float = 2.0
) -> tuple[Reading, ...]:
    """
    One reading a process, in their order.

    Args:
        processes: whom to ask.
        timeout_s: for each of a process's two answers.
    """
    return tuple(await asyncio.gather(*(_read(process, timeout_s) for process in processes)))


async def _read(process: HaproxyProcess, timeout_s: float) -> Reading:
    runtime = UnixRuntime(process.socket, timeout_s)
    try:
        return Reading(process, await show_info(runtime), await show_stat(runtime))
    except RuntimeApiError as error:
        return Reading(process, {}, Table((), ()), str(error))
