"""
What the program ``discovery`` tells the agent: JSON lines, and of what is known only the changes.

Pure. Both ends are of one version, of one user, and on one host; the receiver judges all the same,
by the rules of lb.yaml: half a service is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lbctl.discovery.saved import GARBLED, plain_service, read_names, read_texts
from lbctl.discovery.state import SourceState, state_from_plain, state_to_plain
from lbctl.errors import ProviderReplyError
from lbctl.model.service import Service, Snapshot
from lbctl.settings.services import read_services

_SHOWN_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Heard:
    """
    What one source has, from now on.

    Attributes:
        snapshot: all of it.
        is_saved: it is from the disk: the source was not heard in this life.
    """

    snapshot: Snapshot
    is_saved: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """
    What is new to one listener.

    Attributes:
        heard: of the sources that have changed.
        states: of all sources; by name.
    """

    heard: tuple[Heard, ...]
    states: tuple[SourceState, ...]


@dataclass(slots=True)
class _Known:
    """What the other end has of one source."""

    services: dict[str, Service] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Sender:
    """Writes for one listener, which it remembers."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._states: tuple[SourceState, ...] | None = None

    def lines(self, update: Update) -> bytes:
        """As many lines as it takes, perhaps none."""
        said = [self._heard(one) for one in update.heard]
        if update.states != self._states:
            self._states = update.states
            said.append(self.beat())
        return b"".join(said)

    def beat(self) -> bytes:
        """The states once more: a listener that hears nothing for long is not listened to."""
        return _line({"states": [state_to_plain(one) for one in self._states or ()]})

    def _heard(self, heard: Heard) -> bytes:
        new = heard.snapshot
        is_whole = new.source not in self._known
        known = self._known.setdefault(new.source, _Known())
        said: dict[str, Any] = {"source": new.source, "at": new.at, "is_saved": heard.is_saved}
        if is_whole:
            said["is_whole"] = True
        if changed := _changes(known.services, new.services):
            said["services"] = changed
        if is_whole or new.problems != known.problems:
            said["problems"] = list(new.problems)
        if is_whole or new.settings != known.settings:
            said["settings"] = dict(new.settings)
        if is_whole or new.names != known.names:
            said["names"] = {name: list(found) for name, found in new.names.items()}
        services = {one.name: one for one in new.services}
        self._known[new.source] = _Known(services, new.problems, new.settings, new.names)
        return _line(said)


class Receiver:
    """
    Reads what a :class:`Sender` wrote.

    One may outlive many connections: each begins with everything, and services that are as they
    were stay the same objects.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def take(self, line: object) -> Heard | tuple[SourceState, ...]:
        """
        Args:
            line: one line, parsed.

        Raises:
            ProviderReplyError: it makes no sense.
        """
        try:
            if not isinstance(line, dict):
                raise TypeError(line)
            if "states" in line:
                return tuple(state_from_plain(one) for one in line["states"])
            return self._heard(line)
        except GARBLED as error:
            what = repr(error)[:_SHOWN_CHARS]
            message = f"discovery: a line of another version, or none: {what}"
            raise ProviderReplyError(message) from error

    def _heard(self, line: Mapping[str, Any]) -> Heard:
        source = str(line["source"])
        known = self._known.setdefault(source, _Known())
        old = known.services
        plain: Mapping[str, Any] = line.get("services", {})
        kept = {} if line.get("is_whole") else {n: s for n, s in old.items() if n not in plain}
        services, bad = read_services(
            [one for one in plain.values() if one is not None], "discovery"
        )
        kept |= {one.name: _same(old.get(one.name), one) for one in services}
        new = _Known(
            {name: kept[name] for name in sorted(kept)},
            tuple(line.get("problems", known.problems)),
            read_texts(line["settings"]) if "settings" in line else known.settings,
            read_names(line["names"]) if "names" in line else known.names,
        )
        self._known[source] = new
        said = (*new.problems, *(str(one) for one in bad))
        return Heard(
            Snapshot(
                source,
                tuple(new.services.values()),
                float(line["at"]),
                said,
                settings=new.settings,
                names=new.names,
            ),
            is_saved=bool(line["is_saved"]),
        )


def settled(old: Snapshot | None, new: Snapshot) -> Snapshot:
    """*new*, its services by name; those that are as in *old* are the same objects."""
    before = {one.name: one for one in old.services} if old is not None else {}
    services = (_same(before.get(one.name), one) for one in new.services)
    return replace(new, services=tuple(sorted(services, key=lambda one: one.name)))


def _same(old: Service | None, new: Service) -> Service:
    return old if old is not None and old == new else new


def _changes(old: Mapping[str, Service], new: Sequence[Service]) -> dict[str, object]:
    """By name; null: it is gone."""
    names = {one.name for one in new}
    found: dict[str, object] = {name: None for name in old if name not in names}
    for one in _other(old, new):
        found[one.name] = plain_service(one)
    return found


def _other(old: Mapping[str, Service], new: Iterable[Service]) -> Iterable[Service]:
    """The hub keeps what is equal the same object, so that this costs nothing."""
    return (one for one in new if old.get(one.name) is not one)


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"
