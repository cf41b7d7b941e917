"""What the documents name exists: commands, options, links, exit codes, messages."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from lbctl import errors
from lbctl.cli.main import COMMANDS, app

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATION = ROOT / "docs" / "operation.md"

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_CALL = re.compile(r"(?:^|[/\s])lbctl ([a-z][a-z-]*)((?: +(?:-{1,2}[a-z][a-z-]*|[^-\s]\S*))*)")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_OPTION = re.compile(r"(?<=\s)-{1,2}[a-z][a-z-]*")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls(text: str) -> Iterator[tuple[str, str]]:
    """Command and the rest of its line, wherever code calls ``lbctl``; outputs are left out."""
    fences = [body for language, body in _FENCE.findall(text) if language != "text"]
    # A span that only holds the name is a message.
    spans = [span for span in _SPAN.findall(_FENCE.sub("", text)) if _CALL.match(span)]
    for line in "\n".join((*fences, *spans)).replace("\\\n", " ").splitlines():
        yield from ((found[1], found[2]) for found in _CALL.finditer(line))


def options_of(command: str) -> set[str]:
    group: Any = typer.main.get_command(app)
    parameters = group.get_command(None, command).params
    return {name for parameter in parameters for name in parameter.opts}


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = _FENCE.sub("", path.read_text("utf-8"))
    return {slug(one) for one in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@cache
def said() -> tuple[str, ...]:
    """Every text in the package that may be a message; ``\\0`` for each part that varies."""
    texts: list[str] = []
    for path in (ROOT / "lbctl").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    one.value if isinstance(one, ast.Constant) else "\0" for one in node.values
                )
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return tuple(texts)


def messages(text: str) -> list[str]:
    """The first cells of the tables under "Start errors", as far as they quote lbctl."""
    (section,) = re.findall(r"^## Start errors$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    return [cell for cell in cells if cell != "message"]


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_every_command_that_is_named_exists_with_its_options(path: Path) -> None:
    found = list(calls(path.read_text("utf-8")))
    unknown = {
        f"lbctl {command} {option}".rstrip()
        for command, rest in found
        for option in ("", *_OPTION.findall(rest))
        if command not in COMMANDS or (option and option not in options_of(command))
    }

    assert found
    assert unknown == set()


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_its_heading(path: Path) -> None:
    broken = []
    for target in _LINK.findall(_FENCE.sub("", path.read_text("utf-8"))):
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (path.parent / name) if name else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)

    assert broken == []


def test_the_table_of_exit_codes_is_the_one_of_the_errors() -> None:
    rows = re.findall(r"^\| (\d+) \| ([a-z ]+) \|", OPERATION.read_text("utf-8"), re.MULTILINE)
    codes = {
        name.removeprefix("EXIT_").lower().replace("_", " "): code
        for name, code in inspect.getmembers(errors)
        if name.startswith("EXIT_")
    }

    assert {name: int(code) for code, name in rows} == codes


@pytest.mark.parametrize("message", messages(OPERATION.read_text("utf-8")))
def test_a_start_error_is_quoted_as_lbctl_says_it(message: str) -> None:
    fixed = [part.strip() for part in message.split("...") if len(part.strip(" :;,.")) > 1]

    assert fixed
    assert any(all(part in text for part in fixed) for text in said())
