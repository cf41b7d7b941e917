"""Looks that find what a test says; tests/contract/test_health_checks.py has the real ones."""

from __future__ import annotations

import asyncio

from lbctl.ha.checks import Look
from lbctl.spec import CheckSpec


class FakeLooker:
    """
    Finds what stands in *found*, by the check's name; what is not there is well.

    Attributes:
        found: what each check finds from now on.
        slow: checks that are not answered until this event is set.
        at_once: how many looks are under way, by the check's name, at most so far.
        looks: how many there were.
        is_closed: nobody looks any more.
    """

    def __init__(self) -> None:
        self.found: dict[str, Look] = {}
        self.slow: dict[str, asyncio.Event] = {}
        self.at_once: dict[str, int] = {}
        self.looks: dict[str, int] = {}
        self.is_closed = False
        self._under_way: dict[str, int] = {}

    async def look(self, check: CheckSpec) -> Look:
        name = check.name
        self.looks[name] = self.looks.get(name, 0) + 1
        self._under_way[name] = self._under_way.get(name, 0) + 1
        self.at_once[name] = max(self.at_once.get(name, 0), self._under_way[name])
        if name in self.slow:
            await self.slow[name].wait()
        self._under_way[name] -= 1
        return self.found.get(name, Look(True, "fine"))

    async def close(self) -> None:
        self.is_closed = True
