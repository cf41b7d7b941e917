"""What the follower says of itself: to people in sentences, to programs as plain values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lbctl.follow.apply import Applied
from lbctl.follow.desired import LeftOut
from lbctl.follow.fleet import ByHand, Member
from lbctl.follow.guard import Held
from lbctl.follow.overrides import Key, Override
from lbctl.settings.keys import name_shown

#: More than so many steps or reasons are counted, not told.
TOLD_MOST = 3


def sentence(applied: Applied, processes: int) -> str:
    """What a turn did, as an event tells it; empty: nothing worth it."""
    took = f"{1000 * applied.took_s:.0f} ms"
    if applied.did == "failed":
        return f"not applied: {applied.failure}; HAProxy goes on with what it had"
    if applied.did == "reload":
        words = f"reloaded in {took}, because {some(applied.reasons)}"
        return f"{words}; not everywhere: {applied.failure}" if applied.failure else words
    if applied.did == "runtime":
        if not applied.commands:
            return f"pending: {some(applied.pending)}" if applied.pending else ""
        where = "" if processes == 1 else f" on {processes} processes"
        words = f"{some(applied.steps)}: at run time{where}, in {took}"
        return f"{words}; refused: {applied.failure}" if applied.failure else words
    return ""


def some(words: Sequence[str]) -> str:
    """The first ones, and how many there are beside them."""
    if not words:
        return "nothing"
    more = len(words) - TOLD_MOST
    return "; ".join(words[:TOLD_MOST]) + (f"; and {more} more" if more > 0 else "")


def held_sentence(held: Held, now: float) -> str:
    left_s = max(0.0, held.until - now)
    return (
        f"held back: {held.describe()}; it goes through in {left_s:.0f} s if it lasts, "
        "or with `lbctl reload --confirm`"
    )


def left_out_sentence(name: str, one: LeftOut) -> str:
    kept = "serves as it was before" if one.serves_as_before else "is left out"
    return f"service {name_shown(name)} {kept}: {one.what}"


def by_hand_sentence(one: ByHand) -> str:
    words = [one.admin] if one.admin else []
    what = ", ".join([*words, *([] if one.weight is None else [f"weight {one.weight}"])])
    where = f"process {one.number}"
    return f"{'/'.join(one.key)}: {what} was set by hand on {where}, and holds on all from now on"


def applied_record(applied: Applied, at: float) -> dict[str, Any]:
    """``last`` in the status."""
    return {
        "at": at,
        "did": applied.did,
        "took_s": round(applied.took_s, 4),
        "commands": applied.commands,
        "reasons": list(applied.reasons),
        "steps": list(applied.steps[:TOLD_MOST]),
    }


def held_records(held: Iterable[Held], now: float) -> list[dict[str, Any]]:
    return [
        {
            "service": one.name,
            "had": one.had,
            "wants": one.wants,
            "left_s": round(max(0.0, one.until - now), 1),
        }
        for one in held
    ]


def left_out_records(left_out: Mapping[str, LeftOut]) -> list[dict[str, Any]]:
    return [
        {"service": name, "what": one.what, "at": one.at, "serves_as_before": one.serves_as_before}
        for name, one in sorted(left_out.items())
    ]


def override_records(items: Iterable[tuple[Key, Override]]) -> list[dict[str, Any]]:
    return [
        {
            "backend": backend,
            "server": server,
            "admin": one.admin,
            "weight": one.weight,
            "at": one.at,
            "by": one.by,
            "is_gone": one.gone_at is not None,
        }
        for (backend, server), one in items
    ]


def member_records(members: Iterable[Member]) -> list[dict[str, Any]]:
    """One record a process."""
    return [
        {
            "number": one.number,
            "program": one.program,
            "is_known": one.look is not None and not one.silence,
            "silence": one.silence,
            "left": one.left,
            "pending": list(one.pending),
        }
        for one in members
    ]


def mute_sentences(members: Iterable[Member]) -> list[str]:
    """Of those that are left out of every change, while they may well serve."""
    return [
        f"{one.program} cannot be asked or told anything, and may serve what was before: "
        f"{one.silence}; if it runs, only its end mends that: supervisord starts it again"
        for one in members
        if one.silence
    ]
