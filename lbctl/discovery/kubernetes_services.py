"""
One service of ours out of the Services that say its name, and their slices. Pure.

A server's id is its pod's name. A pod that ends is drained only while another one can take over:
else nobody would answer at all, for as long as it takes to end; kube-proxy does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lbctl.discovery.definition import Said, defined
from lbctl.discovery.kubernetes_offers import Offer
from lbctl.discovery.kubernetes_read import Endpoint, Slice, State
from lbctl.model.address import bracketed
from lbctl.model.service import Service
from lbctl.settings.discovery import Kubernetes
from lbctl.settings.keys import name_shown
from lbctl.settings.rules import value_problem

_FAMILIES: Final[Mapping[str, tuple[str, str]]] = {
    "ipv4": ("IPv4", "IPv6"),
    "ipv6": ("IPv6", "IPv4"),
}
#: Of an endpoint that is said twice the better one counts: slices are not changed all at once.
_BETTER: Final[tuple[State, ...]] = ("ready", "drain", "maint")
_ADDRESS: Final = "services[].servers[].address"


@dataclass(frozen=True, slots=True)
class Part:
    """
    Attributes:
        slices: of its Service, by name.
    """

    offer: Offer
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """
    Attributes:
        service: None: nothing of it can be used.
        problems: sentences.
    """

    service: Service | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    """
    A server to be.

    Attributes:
        address: ``10.0.0.1:80``.
    """

    offer: Offer
    endpoint: Endpoint
    port: int
    address: str


def found_of(name: str, parts: Sequence[Part], settings: Kubernetes, prefer: str) -> Found:
    """
    Args:
        parts: one at least.
        prefer: which address of a pod that has both.
    """
    problems: list[str] = []
    agreed = list(_agreed(name, parts, problems))
    placed = [one for part in agreed for one in _placed(part, prefer, problems)]
    said = (
        Said(f"Service {part.offer.service.key}", part.offer.words)
        for part in sorted(agreed, key=_age, reverse=True)
    )
    servers = list(_servers(_spared(placed)))
    made = defined(name, agreed[0].offer.mode, said, settings.check, servers)
    return Found(made.service, (*problems, *made.problems))


def _age(part: Part) -> tuple[str, str]:
    return part.offer.service.created, part.offer.service.key


def _agreed(name: str, parts: Sequence[Part], problems: list[str]) -> Iterator[Part]:
    """
    Those of the oldest one's namespace that speak what it speaks: whoever may make a Service
    somewhere is not to get the requests of another namespace by its name.
    """
    first = min(parts, key=_age).offer
    for part in sorted(parts, key=_age):
        offer = part.offer
        if offer.service.namespace != first.service.namespace:
            what = f"Service {first.service.key}, older, has that name in another namespace"
        elif offer.mode != first.mode:
            what = f"it says mode {offer.mode}, and {first.service.key}, older, {first.mode}"
        else:
            yield part
            continue
        of = f"Service {offer.service.key} is left out of service {name_shown(name)}"
        problems.append(f"{of}: {what}")


def _placed(part: Part, prefer: str, problems: list[str]) -> Iterator[_Placed]:
    """The better one of those that are said twice, in the family that is preferred."""
    best: dict[tuple[str, int], _Placed] = {}
    families = _FAMILIES[prefer]
    for family in families:
        known = {key[0] for key in best}
        for one in _endpoints(part, family, problems):
            who = one.endpoint.name or one.endpoint.address
            old = best.get((who, one.port))
            if who not in known and (old is None or _is_better(one, old)):
                best[who, one.port] = one
    if names := sorted(one.name for one in part.slices if one.family not in families):
        what = f"EndpointSlice {', '.join(names)}: its addresses are names, which are left out"
        problems.append(f"Service {part.offer.service.key}: {what}")
    yield from best.values()


def _is_better(one: _Placed, old: _Placed) -> bool:
    return _BETTER.index(one.endpoint.state) < _BETTER.index(old.endpoint.state)


def _endpoints(part: Part, family: str, problems: list[str]) -> Iterator[_Placed]:
    for some in part.slices:
        ports = (one for one in some.ports if one.name == part.offer.port.name)
        port = next((one.number for one in ports if one.protocol == "TCP"), None)
        if some.family != family or port is None:
            continue
        for endpoint in some.endpoints:
            address = f"{bracketed(endpoint.address)}:{port}"
            if what := value_problem(_ADDRESS, address):
                of = f"Service {part.offer.service.key}: EndpointSlice {some.name}"
                problems.append(f"{of}: {address!r} {what}: it is left out")
                continue
            yield _Placed(part.offer, endpoint, port, address)


def _spared(placed: Iterable[_Placed]) -> Iterator[_Placed]:
    """Where nobody is left to take over, whoever ends goes on until it has."""
    all_placed = tuple(placed)
    is_last = not any(one.endpoint.state == "ready" for one in all_placed)
    for one in all_placed:
        is_spared = is_last and one.endpoint.state == "drain"
        yield replace(one, endpoint=replace(one.endpoint, state="ready")) if is_spared else one


def _servers(placed: Iterable[_Placed]) -> Iterator[dict[str, Any]]:
    """Items of lb.yaml's ``servers``: an address counts once, and so does an id."""
    taken: set[str] = set()
    addresses: set[str] = set()
    for one in sorted(placed, key=lambda one: (one.endpoint.name, one.address)):
        if one.address in addresses:
            continue
        name = one.endpoint.name or one.address
        ways = (name, f"{name}-{one.port}", one.address)
        identity = next(way for way in ways if way not in taken)
        taken.add(identity)
        addresses.add(one.address)
        said = {key: value for key, value in one.offer.words.server.items() if key != "id"}
        state = _state(one.endpoint.state, str(said.pop("state", "ready")))
        yield {**said, "id": identity, "address": one.address, "state": state}


def _state(seen: State, said: str) -> str:
    """The worse of what is seen and what the Service's words say of all its servers."""
    return max(seen, said, key=_BETTER.index)
