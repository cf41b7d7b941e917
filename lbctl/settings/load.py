"""
lb.yaml < environment < flags, judged and frozen: the one way to come by :class:`Settings`.

Every source is judged by itself, a value that a later source replaces included: a broken lb.yaml is
broken wherever it is used. All problems are raised together. Nothing here looks at the host.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lbctl.errors import ConfigError, Problem
from lbctl.files import read_bounded
from lbctl.layout import ConfigDir
from lbctl.settings.document import read_document, write_document
from lbctl.settings.environment import read_environment, read_flags
from lbctl.settings.ha_rules import lacking_problem, record_problems
from lbctl.settings.keys import ROOT
from lbctl.settings.layer import Entry, Finding, Given, Layer, Place, shown
from lbctl.settings.model import Settings
from lbctl.settings.plain import plain
from lbctl.settings.rules import RULES_ACROSS, number_problem, text_problem, value_problem
from lbctl.settings.services import PORT_PATHS, judge, port_findings
from lbctl.settings.shape import Reader, UnfitError, leaf

#: 10,000 servers are 1 MB, and every MB takes 2 s.
FILE_MAX_BYTES = 8 << 20
NO_FLAGS: Mapping[str, str] = MappingProxyType({})
#: What decides whether a service has a port of its own.
_PORTS = (*PORT_PATHS, "services")


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
    file = read_file(config_dir.settings)
    services, about_services = judge(file.services)
    file = replace(file, findings=(*file.findings, *about_services))
    layers = [_judged(one) for one in (file, read_environment(environ), read_flags(flags))]
    given = {one.key.path: one for layer in layers for one in layer.given}
    findings = [finding for layer in layers for finding in layer.findings]
    bad = {finding.path for finding in findings}
    settings = replace(_settings_of(given.values()), services=services)
    findings += _judged_across(settings, given, bad)
    if file.services is not None and not any(_is_in(path, one) for path in _PORTS for one in bad):
        findings += port_findings(file.services, settings)
    if findings:
        raise ConfigError(Problem(str(finding.place), finding.what) for finding in findings)
    return settings


def read_file(path: Path) -> Layer:
    """What the file gives: nothing if it is not there, a finding if it is and cannot be read."""
    try:
        return read_document(read_bounded(path, FILE_MAX_BYTES).decode("utf-8"))
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


def _settings_of(given: Iterable[Given]) -> Settings:
    nested: dict[str, Any] = {}
    for one in given:
        *sections, name = one.key.path.split(".")
        at = nested
        for section in sections:
            at = at.setdefault(section, {})
        at[name] = one.plain
    settings: Settings = Reader().record(ROOT, nested, ())
    return settings


def _judged(layer: Layer) -> Layer:
    """The layer with all its findings, and without the values they are about."""
    leaves = [part for one in layer.given for part in one.leaves()]
    findings = [*layer.findings]
    for findings_of in (_text_findings, _type_findings, _value_findings):
        bad = {finding.path for finding in findings}
        findings += findings_of([one for one in leaves if one.key.path not in bad])
    findings += _record_findings(leaves, {finding.path for finding in findings})
    bad = {finding.path.partition("[")[0] for finding in findings}
    return Layer(
        given=tuple(one for one in layer.given if one.key.path not in bad),
        findings=tuple(sorted(findings, key=lambda one: (one.place.line, one.place.name))),
    )


def _text_findings(given: Iterable[Given]) -> Iterator[Finding]:
    for one in given:
        for text in one.value if isinstance(one.value, list) else [one.value]:
            if isinstance(text, str) and (what := text_problem(text)):
                yield _finding(one, what)
                break


def _type_findings(given: Iterable[Given]) -> Iterator[Finding]:
    for one in given:
        if one.key.kind == "mapping" and isinstance(one.value, Entry):
            continue
        if one.key.kind == "records" and isinstance(one.value, list):
            yield from _item_findings(one)
            continue
        if one.key.kind == "list" and isinstance(one.value, list):
            odd = [at for at, item in enumerate(one.value) if not isinstance(item, str)]
            yield from (_item_finding(one, at) for at in odd)
            if odd:
                continue
        try:
            leaf(one.key, one.plain)
        except UnfitError:
            yield _type_finding(one)


def _item_findings(one: Given) -> Iterator[Finding]:
    assert isinstance(one.value, list)
    for index, item in enumerate(one.value):
        if not isinstance(item, Entry) and item not in one.key.words:
            yield _item_finding(one, index)


def _item_finding(one: Given, item: int) -> Finding:
    assert isinstance(one.value, list)
    place = one.items[item] if one.items else one.place
    value = one.value[item]
    what = f"{one.key.path}[{item}] = {shown(value)}: {one.key.item_rule(value)}"
    return Finding(place, what, one.key.path)


def _type_finding(one: Given) -> Finding:
    is_number = isinstance(one.value, int | float) and one.key.kind == "text"
    hint = number_problem(one.key.pattern, one.value) if is_number else None
    return _finding(one, hint or one.key.rule(one.plain))


def _value_findings(given: Iterable[Given]) -> Iterator[Finding]:
    for one in given:
        if what := value_problem(one.key.pattern, one.plain):
            yield _finding(one, what)


def _record_findings(given: Iterable[Given], bad: set[str]) -> Iterator[Finding]:
    """What is wrong with mappings in lists as a whole, where nothing in them is wrong."""
    for one in given:
        if one.key.record is None or not isinstance(one.value, list):
            continue
        known: list[Mapping[str, object] | None] = [None] * len(one.value)
        for index, item in enumerate(one.value):
            if not isinstance(item, Entry):
                continue
            wrong = [path for path in bad if _is_in(path, item.path)]
            lacks = lacking_problem(one.key, item.given)
            if lacks and all(path.rpartition(".")[2] in one.key.members for path in wrong):
                yield Finding(item.place, f"{item.path}: {lacks}", item.path)
            elif not wrong and not lacks:
                known[index] = item.plain
        for index, what in record_problems(one.key, known):
            path = f"{one.key.path}[{index}]"
            yield Finding(one.items[index], f"{path}: {what}", path)


def _finding(one: Given, what: str) -> Finding:
    return Finding(
        one.place, f"{one.key.path} = {shown(one.plain, one.written)}: {what}", one.key.path
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
