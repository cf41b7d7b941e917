"""
lb.yaml < environment < flags, judged and frozen: the one way to come by :class:`Settings`.

Every source is judged by itself, a value that a later source replaces included: a broken lb.yaml is
broken wherever it is used. All problems are raised together. Nothing here looks at the host.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pydantic

from lbctl.errors import ConfigError, Problem
from lbctl.layout import ConfigDir
from lbctl.settings.document import read_document, write_document
from lbctl.settings.environment import read_environment, read_flags
from lbctl.settings.keys import KEYS
from lbctl.settings.layer import Finding, Given, Layer, Place, shown
from lbctl.settings.model import Settings
from lbctl.settings.rules import RULES_ACROSS, number_problem, text_problem, value_problem

NO_FLAGS: Mapping[str, str] = MappingProxyType({})
_MASK = "***"


def load(
    config_dir: ConfigDir, *, environ: Mapping[str, str], flags: Mapping[str, str] = NO_FLAGS
) -> Settings:
    """
    The settings in force.

    Args:
        config_dir: its lb.yaml may be missing or empty.
        environ: ``os.environ``; what is not a setting in it is left alone.
        flags: dotted key to text: ``{"ha.advskew": "10"}``.

    Raises:
        ConfigError: with every problem of every source; in the file by line.
    """
    layers = [
        _judged(layer)
        for layer in (read_file(config_dir.settings), read_environment(environ), read_flags(flags))
    ]
    given = {one.key.path: one for layer in layers for one in layer.given}
    findings = [finding for layer in layers for finding in layer.findings]
    settings = _settings_type().validate_json(_json_of(given.values()))
    findings += _judged_across(settings, given, {finding.path for finding in findings})
    if findings:
        raise ConfigError(Problem(str(finding.place), finding.what) for finding in findings)
    return settings


def read_file(path: Path) -> Layer:
    """What the file gives: nothing if it is not there, a finding if it is and cannot be read."""
    try:
        return read_document(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        what = f"not UTF-8: byte {error.object[error.start]:#04x} in line {line}; save it as UTF-8"
    except FileNotFoundError as error:
        if not path.is_symlink():
            return Layer()
        what = f"cannot be read: {error.strerror}: the link leads nowhere"
    except IsADirectoryError:
        what = "cannot be read: it is a directory; a file to mount that is missing becomes one"
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    return Layer(findings=(Finding(Place(str(path)), what),))


def effective(settings: Settings) -> str:
    """The settings as a whole lb.yaml: :func:`load` makes the same of it."""
    return write_document(plain(settings))


def as_json(settings: Settings) -> str:
    """The settings as a JSON object, for programs."""
    return json.dumps(plain(settings), indent=2, ensure_ascii=False)


def plain(section: Any) -> dict[str, object]:
    """A section as nested dicts. A field with ``metadata={"secret": True}`` is masked when set."""
    return {
        field.name: _plain(field.metadata, getattr(section, field.name))
        for field in fields(section)
    }


def _plain(metadata: Mapping[str, object], value: object) -> object:
    if metadata.get("secret") and value is not None:
        return _MASK
    if is_dataclass(value):
        return plain(value)
    return list(value) if isinstance(value, tuple) else value


@cache
def _settings_type() -> pydantic.TypeAdapter[Settings]:
    return pydantic.TypeAdapter(Settings)


def _json_of(given: Iterable[Given]) -> str:
    # JSON: there alone strict takes a list for a tuple and a mapping for a dataclass.
    nested: dict[str, Any] = {}
    for one in given:
        *sections, name = one.key.path.split(".")
        at = nested
        for section in sections:
            at = at.setdefault(section, {})
        at[name] = one.value
    return json.dumps(nested)


def _judged(layer: Layer) -> Layer:
    """The layer with all its findings, and without the values they are about."""
    findings = [*layer.findings, *_text_findings(layer.given)]
    bad = {finding.path for finding in findings}
    findings += _type_findings([one for one in layer.given if one.key.path not in bad])
    bad = {finding.path for finding in findings}
    good = tuple(one for one in layer.given if one.key.path not in bad)
    for one in good:
        if what := value_problem(one.key.path, one.value):
            findings.append(_finding(one, what))
    bad = {finding.path for finding in findings}
    return Layer(
        given=tuple(one for one in good if one.key.path not in bad),
        findings=tuple(sorted(findings, key=lambda one: (one.place.line, one.place.name))),
    )


def _text_findings(given: Iterable[Given]) -> Iterator[Finding]:
    # Before types: half a surrogate pair cannot be said in JSON.
    for one in given:
        for text in one.value if isinstance(one.value, list) else [one.value]:
            if isinstance(text, str) and (what := text_problem(text)):
                yield _finding(one, what)
                break


def _type_findings(given: list[Given]) -> list[Finding]:
    try:
        _settings_type().validate_json(_json_of(given))
    except pydantic.ValidationError as error:
        by_path = {one.key.path: one for one in given}
        # A union answers once for each member: one finding a value.
        places = {_path_and_item(problem["loc"]): None for problem in error.errors()}
        return [_type_finding(by_path[path], item) for path, item in places]
    return []


def _path_and_item(location: tuple[int | str, ...]) -> tuple[str, int | None]:
    """``("ha", "vhid", "constrained-int")`` -> ``("ha.vhid", None)``; items of a list by index."""
    paths = {".".join(map(str, location[:end])): end for end in range(1, len(location) + 1)}
    path = next(path for path in paths if path in KEYS)
    rest = location[paths[path] :]
    return path, rest[0] if rest and isinstance(rest[0], int) else None


def _type_finding(one: Given, item: int | None) -> Finding:
    if item is None or not isinstance(one.value, list):
        is_number = isinstance(one.value, int | float) and one.key.kind == "text"
        hint = number_problem(one.key.path, one.value) if is_number else None
        return _finding(one, hint or one.key.rule(one.value))
    place = one.items[item] if one.items else one.place
    words = ", ".join(one.key.words)
    what = f"{one.key.path}[{item}] = {shown(one.value[item])}: must be one of {words}"
    return Finding(place, what, one.key.path)


def _finding(one: Given, what: str) -> Finding:
    return Finding(
        one.place, f"{one.key.path} = {shown(one.value, one.written)}: {what}", one.key.path
    )


def _judged_across(
    settings: Settings, given: Mapping[str, Given], bad: set[str]
) -> Iterator[Finding]:
    for rule in RULES_ACROSS:
        if any(_is_in(path, outer) for path in rule.paths for outer in bad):
            continue  # a value it would look at is not known
        if what := rule.problem(settings):
            place = next(given[path].place for path in rule.paths if path in given)
            yield Finding(place, what, rule.paths[0])


def _is_in(path: str, outer: str) -> bool:
    return not outer or path == outer or path.startswith(f"{outer}.")
