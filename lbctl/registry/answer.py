"""
A payload's answer as HTTP has it: a status, and JSON that names everything that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lbctl.errors import EXIT_USAGE, LbctlError, ProviderError
from lbctl.model.service import Snapshot
from lbctl.registry.reading import PayloadError
from lbctl.registry.registry import Registry

OK: Final = 200
UNAVAILABLE: Final = 503


@dataclass(frozen=True, slots=True)
class Answered:
    """
    Attributes:
        status: of HTTP: 200, 400, 413, 503.
        plain: for JSON: see :mod:`lbctl.registry.openapi`.
        snapshot: of all tables; None: nothing was changed.
    """

    status: int
    plain: dict[str, Any]
    snapshot: Snapshot | None = None


async def answered(registry: Registry, raw: bytes) -> Answered:
    """Take *raw* in, whatever it is."""
    try:
        answer = await registry.post(raw)
    except (PayloadError, ProviderError) as error:
        return refused(error)
    return Answered(OK, answer.plain(), answer.snapshot)


def refused(error: LbctlError) -> Answered:
    """What is said of an error: of a payload's, what is wrong where."""
    if isinstance(error, PayloadError):
        problems = [{"where": one.where, "what": one.what} for one in error.problems]
        said = {"error": str(error), "code": EXIT_USAGE, "problems": problems}
        return Answered(error.status, said)
    return Answered(UNAVAILABLE, {"error": str(error), "code": error.exit_code})
