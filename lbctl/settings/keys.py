"""
Every key of lb.yaml with its rule in words, read off the types of :mod:`lbctl.settings.model`.

The file, the environment and the flags are read along this list; nothing here reads any of them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le

from lbctl.settings.model import Settings

#: ``records``: a list of words and of mappings with keys of their own; ``mapping``: any names.
Kind = Literal["int", "float", "text", "choice", "list", "records", "mapping"]

_KINDS: Mapping[object, Kind] = {int: "int", float: "float", str: "text"}
_NAME_MAX_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """
    One key.

    Attributes:
        path: ``ha.vhid``, ``haproxy.stats.bind``; in a list ``ha.groups[0].vhid``, and
            ``ha.groups[].vhid`` for that of any of its mappings.
        kind: what a value is, apart from *words*.
        hint: its type, bounds included.
        default: in force when nothing is given.
        low: smallest number; None: unbounded, or not a number.
        high: largest number.
        words: text that is taken literally: all there is for a choice, ``auto`` for a number.
        is_nullable: whether ``null`` is a value.
        is_required: without it its mapping is none.
        record: what a mapping in the list becomes.
        members: the keys of such a mapping, by name.
    """

    path: str
    kind: Kind
    hint: Any
    default: object
    low: object = None
    high: object = None
    words: tuple[str, ...] = ()
    is_nullable: bool = False
    is_required: bool = False
    record: type | None = None
    members: Mapping[str, Key] = field(default_factory=dict)

    @property
    def pattern(self) -> str:
        """The path, without saying which mapping of a list it is in."""
        return re.sub(r"\[[0-9]+\]", "[]", self.path)

    def at(self, index: int, name: str) -> Key | None:
        """The key *name* of the mapping *index* in this list."""
        member = self.members.get(name)
        return member and replace(member, path=f"{self.path}[{index}].{name}")

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
            case "list" | "records":
                if value == []:
                    return f"must not be empty: a list of {self._items()}"
                return f"must be a list of {self._items()}"
            case "mapping":
                return "must be a mapping of names to texts"
            case "text":
                or_null = " or null" if self.is_nullable else ""
                if value == "":
                    return f"must not be empty{or_null and ': a text or null'}"
                return f"must be text{or_null}" + (
                    "; write it in quotes" if isinstance(value, bool | int | float) else ""
                )

    def item_rule(self, value: object) -> str:
        """What an item of the list must be, said to someone who gave *value*."""
        if self.words:
            or_mapping = ", or a mapping" if self.members else ""
            return f"must be one of {', '.join(self.words)}{or_mapping}"
        if self.members:
            return f"must be a mapping ({', '.join(self.members)}), in lb.yaml"
        return "must be text" + ("; write it in quotes" if value is not None else "")

    def _items(self) -> str:
        mappings = f"mappings ({', '.join(self.members)})" if self.members else ""
        return " and ".join(part for part in (", ".join(self.words), mappings) if part) or "texts"

    def _number_rule(self, value: object) -> str:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        words = (*self.words, *(("null",) if self.is_nullable else ()))
        if is_number and (self.kind == "float" or isinstance(value, int)):
            return f"must be {self.low}..{self.high}" + "".join(f" or {word}" for word in words)
        noun = "a number" if self.kind == "float" else "a whole number"
        hint = "; without quotes" if isinstance(value, str) and value.isdecimal() else ""
        or_word = "".join(f", or {word}" for word in words)
        return f"must be {noun} {self.low}..{self.high}{or_word}{hint}"


def name_shown(name: str) -> str:
    """A name somebody chose, for a message: as it is where that can be printed."""
    is_plain = name.isprintable() and 0 < len(name) <= _NAME_MAX_CHARS
    return name if is_plain else repr(name[:_NAME_MAX_CHARS])


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that *name* may be a slip of."""
    found = difflib.get_close_matches(name[:_NAME_MAX_CHARS], list(known), n=1, cutoff=0.7)
    return found[0] if found else None


def unknown_key(path: str, siblings: Iterable[str] | None = None) -> str:
    """
    Say that there is no key *path*, and which one may be meant.

    Args:
        siblings: the names that are known there, when there is a mapping in a list.
    """
    section, _, name = path.rpartition(".")
    siblings = CHILDREN.get(section, ()) if siblings is None else tuple(siblings)
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


def _walk(section: Any, prefix: str) -> Iterator[tuple[str, object, Field[Any]]]:
    hints = get_type_hints(section, include_extras=True)
    for one in fields(section):
        yield prefix + one.name, hints[one.name], one
        if is_dataclass(hints[one.name]):
            yield from _walk(hints[one.name], f"{prefix}{one.name}.")


def _key(path: str, hint: object, of: Field[Any]) -> Key:
    found: dict[str, Any] = {"kind": "choice", "words": ()}
    for base, bounds in _alternatives(hint):
        if base is NoneType:
            found["is_nullable"] = True
        elif get_origin(base) is Literal:
            found["words"] += get_args(base)
        elif get_origin(base) is tuple:
            found |= _list(path, get_args(base)[0])
        elif get_origin(base) is Mapping:
            found["kind"] = "mapping"
        else:
            found["kind"] = _KINDS[base]
        for bound in bounds:
            if isinstance(bound, Ge):
                found["low"] = bound.ge
            elif isinstance(bound, Le):
                found["high"] = bound.le
    is_required = of.default is MISSING and of.default_factory is MISSING
    default = of.default if of.default is not MISSING else None
    if of.default_factory is not MISSING:
        default = of.default_factory()
    return Key(path=path, hint=hint, default=default, is_required=is_required, **found)


def _alternatives(hint: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The members of a union, or the one type there is, each with its bounds."""
    for member in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        base, *bounds = get_args(member) if get_origin(member) is Annotated else (member,)
        yield base, tuple(bounds)


def _list(path: str, item: object) -> dict[str, Any]:
    """A list of texts, of certain words, of mappings, or of the latter two."""
    found: dict[str, Any] = {"kind": "list", "words": ()}
    for base, _ in _alternatives(item):
        if get_origin(base) is Literal:
            found["words"] += get_args(base)
        elif is_dataclass(base):
            members = {one.name: _key(at, hint, one) for at, hint, one in _walk(base, f"{path}[].")}
            found |= {"kind": "records", "record": base, "members": members}
    return found


_FIELDS = tuple(_walk(Settings, ""))

#: Every key by its path, in the order of the model.
KEYS: Mapping[str, Key] = {
    path: _key(path, hint, one) for path, hint, one in _FIELDS if not is_dataclass(hint)
}

#: Every key of the mappings in lists, by pattern: ``ha.groups[].vhid``.
MEMBERS: Mapping[str, Key] = {
    member.path: member for key in KEYS.values() for member in key.members.values()
}

#: The names in each section, by the section's path; the empty path is the top of lb.yaml.
CHILDREN: Mapping[str, tuple[str, ...]] = {
    section: tuple(
        path.rpartition(".")[2] for path, _, _ in _FIELDS if path.rpartition(".")[0] == section
    )
    for section in ["", *(path for path, hint, _ in _FIELDS if is_dataclass(hint))]
}
