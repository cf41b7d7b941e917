"""
``lbctl completion``: what makes a shell complete lbctl's commands, options and names.

The script is made from the commands themselves and holds all of their words, so that Tab starts no
Python but for names, which only the agent knows.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from enum import Enum, StrEnum
from importlib import import_module
from typing import Annotated, Any, Final, get_type_hints

import typer

from lbctl.cli.completion_scripts import SCRIPTS, Option, Takes, Word
from lbctl.cli.main import COMMANDS
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)

#: Commands that take a name which the agent knows.
_NAMED: Final[Mapping[str, str]] = {"server": "servers", "services": "services"}
_HELP: Final = Option(("--help",), "Show this message and exit.", takes="")


class Shell(StrEnum):
    """The shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="Whose script.")],
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Print what makes a shell complete lbctl; bash: into /etc/bash_completion.d/lbctl."""
    asking = shlex.join([sys.executable, "-I", "-m", "lbctl.cli.names"])
    words = {word.name: word for word in _words(context)}
    print(SCRIPTS[shell.value](words, asking), end="")


def _words(context: typer.Context) -> Iterator[Word]:
    """Every command with what may follow it."""
    group: Any = context.find_root().command
    for name, (module, function) in COMMANDS.items():
        command = group.get_command(context, name)
        hints = get_type_hints(getattr(import_module(module), function))
        options = [_HELP]
        choices: tuple[str, ...] = ()
        for one in command.params:
            if one.param_type_name == "option":
                options.append(_option(one, _choices(hints[one.name])))
            else:
                choices = choices or _choices(hints[one.name])
        yield Word(name, _first_line(command.help), tuple(options), choices, _NAMED.get(name, ""))


def _choices(hint: Any) -> tuple[str, ...]:
    """The words of an enumeration; of anything else there are none."""
    is_one = isinstance(hint, type) and issubclass(hint, Enum)
    return tuple(str(choice.value) for choice in hint) if is_one else ()


def _option(one: Any, choices: tuple[str, ...]) -> Option:
    takes: Takes = "value"
    if one.is_flag:
        takes = ""
    elif one.name.endswith("_dir"):
        takes = "directory"
    elif "file" in one.name:
        takes = "file"
    return Option((*one.opts, *one.secondary_opts), _first_line(one.help), takes, choices)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
