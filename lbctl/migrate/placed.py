"""What became of each row, and the order of a section's rules on requests and responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lbctl.migrate.document import Row
from lbctl.migrate.rule import Phase

#: A rule behind one of these runs before it all the same, and HAProxy warns.
_LATE = ("redirect", "use_backend", "use-server")
_MOVED = "moved: HAProxy runs these rules in the order of the file now, and this is the old order"


@dataclass(frozen=True, slots=True)
class Placed:
    """
    A row and what takes its place.

    Attributes:
        row: the old one.
        texts: the new lines; the row's own text where nothing changes.
        whys: the reasons; empty where nothing changes.
        phase: these are rules on requests or responses that replace older ones.
        is_addition: the texts are new here, and the row stands elsewhere.
    """

    row: Row
    texts: tuple[str, ...]
    whys: tuple[str, ...] = ()
    phase: Phase | None = None
    is_addition: bool = False

    @property
    def is_changed(self) -> bool:
        return bool(self.whys)


def in_order(placed: Sequence[Placed]) -> list[Placed]:
    """*placed*, one section, with what replaces older rules where it runs when they did."""
    result = list(placed)
    for family in ("http-request", "http-response"):
        result = _ordered(result, family)
    return result


def _ordered(placed: list[Placed], family: str) -> list[Placed]:
    phases = [(at, _phase(one, family)) for at, one in enumerate(placed)]
    ours = [(at, phase) for at, phase in phases if phase is not None]
    moving = [at for at, _ in ours if placed[at].phase is not None]
    late = next((at for at, one in enumerate(placed) if one.row.keyword in _LATE), len(placed))
    is_sorted = all(one[1] <= two[1] for one, two in pairwise(ours))
    if not moving or (is_sorted and (family == "http-response" or moving[-1] < late)):
        return placed
    own = [at for at, _ in ours if placed[at].phase is None]
    front = min([own[0] if own else moving[0], late, moving[0]])
    behind = max(front, own[-1] + 1) if own else front
    if family == "http-request" and behind > late and not any(at > late for at in own):
        behind = late
    chosen = sorted(moving, key=lambda at: placed[at].phase or 0)
    first = [_added(placed[at]) for at in chosen if placed[at].phase == Phase.FIRST]
    others = [_added(placed[at]) for at in chosen if placed[at].phase != Phase.FIRST]
    result: list[Placed] = []
    for at, one in enumerate([*placed, None]):
        result += first if at == front else []
        result += others if at == behind else []
        if one is not None:
            result.append(_emptied(one) if at in moving else one)
    return result


def _phase(one: Placed, family: str) -> Phase | None:
    if one.phase is not None:
        return one.phase if one.texts and one.texts[0].split()[0] == family else None
    return Phase.HTTP_RULES if one.row.keyword == family else None


def _added(one: Placed) -> Placed:
    return replace(one, is_addition=True)


def _emptied(one: Placed) -> Placed:
    return replace(one, texts=(), whys=(_MOVED,), phase=None)
