"""
Several sources as one: services by name. Pure.

The first source that has a service defines it, the operator's before all others; its servers are
those of all. What has not changed stays the same object, by which later steps know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

from lbctl.model.service import Service, Snapshot

#: The source that the operator writes; it comes before all others.
OPERATOR: Final = "lb.yaml"

#: Sources and what each one says of a service, in the order in which they count.
_Parts = tuple[tuple[str, Service], ...]
_DEFINITION: Final = tuple(
    one.name for one in fields(Service) if one.name not in ("name", "servers")
)


@dataclass(frozen=True, slots=True)
class Merged:
    """
    Attributes:
        services: by name.
        clashes: what sources say otherwise than the one that counts: sentences.
        sources: service -> those that have it, the one that defines it first.
    """

    services: Mapping[str, Service] = field(default_factory=dict)
    clashes: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _several: Mapping[str, tuple[_Parts, Service, tuple[str, ...]]] = field(
        default_factory=dict, repr=False
    )


def merged(snapshots: Iterable[Snapshot], before: Merged | None = None) -> Merged:
    """
    All sources as one.

    Args:
        snapshots: the last one of each source, in any order.
        before: an earlier answer: what it was made of and is the same counts as worked out.
    """
    order = sorted(snapshots, key=lambda one: (one.source != OPERATOR, one.source))
    services: dict[str, Service] = {}
    sources: dict[str, tuple[str, ...]] = {}
    shared: dict[str, list[tuple[str, Service]]] = {}
    for snapshot in order:
        mine = (snapshot.source,)
        for one in snapshot.services:
            first = services.setdefault(one.name, one)
            if first is one and one.name not in sources:
                sources[one.name] = mine
                continue
            parts = shared.setdefault(one.name, [(sources[one.name][0], first)])
            parts.append((snapshot.source, one))
            sources[one.name] += mine
    known = before._several if before is not None else {}
    several = {name: _together(tuple(parts), known.get(name)) for name, parts in shared.items()}
    services |= {name: service for name, (_, service, _) in several.items()}
    clashes = tuple(what for name in sorted(several) for what in several[name][2])
    return Merged(services, clashes, sources, several)


def _together(
    parts: _Parts, known: tuple[_Parts, Service, tuple[str, ...]] | None
) -> tuple[_Parts, Service, tuple[str, ...]]:
    """One service of several sources."""
    if known is not None and _are_same(parts, known[0]):
        return known
    first_source, first = parts[0]
    servers = {server.key: server for server in first.servers}
    addresses = {server.address for server in first.servers}
    clashes: list[str] = []
    for source, other in parts[1:]:
        whose = f"{first.name} of {source}"
        if what := _not_taken(first, other):
            clashes.append(f"{whose}: {what} than of {first_source}: its servers are not taken")
            continue
        if first_source != OPERATOR and (keys := _differing(first, other)):
            clashes.append(f"{whose}: other {', '.join(keys)} than of {first_source}, which counts")
        for server in other.servers:
            same = servers.get(server.key)
            if same is None and server.address not in addresses:
                servers[server.key] = server
                addresses.add(server.address)
            elif same is not None and same.address != server.address:
                has = f"{same.address} has the id {server.key} already"
                clashes.append(f"{whose}: {server.address} is not taken: {has}")
    merged_servers = tuple(servers.values())
    whole = first if merged_servers == first.servers else replace(first, servers=merged_servers)
    if known is not None and known[1] == whole:
        whole = known[1]
    return parts, whole, tuple(clashes)


def _not_taken(first: Service, other: Service) -> str:
    """Why the servers of *other* cannot serve *first*; empty: they can."""
    if first.mode != other.mode:
        return "another mode"
    return "another dns" if first.dns != other.dns and (first.dns or other.dns) else ""


def _differing(first: Service, other: Service) -> list[str]:
    return [key for key in _DEFINITION if getattr(first, key) != getattr(other, key)]


def _are_same(one: _Parts, other: _Parts) -> bool:
    return len(one) == len(other) and all(
        mine[0] == theirs[0] and mine[1] is theirs[1]
        for mine, theirs in zip(one, other, strict=True)
    )
