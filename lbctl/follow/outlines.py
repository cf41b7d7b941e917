"""Services without their servers: wanted or in force, from where, and how each stands. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from lbctl.follow.desired import Desired
from lbctl.follow.overrides import Overrides
from lbctl.model.names import backend_name
from lbctl.model.service import Route, Service

Standing = Literal["applied", "waiting", "held", "left out", "as before"]


@dataclass(frozen=True, slots=True)
class Outline:
    """
    One service.

    Attributes:
        backend: HAProxy's name of it.
        sources: the one that defines it first; empty: nobody's any more.
        routes: in words: ``shop.example.com/v1``.
        state: ``held``: it would lose too much; ``left out``: refused, ``as before``: so that an
            earlier definition serves.
        why: of a state that is neither ``applied`` nor ``waiting``.
        by_hand: how many of its servers somebody has set to drain or maint.
    """

    name: str
    backend: str
    sources: tuple[str, ...]
    routes: tuple[str, ...]
    state: Standing = "applied"
    why: str = ""
    by_hand: int = 0


def outlines(
    desired: Desired, overrides: Overrides, only: Collection[str] | None = None
) -> Iterator[tuple[Outline, Service]]:
    """By name; *only*: of these alone."""
    wanted = desired.wanted()
    held = {one.name: one.describe() for one in desired.guard.held}
    away = Counter(key[0] for key, one in overrides.items() if one.admin in ("drain", "maint"))
    names = {*wanted, *desired.applied}
    for name in sorted(names if only is None else names.intersection(only)):
        service = wanted.get(name) or desired.applied[name]
        state: Standing = "applied"
        why = ""
        refused = desired.left_out.get(name)
        if refused is not None:
            state, why = "as before" if refused.serves_as_before else "left out", refused.what
        elif name in held:
            state, why = "held", held[name]
        elif desired.applied.get(name) != service:
            state = "waiting"
        backend = backend_name(name)
        routes = tuple(_words(one) for one in service.all_routes)
        sources = tuple(desired.sources_of(name))
        yield Outline(name, backend, sources, routes, state, why, away[backend]), service


def _words(route: Route) -> str:
    port = f":{route.port}" if route.port else ""
    words = [f"{route.host}{port}{route.path}"]
    words += [f"{name}: {value}" for name, value in route.header.items()]
    return ", ".join(word for word in words if word)
