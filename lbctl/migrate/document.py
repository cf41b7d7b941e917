"""A configuration as rows and sections. Nothing of the text is lost: the rows are the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from lbctl.haproxy.lines import SECTIONS
from lbctl.migrate.words import Word, words_of

#: Sections that listen, or are listened for.
PROXIES = frozenset({"frontend", "backend", "listen"})

_LINE = re.compile(r"([^\n]*?)(\r?\n|\r?\Z)")


@dataclass(frozen=True, slots=True)
class Row:
    """
    One line.

    Attributes:
        number: 1 and up.
        text: without its ending.
        ending: ``\\n``, ``\\r\\n``, or empty at the end of a file that does not end its last line.
        words: none in an empty line or a comment.
    """

    number: int
    text: str
    ending: str
    words: tuple[Word, ...]

    @property
    def keyword(self) -> str:
        return self.words[0].text if self.words else ""

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)

    @property
    def indent(self) -> str:
        return self.text[: self.words[0].start] if self.words else ""

    def begins(self, *words: str) -> bool:
        return self.texts[: len(words)] == words

    def with_words(self, first: int, end: int, text: str) -> str:
        """The line with its words from *first* to before *end* replaced by *text*."""
        start, stop = self.words[first].start, self.words[end - 1].end
        if not text:
            # One blank goes with them.
            start = self.words[first - 1].end if first else start
        return self.text[:start] + text + self.text[stop:]


@dataclass(frozen=True)
class Section:
    """
    Attributes:
        keyword: ``global``, ``listen`` ...; empty for what stands before the first one.
        name: as given; empty where there is none.
        rows: all of them, its own line first.
        defaults: the section whose settings it starts from; None for none.
    """

    keyword: str
    name: str
    rows: tuple[Row, ...]
    defaults: Section | None = field(default=None, repr=False)

    @property
    def is_proxy(self) -> bool:
        return self.keyword in PROXIES

    @cached_property
    def mode(self) -> str:
        """``http``, ``tcp`` ...: its own, or that of its defaults."""
        own = [row.texts[1] for row in self.having("mode") if len(row.words) > 1]
        if own:
            return own[-1]
        return self.defaults.mode if self.defaults else "tcp"

    def having(self, *words: str) -> list[Row]:
        """The rows that begin with *words*."""
        return [row for row in self.rows if row.begins(*words)]


def rows_of(text: str) -> tuple[Row, ...]:
    """All lines. Only a line feed ends one: form feeds and the like are part of it."""
    return tuple(
        Row(number, found[1], found[2], words_of(found[1]))
        for number, found in enumerate(
            (found for found in _LINE.finditer(text) if found[0]), start=1
        )
    )


def sections_of(rows: tuple[Row, ...]) -> tuple[Section, ...]:
    """The sections in order; the first holds what stands before any."""
    sections: list[Section] = []
    named: dict[str, Section] = {}
    current: Section | None = None
    for keyword, name, start, members in _split(rows):
        chosen = named.get(start) if start else current
        section = Section(keyword, name, members, None if keyword == "defaults" else chosen)
        if keyword == "defaults":
            section = Section(keyword, name, members, named.get(start))
            current = section
            named[name] = section
        sections.append(section)
    return tuple(sections)


def _split(rows: tuple[Row, ...]) -> Iterator[tuple[str, str, str, tuple[Row, ...]]]:
    """Keyword, name, the name after ``from``, and rows of each section."""
    starts = [at for at, row in enumerate(rows) if row.keyword in SECTIONS]
    if not starts or starts[0]:
        yield "", "", "", rows[: starts[0]] if starts else rows
    for first, end in pairwise([*starts, len(rows)]):
        words = rows[first].texts
        source = words[words.index("from") + 1 :][:1] if "from" in words else ()
        name = words[1] if len(words) > 1 and words[1] != "from" else ""
        yield words[0], name, source[0] if source else "", rows[first:end]
