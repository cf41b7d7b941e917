"""
Which of the words that several instances say of their service count. Pure.

The newest that make sense: they are the operator's last word, and a slip in those of a new instance
harms nobody. A service is judged by itself, by the rules of lb.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbctl.discovery.defaults import discovered
from lbctl.discovery.labels import Words
from lbctl.model.service import Service
from lbctl.settings.discovery import SourceCheck
from lbctl.settings.keys import name_shown
from lbctl.settings.service_rules import clashes
from lbctl.settings.services import read_services

#: Each service is judged by itself.
_ALONE: Final = "services[0]."


@dataclass(frozen=True, slots=True)
class Said:
    """
    Attributes:
        who: for sentences: ``h2 on node web1``.
        words: about the service; those about the server are not looked at.
    """

    who: str
    words: Words


@dataclass(frozen=True, slots=True)
class Defined:
    """
    Attributes:
        service: None: nobody's words make one.
        words: those that count.
        problems: sentences.
    """

    service: Service | None
    words: Mapping[str, Any]
    problems: tuple[str, ...]


def defined(
    name: str,
    mode: str,
    said: Iterable[Said],
    check: SourceCheck,
    servers: Sequence[Mapping[str, Any]],
) -> Defined:
    """
    Args:
        mode: what the source takes it for.
        said: of all its instances, the newest first.
        check: of the source.
        servers: items of lb.yaml's ``servers``.
    """
    of = f"service {name_shown(name)}"
    seen: list[Mapping[str, Any]] = []
    problems: list[str] = []
    refused: list[str] = []
    service: Service | None = None
    words: Mapping[str, Any] = {}
    for one in said:
        if one.words.service in seen:
            continue
        seen.append(one.words.service)
        who = f"{of}: {one.who}"
        if service is not None:
            problems.append(f"{who} says something else of it than a newer one: it does not count")
            continue
        plain = discovered(name, mode, check, one.words, servers)
        good, bad = read_services([plain], name)
        if good:
            service, words = good[0], one.words.service
        wrong = (what.what.removeprefix(_ALONE) for what in bad)
        refused += [f"{who} makes it one that cannot be: {what}" for what in wrong]
    end = "the service is left out" if service is None else "it does not count"
    problems += [f"{what}: {end}" for what in refused]
    return Defined(service, words, tuple(problems))


def beside(services: Iterable[Service]) -> tuple[tuple[Service, ...], tuple[str, ...]]:
    """
    All of them beside each other, by name; and who is left out.

    Of two that ask for the same requests the one whose name comes first stays.
    """
    ordered = sorted(services, key=lambda one: one.name)
    bad: set[int] = set()
    problems = []
    for one in clashes(ordered):
        bad.add(one.index)
        problems.append(f"service {name_shown(ordered[one.index].name)} is left out: {one.what}")
    good = tuple(one for index, one in enumerate(ordered) if index not in bad)
    return good, tuple(problems)
