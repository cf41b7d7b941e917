"""
A plain document, as JSON holds one, into frozen records along the keys: all problems, with paths.

Agent and registry read by this: it imports no library. What a value must be beside its type comes
from outside, as rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lbctl.settings.keys import Key, name_shown, unknown
from lbctl.settings.layer import shown

#: Names and indices, from the document down.
Path = tuple[str | int, ...]
#: Pattern of a key and a value of its type -> what it must be in addition; None: it is.
Rule = Callable[[str, object], str | None]

_NOTHING: Final = object()
_LISTS: Final = ("list", "records")


@dataclass(frozen=True, slots=True)
class Wrong:
    """
    Something wrong.

    Attributes:
        path: of the value, or of the mapping that misses one.
        what: the rule.
        value: what was given, when a message is to show it.
        joint: between the path and the rule, when it is not.
    """

    path: Path
    what: str
    value: object = _NOTHING
    joint: str = ": "

    def says(self, written: str = "") -> str:
        """
        The whole sentence.

        Args:
            written: how the value stands in its file, where that differs.
        """
        at = path_shown(self.path)
        if self.value is _NOTHING:
            return f"{at}{self.joint}{self.what}"
        return f"{at} = {shown(self.value, written)}: {self.what}"


class UnfitError(ValueError):
    """A value is not what its key wants; the text is the rule."""


def path_shown(path: Path) -> str:
    """``services[0].route.path``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{name_shown(part)}" if text else name_shown(part)
    return text


def leaf(key: Key, value: object) -> Any:
    """
    A value without mappings inside, as the model has it.

    Raises:
        UnfitError: it has another type, or is out of bounds.
    """
    if value is None and key.is_nullable:
        return None
    if isinstance(value, str) and value in key.words and key.kind not in _LISTS:
        return value
    found = _LEAVES[key.kind](key, value)
    if found is _NOTHING:
        raise UnfitError(key.rule(value))
    return found


