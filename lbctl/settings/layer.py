"""
What one source of settings gave, where it stands, and what is wrong with it.

The file, the environment and the flags each become a :class:`Layer`, so that they are judged alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lbctl.settings.keys import Key, name_shown

_SHOWN_MAX_CHARS = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was given: ``lb.yaml:7``, ``LBCTL_HA_VHID``, ``--ha.vhid``."""

    name: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join(
            [self.name, *(str(number) for number in (self.line, self.column) if number)]
        )


@dataclass(frozen=True, slots=True)
class Given:
    """
    A value somebody gave.

    Attributes:
        key: what for.
        value: null, a truth value, a number, text, an :class:`Entry`, or a list of these; not
            judged yet.
        place: to be opened or changed when it is wrong.
        written: as it stands in the file where YAML read it as something else: ``yes``; else empty.
        items: a place for each item of a list; empty: all at *place*.
    """

    key: Key
    value: object
    place: Place
    written: str = ""
    items: tuple[Place, ...] = ()

    @property
    def plain(self) -> object:
        """The value as JSON has it."""
        if isinstance(self.value, list):
            return [one.plain if isinstance(one, Entry) else one for one in self.value]
        return self.value.plain if isinstance(self.value, Entry) else self.value

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The mappings in the value, or the one that it is."""
        parts = self.value if isinstance(self.value, list) else [self.value]
        return tuple(one for one in parts if isinstance(one, Entry))

    def leaves(self) -> Iterator[Given]:
        """This, and what was given in the mappings inside, however deep."""
        yield self
        for entry in self.entries:
            for one in entry.given.values():
                yield from one.leaves()


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A mapping that was given as a value or as an item of a list.

    Attributes:
        path: ``ha.groups[0]``.
        place: where it begins.
        given: its values by name.
    """

    path: str
    place: Place
    given: Mapping[str, Given]

    @property
    def plain(self) -> dict[str, object]:
        return {name: one.plain for name, one in self.given.items()}


@dataclass(frozen=True, slots=True)
class Tree:
    """
    A value with mappings in its mappings, read at once.

    Attributes:
        plain: as JSON has it. Aliases make it share parts, and even hold itself.
        locate: place of the part with this path, or of what is nearest above it; and the part as
            it stands there, where YAML reads it as something else.
    """

    plain: object
    locate: Callable[[tuple[str | int, ...]], tuple[Place, str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Something wrong.

    Attributes:
        place: where.
        what: the whole sentence.
        path: the key or section meant; empty: the whole layer could not be read.
    """

    place: Place
    what: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source gave, what is wrong with it, and the services it names."""

    given: tuple[Given, ...] = ()
    findings: tuple[Finding, ...] = ()
    services: Tree | None = None


def shown(value: object, written: str = "") -> str:
    """*value* for a message: by repr, shortened, after what was *written* if that differs."""
    text = repr(value)
    if len(text) > _SHOWN_MAX_CHARS:
        text = f"{text[: _SHOWN_MAX_CHARS - 3]}..."
    if value is None or written.lower() == text.lower():
        return name_shown(written) if written else text
    return f"{name_shown(written)}, which YAML reads as {text}" if written else text
