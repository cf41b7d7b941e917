"""
A haproxy.cfg, read as HAProxy reads it: sections, words, line numbers.

Pure, and lenient: what is malformed is left to ``haproxy -c``.
"""

from __future__ import annotations

from dataclasses import dataclass

SECTIONS = frozenset(
    {
        *("global", "defaults", "frontend", "backend", "listen", "peers", "program", "userlist"),
        *("resolvers", "mailers", "cache", "ring", "http-errors", "fcgi-app", "crt-store", "acme"),
        *("log-forward", "log-profile", "traces"),
    }
)
_SHORT_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line with at least one word.

    Attributes:
        number: 1 and up.
        section: keyword of the section it is in; empty before the first one.
        words: unquoted; variables are left as they stand. A section's own line is its first.
    """

    number: int
    section: str
    words: tuple[str, ...]

    @property
    def keyword(self) -> str:
        return self.words[0]

    @property
    def opens_section(self) -> bool:
        return self.keyword in SECTIONS


def read(text: str) -> tuple[Line, ...]:
    """The lines of a configuration without comments, empty lines and ``.if`` directives."""
    lines = []
    section = ""
    for number, raw in enumerate(text.split("\n"), start=1):
        words = split_words(raw)
        if not words or words[0].startswith("."):
            continue
        if words[0] in SECTIONS:
            section = words[0]
        lines.append(Line(number, section, words))
    return tuple(lines)


def split_words(line: str) -> tuple[str, ...]:
    """
    The words of one line.

    Source: HAProxy doc/configuration.txt, 2.2 "Quoting and escaping": a backslash escapes outside
    of single quotes, quotes join within a word, ``#`` outside of quotes starts a comment.
    """
    words: list[str] = []
    word: str | None = None
    quote = ""
    characters = iter(line)
    for character in characters:
        if quote == "'" and character != "'":
            word = (word or "") + character
        elif character == "\\":
            following = next(characters, "")
            word = (word or "") + _SHORT_ESCAPES.get(following, following)
        elif character in ("'", '"') and quote in ("", character):
            quote = "" if quote else character
            word = word or ""
        elif quote:
            word = (word or "") + character
        elif character == "#":
            break
        elif character.isspace():
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + character
    return (*words, word) if word is not None else tuple(words)
