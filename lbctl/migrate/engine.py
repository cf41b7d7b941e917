"""
The whole of it: a text, through all rules, to a new text with a reason for each line.

Pure. What a rule does not know stays byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lbctl.errors import Problem
from lbctl.haproxy.cfg import nothing_is_absent, problems_of
from lbctl.haproxy.lines import SECTIONS
from lbctl.migrate.document import Row, Section, rows_of, sections_of
from lbctl.migrate.placed import Placed, in_order
from lbctl.migrate.rule import Lines, Phase, Refused, Scene
from lbctl.migrate.stats import Pinned, pinned_listener, processes_of, shows_stats
from lbctl.migrate.table import RULES
from lbctl.migrate.words import words_of

#: consul-template, confd, Jinja2: none of them is HAProxy's.
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|<%.*?%>")
_PINNED = "the statistics of one process: lbctl adds such a listener for each (see lb.yaml below)"
_NO_END = "HAProxy refuses a last line without an end since 2.3: the file might be cut off"


@dataclass(frozen=True, slots=True)
class Migration:
    """
    The result.

    Attributes:
        placed: every row of the old text, with what became of it.
        problems: what cannot be translated; then :attr:`text` is not to be used.
        notes: what stays as it is, and is worth a thought.
        pinned: stats listeners that lbctl replaces.
        processes: what ``nbproc`` said; None without it.
    """

    placed: tuple[Placed, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    pinned: tuple[Pinned, ...]
    processes: int | None

    @property
    def text(self) -> str:
        """The new configuration."""
        return "".join(
            f"{text}{one.row.ending or _ending(self.placed)}"
            for one in self.placed
            for text in one.texts
        )

    @property
    def changes(self) -> int:
        """How many of the old lines change."""
        return len({one.row.number for one in self.placed if one.is_changed})


def migrate(text: str, *, name: str = "haproxy.cfg", is_single: bool = False) -> Migration:
    """
    Translate a configuration.

    Args:
        text: all of it; bytes that are not UTF-8 as surrogates.
        name: of the file, for the problems.
        is_single: one process is to run it; else what cannot be multiplied has to go.
    """
    rows = rows_of(text)
    hindered = tuple(_unreadable(rows, name))
    if hindered:
        return Migration(tuple(Placed(row, (row.text,)) for row in rows), hindered, (), (), None)
    placed: list[Placed] = []
    problems: list[Problem] = []
    pinned: list[Pinned] = []
    notes: list[str] = []
    for section in sections_of(rows):
        listener = pinned_listener(section)
        if listener is not None:
            pinned.append(listener)
            placed += _removed(section)
            continue
        notes += _notes(section, name)
        made, refused = _translated(section, is_single=is_single)
        placed += in_order(made)
        problems += [Problem(f"{name}:{row.number}", what) for row, what in refused]
    placed = _ended(placed)
    migration = Migration(tuple(placed), (), tuple(notes), tuple(pinned), processes_of(rows))
    known = {problem.where for problem in problems}
    problems += [one for one in _left(migration, name, is_single) if one.where not in known]
    problems.sort(key=lambda problem: int(problem.where.rpartition(":")[2]))
    return replace(migration, problems=tuple(problems))


def _unreadable(rows: Sequence[Row], name: str) -> Iterator[Problem]:
    for row in rows:
        if "\0" in row.text:
            yield Problem(f"{name}:{row.number}", "a NUL byte: this is no configuration")
            return
        if row.words and _TEMPLATE.search(row.text[: row.words[-1].end]):
            yield Problem(
                f"{name}:{row.number}",
                "a template, and not a configuration: migrate the file that it renders; for a "
                "template of lbctl's own write haproxy.cfg.j2 with the lines that come out",
            )
            return
    first = next((row for row in rows if row.words), None)
    if first is not None and not any(row.keyword in SECTIONS for row in rows):
        yield Problem(
            f"{name}:{first.number}",
            "no configuration of HAProxy: no section (global, defaults, frontend ...) begins in "
            "this file",
        )


def _translated(section: Section, *, is_single: bool) -> tuple[list[Placed], list[tuple[Row, str]]]:
    scene = Scene(section, is_single)
    placed, refused = [], []
    for row in section.rows:
        one, whats = _through_rules(row, scene)
        placed.append(one)
        refused += [(row, what) for what in whats]
    return placed, refused


def _through_rules(row: Row, scene: Scene) -> tuple[Placed, list[str]]:
    """*row* through all rules, one after the other, each on what the one before has made."""
    texts: list[str] = [row.text]
    whys: list[str] = []
    phase: Phase | None = None
    for rule in RULES:
        made: list[str] = []
        for text in texts:
            now = replace(row, text=text, words=words_of(text)) if text != row.text else row
            outcome = rule.translate(now, scene) if rule.applies(now, scene.section) else None
            if isinstance(outcome, Refused):
                return Placed(row, (row.text,)), [f"{rule.heads_of(row)!r}: {outcome.what}"]
            if isinstance(outcome, Lines):
                made += outcome.texts
                whys.append(outcome.why or rule.why)
                phase = outcome.phase if outcome.phase is not None else phase
            else:
                made.append(text)
        texts = made
    return Placed(row, tuple(texts), tuple(whys), phase), []


def _removed(section: Section) -> Iterator[Placed]:
    """Its lines, but for comments at the end: these belong to what follows."""
    rows = list(section.rows)
    last = max(at for at, row in enumerate(rows) if row.words)
    for at, row in enumerate(rows):
        follows = at > last and row.text.strip()
        yield Placed(row, (row.text,)) if follows else Placed(row, (), (_PINNED,))


def _notes(section: Section, name: str) -> Iterator[str]:
    enabled = section.having("stats", "enable") or section.having("stats", "uri")
    if shows_stats(section) and enabled:
        yield (
            f"{name}:{section.rows[0].number}: {section.keyword} {section.name} shows the "
            "statistics of whichever process takes the connection; 'lbctl stats' shows all as one"
        )
    for row in section.having("log", "/dev/log")[:1]:
        yield (
            f"{name}:{row.number}: log /dev/log needs a syslog daemon on this host, which a "
            "container has not: 'log stdout format raw local0' brings the lines into lbctl's output"
        )


def _ended(placed: Sequence[Placed]) -> list[Placed]:
    """The last line gets an end where it has none."""
    result = list(placed)
    if result and not result[-1].row.ending and result[-1].row.text:
        last = result[-1]
        result[-1] = replace(last, whys=last.whys or (_NO_END,))
    return result


def _ending(placed: Sequence[Placed]) -> str:
    return next((one.row.ending for one in placed if one.row.ending), "\n")


def _left(migration: Migration, name: str, is_single: bool) -> Iterator[Problem]:
    """
    What ``lbctl check`` would refuse in the result, at the old line. Addresses are not judged:
    which of them this host has says nothing about the one that the file is for.
    """
    numbers = [one.row.number for one in migration.placed for _ in one.texts]
    processes = 1 if is_single else 2
    for problem in problems_of(
        migration.text, absent=nothing_is_absent, processes=processes, name=name
    ):
        number = int(problem.where.rpartition(":")[2])
        yield Problem(f"{name}:{numbers[number - 1]}", problem.what)
