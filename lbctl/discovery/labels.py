"""
Words about a service that stand beside it in its source: labels of a container, meta and tags of
Consul. Pure.

``lbctl.route.host=app.example.com`` and ``lbctl.weight=50`` are keys of lb.yaml's ``services`` and
``servers``, typed as those are. What is wrong with a word of the service stays in it, for
:func:`lbctl.settings.services.read_services` to name, with its rule: to guess at who may reach it
would be worse than not to have it. A wrong word of one server is named and left out: the service
goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lbctl.settings.keys import KEYS, Key, name_shown
from lbctl.settings.layer import shown
from lbctl.settings.rules import value_problem
from lbctl.settings.shape import UnfitError, leaf

#: In labels and tags, and where a name may hold no dot, as in Consul's meta.
PREFIXES: Final = ("lbctl.", "lbctl-")

_SERVICE: Final = KEYS["services"].members
_SERVER: Final = {
    name: key for name, key in _SERVICE["servers"].members.items() if name != "address"
}
_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")
#: More mappings in one list are a slip, and each would be filled up to it.
_LIST_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Words:
    """
    Attributes:
        service: as an item of lb.yaml's ``services``, without name and servers.
        server: the same of the one server that they stand beside.
        own: those that the source understands itself, as they are.
        problems: words that were left out, and why: sentences.
    """

    service: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def of_mapping(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Our words of labels or of meta, without their prefix: ``route.host``, ``route-host``."""
    for name, value in labels.items():
        if name.startswith(PREFIXES):
            yield name[len(PREFIXES[0]) :], value


def of_tags(tags: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The same of ``lbctl.route.host=app.example.com``; one without a value is true."""
    for tag in tags:
        name, is_given, value = tag.partition("=")
        if name.startswith(PREFIXES):
            yield name[len(PREFIXES[0]) :], value if is_given else "true"


def read_words(pairs: Iterable[tuple[str, str]], own: Collection[str] = ()) -> Words:
    """
    Args:
        pairs: names without ``lbctl.``, and values; of two with one name the later counts.
        own: names that are not lb.yaml's: ``port``, ``enable``.
    """
    service: dict[str, Any] = {}
    server: dict[str, Any] = {}
    mine: dict[str, str] = {}
    problems: list[str] = []
    for name, value in pairs:
        if name in own:
            mine[name] = value
        elif name in _SERVER:
            try:
                server[name] = _of_server(name, value)
            except UnfitError as error:
                problems.append(f"lbctl.{name} = {shown(value)} is left out: {error}")
        elif name == "servers" or name.startswith(("servers.", "servers-")):
            problems.append(f"lbctl.{name_shown(name)} is left out: each server has its own words")
        elif what := _put(service, _SERVICE, _path(name), value):
            problems.append(f"lbctl.{name_shown(name)} is left out: {what}")
    return Words(_listed(service), server, mine, tuple(problems))


def _of_server(name: str, value: str) -> object:
    """By all its rules: what is wrong with one server is not to cost its service."""
    found = leaf(_SERVER[name], _typed(_SERVER[name], value))
    if what := value_problem(f"services[].servers[].{name}", found):
        raise UnfitError(what)
    return found


def _path(name: str) -> list[str]:
    """Where there is a dot it parts the names; a minus may be in one then."""
    return name.split("." if "." in name else "-")


def _put(at: dict[str, Any], members: Mapping[str, Key], path: list[str], value: str) -> str | None:
    """Put *value* where *path* leads; what keeps it from there, if anything does."""
    name, *rest = path
    key = members.get(name)
    if key is None or not rest:
        if isinstance(at.get(name), dict):
            return "there are words below it"
        at[name] = value if key is None else _typed(key, value)
        return None
    inside = at.setdefault(name, {})
    if not isinstance(inside, dict):
        return f"lbctl.{name} is a text"
    if key.kind == "mapping":
        # A header's name has a minus, and no dot that anybody uses.
        inside["-".join(rest)] = value
        return None
    if key.kind == "records":
        index, *rest = rest
        if not index.isdecimal() or len(index) > 3 or int(index) >= _LIST_MOST or not rest:
            return f"{name} is a list: {name}.0.{next(iter(key.members))}"
        inside = inside.setdefault(int(index), {})
    elif key.kind != "record":
        return f"{name} has nothing below it"
    return _put(inside, key.members, rest, value)


def _typed(key: Key, value: str) -> object:
    """As JSON would have it; a text where it cannot be: the rule of the key says so."""
    match key.kind:
        case "int" | "float":
            return _number(key, value)
        case "bool" if value.lower() in (*_TRUE, *_FALSE):
            return value.lower() in _TRUE
        case "list":
            return [one for part in value.split(",") if (one := part.strip())]
    return value


def _number(key: Key, value: str) -> object:
    try:
        return int(value) if key.kind == "int" else float(value)
    except ValueError:
        return value


def _listed(service: dict[str, Any]) -> dict[str, Any]:
    """Lists were gathered by index."""
    return {
        name: [value[index] for index in sorted(value)] if _is_list(name, value) else value
        for name, value in service.items()
    }


def _is_list(name: str, value: object) -> bool:
    return isinstance(value, dict) and name in _SERVICE and _SERVICE[name].kind == "records"
