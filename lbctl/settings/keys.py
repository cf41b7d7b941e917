"""
Every key of lb.yaml with its rule in words, read off the types of :mod:`lbctl.settings.model`.

The file, the environment and the flags are read along this list; nothing here reads any of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le

from lbctl.settings.model import Settings

Kind = Literal["int", "float", "text", "choice", "list"]

_KINDS: Mapping[object, Kind] = {int: "int", float: "float", str: "text"}
_NAME_MAX_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """
    One key.

    Attributes:
        path: ``ha.vhid``, ``haproxy.stats.bind``.
        kind: what a value is, apart from *words*.
        default: in force when nothing is given.
        low: smallest number; None: unbounded, or not a number.
        high: largest number.
        words: text that is taken literally: all there is for a choice, ``auto`` for a number.
        is_nullable: whether ``null`` is a value.
    """

    path: str
    kind: Kind
    default: object
    low: object = None
    high: object = None
    words: tuple[str, ...] = ()
    is_nullable: bool = False

    @property
    def env(self) -> str:
        return "LBCTL_" + self.path.upper().replace(".", "_")

    def rule(self, value: object) -> str:
        """What a value must be, said to someone who gave *value*."""
        match self.kind:
            case "int" | "float":
                return self._number_rule(value)
            case "choice":
                return f"must be {_one_of(self.words)}"
            case "list":
                return f"must be a list of {', '.join(self.words)}"
            case "text":
                or_null = " or null" if self.is_nullable else ""
                if value == "":
                    return f"must not be empty{or_null and ': a text or null'}"
                return f"must be text{or_null}" + (
                    "; write it in quotes" if isinstance(value, bool | int | float) else ""
                )

    def _number_rule(self, value: object) -> str:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and (self.kind == "float" or isinstance(value, int)):
            return f"must be {self.low}..{self.high}" + "".join(f" or {w}" for w in self.words)
        noun = "a number" if self.kind == "float" else "a whole number"
        hint = "; without quotes" if isinstance(value, str) and value.isdecimal() else ""
        words = "".join(f", or {word}" for word in self.words)
        return f"must be {noun} {self.low}..{self.high}{words}{hint}"


def name_shown(name: str) -> str:
    """A name somebody chose, for a message: as it is where that can be printed."""
    is_plain = name.isprintable() and 0 < len(name) <= _NAME_MAX_CHARS
    return name if is_plain else repr(name[:_NAME_MAX_CHARS])


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that *name* may be a slip of."""
    found = difflib.get_close_matches(name[:_NAME_MAX_CHARS], list(known), n=1, cutoff=0.7)
    return found[0] if found else None


def unknown_key(path: str) -> str:
    """Say that there is no key *path*, and which one may be meant."""
    section, _, name = path.rpartition(".")
    siblings = CHILDREN.get(section, ())
    prefix = f"{section}." if section else ""
    homes = [known for known, _, _ in _FIELDS if known.rpartition(".")[2] == name]
    hint = ""
    if meant := closest(name, siblings):
        hint = f"; did you mean {prefix}{meant}?"
    elif len(homes) == 1:
        hint = f"; did you mean {homes[0]}?"
    elif siblings:
        hint = f"; known here: {', '.join(siblings)}"
    return f"{name_shown(path)}: unknown key{hint}"


def _one_of(words: tuple[str, ...]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _walk(section: type, prefix: str) -> Iterator[tuple[str, object, Field[Any]]]:
    hints = get_type_hints(section, include_extras=True)
    for field in fields(section):
        yield prefix + field.name, hints[field.name], field
        if is_dataclass(hints[field.name]):
            yield from _walk(hints[field.name], f"{prefix}{field.name}.")


def _key(path: str, hint: object, field: Field[Any]) -> Key:
    found: dict[str, Any] = {"kind": "choice", "words": ()}
    for member in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        base, *bounds = get_args(member) if get_origin(member) is Annotated else (member,)
        if base is NoneType:
            found["is_nullable"] = True
        elif get_origin(base) is Literal:
            found["words"] += get_args(base)
        elif get_origin(base) is tuple:
            found |= {"kind": "list", "words": get_args(get_args(base)[0])}
        else:
            found["kind"] = _KINDS[base]
        for bound in bounds:
            if isinstance(bound, Ge):
                found["low"] = bound.ge
            elif isinstance(bound, Le):
                found["high"] = bound.le
    default = field.default if field.default is not MISSING else None
    return Key(path=path, default=default, **found)


_FIELDS = tuple(_walk(Settings, ""))

#: Every key by its path, in the order of the model.
KEYS: Mapping[str, Key] = {
    path: _key(path, hint, field) for path, hint, field in _FIELDS if not is_dataclass(hint)
}

#: The names in each section, by the section's path; the empty path is the top of lb.yaml.
CHILDREN: Mapping[str, tuple[str, ...]] = {
    section: tuple(
        path.rpartition(".")[2] for path, _, _ in _FIELDS if path.rpartition(".")[0] == section
    )
    for section in ["", *(path for path, hint, _ in _FIELDS if is_dataclass(hint))]
}
