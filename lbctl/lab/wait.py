"""Waiting for a claim to come true, with a bound, and saying what was seen in its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lbctl.errors import LbctlError

T = TypeVar("T")


class LabError(LbctlError):
    """The lab could not be built, or what was waited for did not come."""


def wait_until(
    claim: Callable[[], T],
    within_s: float,
    what: str,
    *,
    seen: Callable[[], object] | None = None,
    every_s: float = 0.02,
) -> T:
    """
    Ask *claim* until its answer is true in Python's sense.

    Args:
        claim: returns something true when it holds; a LabError counts as "not yet".
        within_s: the bound, seconds; *claim* is asked at least once.
        what: the claim in words, for the message.
        seen: what to show when it never held; the last answer otherwise.
        every_s: pause between two questions.

    Returns:
        The first true answer.

    Raises:
        LabError: the bound passed; the message ends with what was seen last.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer: object
        try:
            value = claim()
            if value:
                return value
            answer = value
        except LabError as error:
            answer = error
        if time.monotonic() >= deadline:
            break
        time.sleep(every_s)
    message = f"{what}: not within {within_s:g} s; last seen: {seen() if seen else answer}"
    raise LabError(message)
