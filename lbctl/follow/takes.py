"""What it takes to get from some files to others, in words: ``lbctl render --diff``. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lbctl.follow.guard import is_loss
from lbctl.follow.texts import wanted_of
from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.plan import Running, plan
from lbctl.model.names import service_of
from lbctl.model.target import Target

#: Beyond so many, steps are counted.
_TOLD_MOST = 20
#: It runs as it is to.
NOTHING_OF_HAPROXY: Final = ("it takes: nothing of HAProxy",)


def what_it_takes(
    before: Mapping[str, str], after: Mapping[str, str], abilities: Abilities
) -> tuple[str, ...]:
    """
    Lines for people.

    Args:
        before: text by name of HAProxy's files as they run; empty: nothing runs.
        after: the same as it would be.
    """
    if not before:
        return ("it takes: a start",)
    reasons, steps = list[str](), list[str]()
    old, new = wanted_of(before), wanted_of(after)
    if old.is_beside != new.is_beside:
        reasons.append("the operator's haproxy.cfg comes or goes")
    reasons += [f"{name} changes" for name in new.differing(old)]
    made = plan(Running(old.target), new.target, abilities)
    reasons += [str(reason) for reason in made.reasons]
    steps += [step.describe() for step in made.steps]
    losses = tuple(_losses(old.target, new.target))
    if reasons:
        told = [f"  {one}" for one in reasons]
        return ("it takes: a reload of HAProxy, because", *told, *losses)
    if not steps:
        return NOTHING_OF_HAPROXY
    told = [f"  {one}" for one in steps[:_TOLD_MOST]]
    if len(steps) > _TOLD_MOST:
        told.append(f"  and {len(steps) - _TOLD_MOST} more")
    return ("it takes: commands at run time, no reload", *told, *losses)


def _losses(old: Target, new: Target) -> Iterator[str]:
    """What would be held back first."""
    for name, backend in sorted(old.backends.items()):
        had = len(backend.servers)
        left = len(new.backends[name].servers) if name in new.backends else None
        if is_loss(had, left):
            what = "gone" if left is None else f"{left} of {had} servers"
            yield f"held back for apply.hold_s, or until --confirm: {service_of(name)}: {what}"
