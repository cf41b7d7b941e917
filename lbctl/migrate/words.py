"""
The words of one line of a configuration, with where they stand: a rule changes a word, and
leaves every other character of the line as it is.

Source: HAProxy src/tools.c, parse_line().
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: The sign before a variable that HAProxy expands, which it does in double quotes alone. No text
#: that was read from a file holds this one.
VARIABLE: Final = "\ud824"
_CONTROL = {"t": "\t", "n": "\n", "r": "\r"}
#: Inside of double quotes.
_ESCAPES = (
    {sign: f"\\{sign}" for sign in '\\"$'}
    | {sign: f"\\{letter}" for letter, sign in _CONTROL.items()}
    | {VARIABLE: "$"}
)
_NAME = re.compile(r"\$[A-Za-z_{]")
_HEX = re.compile(r"x([0-9A-Fa-f]{2})")
#: HAProxy's idea of white space; Python's has more, and a Latin-1 byte must not be one.
_BLANKS = " \t\n\v\f\r"
#: What ends or changes a word that is written without quotes.
_NEEDS_QUOTES = re.compile(r"""[\s#"']|\\[\s\\tnr#'"x]|\\$""", re.ASCII)


@dataclass(frozen=True, slots=True)
class Word:
    """
    One word.

    Attributes:
        text: without quotes and escapes; :data:`VARIABLE` begins what HAProxy expands.
        start, end: where it stands in the line.
    """

    text: str
    start: int
    end: int


@dataclass(slots=True)
class _Scanner:
    line: str
    at: int = 0
    quote: str = ""

    def word(self) -> str:
        """The word that begins here; *at* is behind it then."""
        text = ""
        while self.at < len(self.line):
            sign = self.line[self.at]
            if not self.quote and (sign in _BLANKS or sign == "#"):
                break
            if sign == "\\" and self.quote != "'":
                text += self._escaped()
            elif sign in "'\"" and self.quote in ("", sign):
                self.quote = "" if self.quote else sign
                self.at += 1
            else:
                is_variable = self.quote == '"' and _NAME.match(self.line, self.at)
                text += VARIABLE if is_variable else sign
                self.at += 1
        return text

    def _escaped(self) -> str:
        following = self.line[self.at + 1 : self.at + 2]
        found = _HEX.match(self.line, self.at + 1)
        if found:
            self.at = found.end()
            return chr(int(found[1], 16))
        if following in _CONTROL:
            self.at += 2
            return _CONTROL[following]
        if following and (following in " \\#'\"" or (following == "$" and self.quote)):
            self.at += 2
            return following
        # Other combinations are no escapes: "\1" and "\." stay as they are.
        self.at += 1
        return "\\"


def words_of(line: str) -> tuple[Word, ...]:
    """The words of *line*; a comment is none."""
    scanner = _Scanner(line)
    words: list[Word] = []
    while True:
        while scanner.at < len(line) and line[scanner.at] in _BLANKS:
            scanner.at += 1
        if scanner.at >= len(line) or line[scanner.at] == "#":
            return tuple(words)
        start = scanner.at
        text = scanner.word()
        words.append(Word(text, start, scanner.at))


def quoted(text: str) -> str:
    """*text* as one word: bare where that is the same, else in quotes; variables stay variables."""
    has_variable = VARIABLE in text
    if text and not has_variable and not _NEEDS_QUOTES.search(text):
        return text
    if not has_variable and "'" not in text and text.isprintable():
        return f"'{text}'"
    escaped = "".join(_ESCAPES.get(sign, sign) for sign in text)
    return f'"{escaped}"'
