"""
Services out of containers. Pure.

A server's id is its container's name: it outlives a restart and a newer image, so that another
address is the same server's new address, and its cookies stay good. It is unique on a host; two
servers of one service with the same name (two ports, the same ``lbctl.id``) are told apart by port
and by the container's own short id.

A container that stops is drained only while another one of its service can take over: else nobody
would answer at all, for as long as it takes to stop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lbctl.discovery.definition import Defined, Said, beside, defined
from lbctl.discovery.docker_read import Container
from lbctl.discovery.docker_words import Offer, read_offers
from lbctl.model.address import bracketed
from lbctl.model.service import Service
from lbctl.settings.discovery import Docker

#: Docker's name of the host's own network: published ports, and containers that live there.
HOST_NETWORK: Final = "host"
_HOST_ADDRESS: Final = "127.0.0.1"
_SHARED: Final = "container:"


@dataclass(frozen=True, slots=True)
class Placed:
    """
    A server to be.

    Attributes:
        address: ``10.0.0.1:80``.
        state: ``ready``, ``maint`` or ``drain``.
    """

    offer: Offer
    address: str
    state: str


@dataclass(frozen=True, slots=True)
class Judged:
    """
    Attributes:
        services: by name.
        words: that count, by service.
        problems: sentences.
    """

    services: tuple[Service, ...]
    words: Mapping[str, Mapping[str, Any]]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """
    Attributes:
        placed: by service.
        problems: sentences.
    """

    placed: Mapping[str, tuple[Placed, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def judged(self, docker: Docker) -> Judged:
        """What its containers say of each service, and all services beside each other."""
        all_defined = {name: _defined(name, docker, one) for name, one in self.placed.items()}
        services, clashes = beside(one.service for one in all_defined.values() if one.service)
        words = {name: one.words for name, one in all_defined.items()}
        problems = (what for one in all_defined.values() for what in one.problems)
        return Judged(services, words, (*problems, *clashes))


def gather(
    containers: Iterable[Container],
    docker: Docker,
    tags: Mapping[str, str],
    leaving: Collection[str] = (),
) -> Gathered:
    """
    Args:
        tags: a tag, and the mode that it says.
        leaving: ids of those that were told to stop.
    """
    running = sorted((one for one in containers if one.is_running), key=lambda one: one.name)
    by_id = {one.id: one for one in running}
    problems: list[str] = []
    found: dict[str, list[Placed]] = {}
    for container in running:
        offers = read_offers(container, tags)
        problems += offers.problems
        for offer in offers.offers:
            address = _address(offer, docker, by_id)
            if isinstance(address, Misplaced):
                problems.append(_left_out(offer, address.why))
                continue
            placed = Placed(offer, address, _state(offer, leaving))
            found.setdefault(offer.service, []).append(placed)
    services = {name: tuple(_spared(_agreed(found[name], problems))) for name in sorted(found)}
    return Gathered(services, tuple(problems))


def _age(placed: Placed) -> tuple[float, str]:
    container = placed.offer.container
    return container.created, container.id


def _defined(name: str, docker: Docker, placed: Sequence[Placed]) -> Defined:
    said = [
        Said(one.offer.container.name, one.offer.words)
        for one in sorted(placed, key=_age, reverse=True)
    ]
    return defined(name, placed[0].offer.mode, said, docker.check, list(_servers(placed)))


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Why a container has no address."""

    why: str


def _address(offer: Offer, docker: Docker, by_id: Mapping[str, Container]) -> str | Misplaced:
    container = offer.container
    # It lives in another one's network: a pod's, or with --network=container:NAME.
    home = by_id.get(container.network_mode.removeprefix(_SHARED), container)
    if docker.network != HOST_NETWORK:
        addresses = _addresses(home, docker.network)
        if addresses:
            return f"{bracketed(addresses[0])}:{offer.port}"
        if docker.network is not None and home.network_mode != HOST_NETWORK:
            known = ", ".join(home.networks) or "none"
            return Misplaced(
                f"it has no address in network {docker.network} (its networks: {known})"
            )
    host = docker.host_address or _HOST_ADDRESS
    if home.network_mode == HOST_NETWORK:
        return f"{bracketed(host)}:{offer.port}"
    if offer.port in home.published:
        address, port = home.published[offer.port]
        return f"{bracketed(address or host)}:{port}"
    if docker.network == HOST_NETWORK:
        return Misplaced(f"port {offer.port} is not published")
    if not container.is_whole:
        return Misplaced("it has no address in the list of containers, and may not be inspected")
    return Misplaced(f"it has no address, and port {offer.port} is not published")


def _addresses(container: Container, network: str | None) -> tuple[str, ...]:
    if network is not None:
        return container.networks.get(network, ())
    return next((one for one in container.networks.values() if one), ())


def _state(offer: Offer, leaving: Collection[str]) -> str:
    container = offer.container
    said = str(offer.words.server.get("state", "ready"))
    if said == "maint" or container.state == "paused" or container.health not in ("", "healthy"):
        return "maint"
    is_leaving = container.state == "stopping" or container.id in leaving
    return "drain" if is_leaving or said == "drain" else "ready"


def _agreed(placed: Sequence[Placed], problems: list[str]) -> Iterator[Placed]:
    """Those that speak what the oldest speaks: a slip in a new one harms nobody."""
    first = min(placed, key=_age).offer
    for one in placed:
        offer = one.offer
        if offer.mode == first.mode:
            yield one
        else:
            what = f"it says mode {offer.mode}, and {first.container.name}, older, {first.mode}"
            problems.append(_left_out(offer, what))


def _left_out(offer: Offer, why: str) -> str:
    return f"container {offer.container.name} is left out of service {offer.service}: {why}"


def _spared(placed: Iterable[Placed]) -> Iterator[Placed]:
    """Where nobody is left to take over, whoever was told to stop goes on until it has."""
    all_placed = tuple(placed)
    is_last = not any(one.state == "ready" for one in all_placed)
    for one in all_placed:
        was_told = one.offer.words.server.get("state") == "drain"
        if is_last and one.state == "drain" and not was_told:
            yield Placed(one.offer, one.address, "ready")
        else:
            yield one


def _servers(placed: Sequence[Placed]) -> Iterator[dict[str, Any]]:
    taken: set[str] = set()
    for one in placed:
        container = one.offer.container
        key = str(one.offer.words.server.get("id") or container.name)
        ways = (key, f"{key}-{one.offer.port}", f"{key}-{container.short_id}")
        last = f"{key}-{container.short_id}-{one.offer.port}"
        identity = next((way for way in ways if way not in taken), last)
        taken.add(identity)
        state = {} if one.state == "ready" else {"state": one.state}
        words = {name: value for name, value in one.offer.words.server.items() if name != "state"}
        yield {**words, "id": identity, "address": one.address, **state}
