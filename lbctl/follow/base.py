"""What the follower is given by the operator's files, and by what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lbctl.follow.apply import Compile
from lbctl.follow.naming import Family
from lbctl.follow.pace import Pacing
from lbctl.model.service import Service


class Note(Protocol):
    """Record an event."""

    def __call__(self, kind: str, text: str, fields: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Base:
    """
    What the operator's files say.

    Attributes:
        number: of the generation.
        services: of lb.yaml.
        compile: services into files, with these settings and this source.
        pacing: see there.
        hold_s: see :class:`lbctl.follow.guard.Guard`.
        old_workers: with more of them no reload is made.
        prefer: which of a name's addresses are taken.
        why: what is otherwise than in the base before, for the reload that it takes, if it does.
    """

    number: int
    services: tuple[Service, ...]
    compile: Compile
    pacing: Pacing
    hold_s: float
    old_workers: int = 20
    prefer: Family = "ipv4"
    why: str = ""
