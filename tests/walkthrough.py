"""
A document's ``console`` blocks, run as a reader would type them, and what they print beside them.

``$`` begins a command, ``>`` goes on with it, other lines are what it prints; … is anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^ *```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_BLANKS = re.compile(r"[ \t]+")
#: No command prints it by chance.
_MARK = "::lbctl-walkthrough::"


@dataclass(frozen=True, slots=True)
class Step:
    """
    One command.

    Attributes:
        line: in the document, 1 and up.
        command: as it is typed, without prompts.
        shown: the lines that the document shows.
    """

    line: int
    command: str
    shown: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.line}: {self.command.splitlines()[0]}"

    def is_met(self, said: str) -> bool:
        """Whether *said* is what is shown; how many blanks there are is all the same."""
        pattern = "".join(_pattern(one) for one in self.shown)
        found = "".join(f"{_even(one)}\n" for one in said.splitlines())
        return re.fullmatch(pattern, found) is not None


def steps(document: Path) -> tuple[Step, ...]:
    """All of them, in order."""
    text = document.read_text("utf-8")
    return tuple(
        step
        for block in _BLOCK.finditer(text)
        for step in _steps(block[1], text.count("\n", 0, block.start(1)) + 1)
    )


def _steps(block: str, line: int) -> Iterator[Step]:
    command: list[str] = []
    shown: list[str] = []
    first = line
    for number, text in enumerate(block.splitlines(), line):
        if text.startswith("$ "):
            if command:
                yield Step(first, "\n".join(command), tuple(shown))
            command, shown, first = [text[2:]], [], number
        elif text.startswith("> ") and not shown:
            command.append(text[2:])
        else:
            shown.append(text)
    if command:
        yield Step(first, "\n".join(command), tuple(shown))


def script(found: tuple[Step, ...]) -> str:
    """For bash: all commands in one shell, each followed by a mark; it goes on after a failure."""
    told = [f"{one.command}\nprintf '\\n%s %d\\n' {_MARK} $?\n" for one in found]
    return "".join(["exec 2>&1\n", *told])


def answers(output: str) -> tuple[tuple[str, int], ...]:
    """What each command of a script has printed, and its exit status."""
    parts = re.split(rf"\n{_MARK} (\d+)\n", output)
    return tuple(zip(parts[::2], map(int, parts[1::2]), strict=False))


def _pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*?"
    # What varies may have had blanks around it.
    return " ?.* ?".join(re.escape(_even(one)) for one in line.split("…")) + r"\n"


def _even(line: str) -> str:
    return _BLANKS.sub(" ", line).strip()
