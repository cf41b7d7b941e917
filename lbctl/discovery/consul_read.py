"""
What Consul's instances come to: one service of ours, as lb.yaml would have it.

Pure. What is wrong with an instance costs that instance, what is wrong with a service costs that
service; both are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbctl.discovery.consul_instance import (
    Instance,
    InstanceError,
    State,
    name_of,
    read_instance,
)
from lbctl.discovery.definition import Said, beside, defined
from lbctl.discovery.labels import Words, of_mapping, of_tags, read_words
from lbctl.model.service import Server, Service
from lbctl.settings.discovery import Consul
from lbctl.settings.keys import name_shown
from lbctl.settings.rules import value_problem

SOURCE: Final = "consul"
_WEIGHT: Final = Server(address="any").weight
_WEIGHT_MAX: Final = 256
#: The rules of a server's address, and of its id.
_RULES: Final = "services[].servers[]."


@dataclass(frozen=True, slots=True)
class Found:
    """
    Attributes:
        name: of the service.
        service: None: nothing of it can be used.
        nodes: where its instances are, the unusable ones too.
        problems: sentences.
    """

    name: str
    service: Service | None
    nodes: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Told:
    """An instance, and what the words beside it say."""

    instance: Instance
    words: Words


def is_ours(tags: Iterable[str], settings: Consul) -> bool:
    """Whether one of the tags says so."""
    return any(tag in settings.tags for tag in tags)


def read_service(name: str, entries: Sequence[object], settings: Consul) -> Found:
    """
    Args:
        name: as it was registered: ``hello/v1``.
        entries: Consul's answer to a question for its instances.
        settings: which tags are ours, and what the rest is taken for.
    """
    problems: list[str] = []
    instances = _instances(name, entries, problems)
    nodes = frozenset(one.node for one in instances)
    mode, instances = _of_one_mode(name, instances, settings, problems)
    told = [
        _Told(one, read_words((*of_mapping(one.meta), *of_tags(one.tags)))) for one in instances
    ]
    for one in told:
        problems += [f"{_of(name)}: {one.instance.shown}: {what}" for what in one.words.problems]
    if not told:
        return Found(name, None, nodes, tuple(problems))
    servers, more = _servers(name, told, is_passing_only=settings.passing)
    problems += more
    newest = sorted(told, key=lambda one: -one.instance.said)
    said = (Said(one.instance.shown, one.words) for one in newest)
    found = defined(name, mode, said, settings.check, servers)
    return Found(name, found.service, nodes, (*problems, *found.problems))


def together(found: Iterable[Found]) -> tuple[tuple[Service, ...], tuple[str, ...]]:
    """
    All services beside each other, and every problem.

    Of two that ask for the same requests the one whose name comes first stays.
    """
    ordered = sorted(found, key=lambda one: one.name)
    problems = [what for one in ordered for what in one.problems]
    services, clashes = beside(one.service for one in ordered if one.service is not None)
    return services, (*problems, *clashes)


def _instances(name: str, entries: Sequence[object], problems: list[str]) -> list[Instance]:
    """Those that can be servers, the oldest first."""
    found = []
    for entry in entries:
        try:
            one = read_instance(entry)
            wrong = [
                f"{_of(name)}: {one.shown}: its {word} {value!r} {what}: it is left out"
                for word, value in (("address", one.address), ("id", one.id), ("node", one.node))
                if (what := value_problem(f"{_RULES}{word}", value))
            ]
            problems += wrong
            found += [] if wrong else [one]
        except InstanceError as error:
            problems.append(f"{_of(name)}: {name_of(entry)} {error}: it is left out")
    return sorted(found, key=lambda one: (one.age, one.node, one.id))


def _of_one_mode(
    name: str, instances: Sequence[Instance], settings: Consul, problems: list[str]
) -> tuple[str, list[Instance]]:
    """The mode that the oldest one's tags say, and those that have it too."""
    mode = ""
    same = []
    for one in instances:
        modes = sorted({settings.tags[tag] for tag in one.tags if tag in settings.tags})
        if len(modes) > 1 or (mode and modes and modes[0] != mode):
            said = " and ".join(modes)
            what = f"its tags say {said}" + (f", and the service is {mode}" if mode else "")
            problems.append(f"{_of(name)}: {one.shown}: {what}: it is left out")
        elif modes:
            mode = modes[0]
            same.append(one)
    return mode, same


def _servers(
    name: str, told: Sequence[_Told], *, is_passing_only: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Items of lb.yaml's ``servers``: an address counts once, and so does an id."""
    states, problems = _states(name, [one.instance for one in told], is_passing_only)
    weights = _weights([one.instance.weight for one in told])
    ids = _ids(name, told)
    by_address: dict[str, dict[str, Any]] = {}
    for one, state, weight, identity in zip(told, states, weights, ids, strict=True):
        plain = {"address": one.instance.address, "weight": weight, "state": state}
        plain |= {**one.words.server, "id": identity}
        before = by_address.setdefault(one.instance.address, plain)
        # Registered twice: it serves when either of the two says so.
        if before["state"] != "ready" and plain["state"] == "ready":
            before["state"] = "ready"
    return list(by_address.values()), problems


def _states(
    name: str, instances: Sequence[Instance], is_passing_only: bool
) -> tuple[list[State], list[str]]:
    """
    Where Consul hears of no node that has one, it has lost sight of them, not they their health.

    They stay then, and HAProxy's own checks judge them.
    """
    states = [one.health.state(is_passing_only=is_passing_only) for one in instances]
    if not states or any(state != "maint" for state in states):
        return states, []
    blind = [
        one.health.seen().state(is_passing_only=is_passing_only) if one.health.is_lost else "maint"
        for one in instances
    ]
    kept = sum(state != "maint" for state in blind)
    if not kept:
        return states, []
    what = f"Consul hears of none of the nodes with its instances: {kept} of them stay"
    return blind, [f"{_of(name)}: {what}, HAProxy's own checks judge"]


def _weights(said: Sequence[int]) -> list[int]:
    """Consul's default is 1, ours 100; the shares are the same."""
    scale = min(float(_WEIGHT), _WEIGHT_MAX / max(said, default=1))
    if len(set(said)) == 1:
        return [_WEIGHT] * len(said)
    return [max(1, round(one * scale)) for one in said]


def _ids(name: str, told: Sequence[_Told]) -> list[str]:
    """
    The instance's own, unless another node has it too; the oldest keeps it as it is.

    The id that Consul gives when none is asked for is the service's name, on each node: then the
    node's name is the better one.
    """
    taken: Counter[str] = Counter()
    found = []
    for one in told:
        node, address = one.instance.node, one.instance.address
        own = node if one.instance.id == name else one.instance.id
        given = one.words.server.get("id") or own
        choices = (given, f"{node}:{given}", f"{node}:{given}:{address}")
        choice = next((word for word in choices if word and not taken[word]), choices[-1])
        taken[choice] += 1
        found.append(choice)
    return found


def _of(name: str) -> str:
    return f"service {name_shown(name)}"
