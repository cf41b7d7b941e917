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

from annotated_types import Ge, Le, MinLen

from lbctl.settings.model import Settings

#: ``record``: a mapping with keys of its own; ``records``: a list of words and of such mappings;
#: ``mapping``: any names.
Kind = Literal["int", "float", "bool", "text", "choice", "list", "record", "records", "mapping"]

_KINDS: Mapping[object, Kind] = {int: "int", float: "float", bool: "bool", str: "text"}
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
        is_filled: whether an empty text, or an empty list, is none.
        is_text_too: whether a text can stand for the mapping.
        record: what the mapping, or one in the list, becomes.
        members: the keys of such a mapping, by name.
    """

    path: str
    kind: Kind
    hint: Any
    default: object
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()
    is_nullable: bool = False
    is_required: bool = False
    is_filled: bool = False
    is_text_too: bool = False
    record: type[Any] | None = None
    members: Mapping[str, Key] = field(default_factory=dict)

    @property
    def pattern(self) -> str:
        """The path, without saying which mapping of a list it is in."""
        return re.sub(r"\[[0-9]+\]", "[]", self.path)

    def at(self, index: int, name: str) -> Key | None:
        """The key *name* of the mapping *index* in this list."""
        member = self.members.get(name)
        return member and replace(member, path=f"{self.path}[{index}].{name}")

    def named(self, name: str) -> Key:
        """The key of one text in a mapping with any names."""
        return Key(path=f"{self.path}.{name_shown(name)}", kind="text", hint=str, default=None)

    @property
    def is_tree(self) -> bool:
        """Whether mappings are in its mappings: too deep for a line of the environment."""
        return any(one.record is not None for one in self.members.values())

    @property
    def env(self) -> str:
        return "LBCTL_" + self.path.upper().replace(".", "_")

    def rule(self, value: object) -> str:
        """What a value must be, said to someone who gave *value*."""
        match self.kind:
            case "int" | "float":
                return self._number_rule(value)
            case "choice":
                return f"must be {_one_of((*self.words, *self._or_null()))}"
            case "bool":
                return "must be true or false" + ("; without quotes" if value else "")
            case "record":
                a_text = "a text, or " if self.is_text_too else ""
                or_null = "".join(f", or {word}" for word in self._or_null())
                return f"must be {a_text}a mapping ({', '.join(self.members)}){or_null}"
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
            there = "" if self.is_tree else ", in lb.yaml"
            return f"must be a mapping ({', '.join(self.members)}){there}"
        return "must be text" + ("; write it in quotes" if value is not None else "")

    def _or_null(self) -> tuple[str, ...]:
        return ("null",) if self.is_nullable else ()

    def _items(self) -> str:
        mappings = f"mappings ({', '.join(self.members)})" if self.members else ""
        return " and ".join(part for part in (", ".join(self.words), mappings) if part) or "texts"

    def _number_rule(self, value: object) -> str:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        words = (*self.words, *self._or_null())
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
    known = CHILDREN.get(section, ()) if siblings is None else siblings
    return f"{name_shown(path)}: {unknown(section, name, known)}"


def unknown(section: str, name: str, siblings: Iterable[str]) -> str:
    """The same of *name* in *section*, without its path."""
    siblings = tuple(siblings)
    prefix = f"{section}." if section else ""
    homes = [one.path for one in _IN_SECTIONS if one.path.rpartition(".")[2] == name]
    if meant := closest(name, siblings):
        return f"unknown key; did you mean {prefix}{meant}?"
    if len(homes) == 1:
        return f"unknown key; did you mean {homes[0]}?"
    return f"unknown key; known here: {', '.join(siblings)}" if siblings else "unknown key"


def _one_of(words: tuple[str, ...]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _key(path: str, hint: object, of: Field[Any], inside: Any) -> Key:
    is_required, default = _default(of, inside)
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
        elif is_dataclass(base):
            is_text_too = found["kind"] == "text"
            members = _members(base, f"{path}.", default)
            found |= {"kind": "record", "record": base, "members": members}
            found |= {"is_text_too": is_text_too}
        else:
            found["kind"] = _KINDS[base]
        found |= _bounds(bounds)
    return Key(path=path, hint=hint, default=default, is_required=is_required, **found)


def _default(of: Field[Any], inside: Any) -> tuple[bool, Any]:
    """Whether it must be given, and what counts when it is not."""
    if is_dataclass(inside):
        return False, getattr(inside, of.name)
    if of.default_factory is not MISSING:
        return False, of.default_factory()
    return of.default is MISSING, None if of.default is MISSING else of.default


def _members(record: Any, prefix: str, inside: Any = None) -> dict[str, Key]:
    """
    Its keys.

    Args:
        inside: the record that counts when nothing is given: its values are the defaults.
    """
    hints = get_type_hints(record, include_extras=True)
    return {
        one.name: _key(prefix + one.name, hints[one.name], one, inside) for one in fields(record)
    }


def _bounds(bounds: Iterable[object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for bound in bounds:
        if isinstance(bound, Ge):
            found["low"] = bound.ge
        elif isinstance(bound, Le):
            found["high"] = bound.le
        elif isinstance(bound, MinLen):
            found["is_filled"] = True
    return found


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
            members = _members(base, f"{path}[].")
            found |= {"kind": "records", "record": base, "members": members}
    return found


def _all(members: Mapping[str, Key]) -> Iterator[Key]:
    """These and all below them, each before what is in it."""
    for one in members.values():
        yield one
        yield from _all(one.members)


#: The document as a whole.
ROOT = Key(
    path="",
    kind="record",
    hint=Settings,
    default=None,
    record=Settings,
    members=_members(Settings, ""),
)

_ALL = tuple(_all(ROOT.members))
_IN_SECTIONS = [one for one in _ALL if "[]" not in one.path]

#: Every key by its path, in the order of the model.
KEYS: Mapping[str, Key] = {one.path: one for one in _IN_SECTIONS if one.kind != "record"}

#: Every key of the mappings in lists, by pattern: ``ha.groups[].vhid``.
MEMBERS: Mapping[str, Key] = {one.path: one for one in _ALL if "[]" in one.path}

#: The names in each section, by the section's path; the empty path is the top of lb.yaml.
CHILDREN: Mapping[str, tuple[str, ...]] = {
    one.path: tuple(one.members) for one in (ROOT, *_IN_SECTIONS) if one.kind == "record"
}