class Reader:
    """
    Reads records, and remembers in ``wrong`` all that is wrong.

    Args:
        rule: for values; None: the document is one of ours, and its types suffice.
        number_rule: what to say to a number where text is wanted.
    """

    def __init__(self, rule: Rule | None = None, number_rule: Rule | None = None) -> None:
        self.wrong: list[Wrong] = []
        self._rule = rule
        self._number_rule = number_rule

    def record(self, key: Key, plain: object, path: Path) -> Any:
        """What *key* makes of a mapping; None: something is wrong."""
        if not isinstance(plain, dict):
            return self._other(key, plain, path)
        before = len(self.wrong)
        members = key.members
        found: dict[str, Any] = {}
        for name, value in plain.items():
            member = members.get(name)
            if member is None:
                self._add((*path, name), _unknown(str(name), path, members))
            else:
                found[name] = self._value(member, value, (*path, name))
        lacking = [one for one in members if members[one].is_required and one not in plain]
        if lacking:
            self._add(path, f"{' and '.join(lacking)} is missing")
        assert key.record is not None
        if len(self.wrong) != before:
            return None
        if isinstance(key.default, key.record):
            return replace(key.default, **found)
        return key.record(**found)

    def records(self, key: Key, plain: object, path: Path) -> tuple[Any, ...]:
        """Those of a list, None for each that is wrong; a word where the key knows it."""
        if not isinstance(plain, list):
            self._unfit(key.rule(None), plain, path)
            return ()
        found: list[Any] = []
        for index, item in enumerate(plain):
            at = (*path, index)
            if isinstance(item, dict):
                found.append(self.record(key, item, at))
            elif isinstance(item, str) and item in key.words:
                found.append(item)
            else:
                self._unfit(key.item_rule(item), item, at)
                found.append(None)
        return tuple(found)

    def _value(self, key: Key, plain: object, path: Path) -> Any:
        if key.kind == "record":
            return self.record(key, plain, path)
        if key.kind == "records":
            return self.records(key, plain, path)
        try:
            found = leaf(key, plain)
        except UnfitError as error:
            self._misfit(key, plain, path, str(error))
            return None
        if self._rule is not None and (what := self._said(key, found)):
            if isinstance(plain, list | dict):
                self._add(path, what)
            else:
                self._unfit(what, plain, path)
        return found

    def _said(self, key: Key, found: object) -> str | None:
        assert self._rule is not None
        if isinstance(found, tuple):
            return self._rule(key.path, list(found))
        if isinstance(found, Mapping):
            texts = (text for pair in found.items() for text in pair)
            return next((what for text in texts if (what := self._rule("", text))), None)
        return self._rule(key.path, found)

    def _other(self, key: Key, plain: object, path: Path) -> Any:
        if plain is None and key.is_nullable:
            return None
        if not (key.is_text_too and isinstance(plain, str)):
            self._unfit(key.rule(plain), plain, path)
        elif not plain:
            self._unfit("must not be empty", plain, path)
        elif self._rule is not None and (what := self._rule(key.path, plain)):
            self._unfit(what, plain, path)
        return plain

    def _misfit(self, key: Key, plain: object, path: Path, what: str) -> None:
        if isinstance(plain, list) and key.kind == "list" and plain:
            for index, item in enumerate(plain):
                if not isinstance(item, str):
                    self._unfit(key.item_rule(item), item, (*path, index))
        elif isinstance(plain, dict) and key.kind == "mapping":
            for name, text in plain.items():
                if not isinstance(text, str):
                    hint = "; write it in quotes" if text is not None else ""
                    self._unfit(f"must be text{hint}", text, (*path, name))
        elif key.kind == "text" and type(plain) in (int, float) and self._number_rule:
            self._unfit(self._number_rule(key.path, plain) or what, plain, path)
        else:
            self._unfit(what, plain, path)

    def _unfit(self, what: str, value: object, path: Path) -> None:
        if isinstance(value, list | dict):
            # Not shown: one with aliases inside may be endless.
            kind = "a list" if isinstance(value, list) else "a mapping"
            self.wrong.append(Wrong(path, what, joint=f" is {kind}: "))
        else:
            self.wrong.append(Wrong(path, what, value))

    def _add(self, path: Path, what: str) -> None:
        self.wrong.append(Wrong(path, what))


def _unknown(name: str, path: Path, members: Mapping[str, Key]) -> str:
    inside = [one for one in members if members[one].kind == "record"]
    homes = [path_shown((*path, one, name)) for one in inside if name in members[one].members]
    if homes:
        return f"unknown key; did you mean {' or '.join(homes)}?"
    return unknown(path_shown(path), name, members)


def _number(key: Key, value: object) -> object:
    is_number = type(value) is int or (key.kind == "float" and type(value) is float)
    if not is_number or not (_low(key) <= value <= _high(key)):  # type: ignore[operator]
        return _NOTHING
    return value if key.kind == "int" else float(value)  # type: ignore[arg-type]


def _low(key: Key) -> float:
    return float("-inf") if key.low is None else key.low


def _high(key: Key) -> float:
    return float("inf") if key.high is None else key.high


def _text(key: Key, value: object) -> object:
    return value if isinstance(value, str) and (value or not key.is_filled) else _NOTHING


def _texts(key: Key, value: object) -> object:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return _NOTHING
    return tuple(value) if value or not key.is_filled else _NOTHING


def _mapping(_: Key, value: object) -> object:
    if not isinstance(value, dict):
        return _NOTHING
    are_texts = all(isinstance(part, str) for pair in value.items() for part in pair)
    return dict(value) if are_texts else _NOTHING


_LEAVES: Final[Mapping[str, Callable[[Key, object], object]]] = {
    "int": _number,
    "float": _number,
    "bool": lambda _, value: value if isinstance(value, bool) else _NOTHING,
    "text": _text,
    "choice": lambda _, __: _NOTHING,
    "list": _texts,
    "mapping": _mapping,
    "record": lambda _, __: _NOTHING,
    "records": lambda _, __: _NOTHING,
}
