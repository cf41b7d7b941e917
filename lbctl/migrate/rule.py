"""
What a rule is: which line it knows, what becomes of it, and why.

A rule sees one row and its section, and answers with the lines that take its place, with a refusal
in words, or with nothing: the line may stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from lbctl.migrate.document import Row, Section

GLOBAL: Final = frozenset({"global"})
ANY_PROXY: Final = frozenset({"defaults", "frontend", "backend", "listen"})
FRONT: Final = frozenset({"defaults", "frontend", "listen"})
BACK: Final = frozenset({"defaults", "backend", "listen"})


class Phase(IntEnum):
    """
    When HAProxy up to 2.0 ran a rule on requests or responses, first to last. ``http-request``
    rules, in which all of this ends up, run in the order of the file.

    Source: HAProxy 1.5, doc/configuration.txt, 4.2, and src/proto_http.c, http_process_req_common.
    """

    FIRST = 0
    HTTP_RULES = 1
    FILTERS = 2
    ADDED = 3


@dataclass(frozen=True, slots=True)
class Scene:
    """
    What a rule knows besides its row.

    Attributes:
        section: the one the row is in.
        is_single: one process runs the file, so that what cannot be shared may stay.
    """

    section: Section
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """
    What takes a row's place.

    Attributes:
        texts: whole lines; none: the row goes.
        why: in place of the rule's reason.
        phase: these are ``http-request`` or ``http-response`` rules, and ran then.
    """

    texts: tuple[str, ...] = ()
    why: str = ""
    phase: Phase | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot be translated: what to do, as a sentence."""

    what: str


Outcome = Lines | Refused | None
Translate = Callable[[Row, Scene], Outcome]


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One construct of old configurations.

    Attributes:
        old: what it looks like, for the table in the documents.
        new: what it becomes, for the same table: Markdown.
        why: the reason that is printed beside the change.
        heads: the first words of the lines it is about; ``no`` before them is known too.
        sections: where.
        translate: see above; called for rows with these heads in these sections alone.
    """

    old: str
    new: str
    why: str
    heads: tuple[str, ...]
    sections: frozenset[str]
    translate: Translate = field(repr=False)

    def applies(self, row: Row, section: Section) -> bool:
        if section.keyword not in self.sections:
            return False
        text = " ".join(row.texts).removeprefix("no ") + " "
        return any(text.startswith(f"{head} ") for head in self.heads)

    def heads_of(self, row: Row) -> str:
        """The words by which the rule knows *row*."""
        text = " ".join(row.texts).removeprefix("no ")
        return next(head for head in self.heads if f"{text} ".startswith(f"{head} "))


def removes(row: Row, scene: Scene) -> Outcome:
    """The row goes."""
    del row, scene
    return Lines()


def renames(count: int, text: str) -> Translate:
    """The first *count* words become *text*."""

    def translate(row: Row, scene: Scene) -> Outcome:
        del scene
        start = 1 if row.keyword == "no" else 0
        return Lines((row.with_words(start, start + count, text),))

    return translate


def refusal(old: str, heads: tuple[str, ...], sections: frozenset[str], what: str) -> Rule:
    """The rule for what is never translated; *what* says what to do."""

    def translate(row: Row, scene: Scene) -> Outcome:
        del row, scene
        return Refused(what)

    return Rule(old, "refused", what, heads, sections, translate)
