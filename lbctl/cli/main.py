"""
``lbctl``: finds the command, prints what went wrong, gives the exit code.

Each command lives in a module of its own that is imported only when it is called: ``lbctl run`` is
on the way to an address that is missing, and what ``lbctl stats`` draws with would cost it time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from lbctl import __version__
from lbctl.errors import (
    EXIT_OK,
    EXIT_UNEXPECTED,
    EXIT_USAGE,
    LbctlError,
    ProblemsError,
    UsageError,
)

#: Command -> module and function, in the order of the help.
COMMANDS: Final = {
    "run": ("lbctl.cli.run", "run"),
    "check": ("lbctl.cli.check", "check"),
    "doctor": ("lbctl.cli.doctor", "doctor"),
    "render": ("lbctl.cli.render", "render"),
    "config": ("lbctl.cli.config", "config"),
    "migrate": ("lbctl.cli.migrate", "migrate"),
    "status": ("lbctl.cli.status", "status"),
    "top": ("lbctl.cli.top", "top"),
    "stats": ("lbctl.cli.stats", "stats"),
    "events": ("lbctl.cli.events", "events"),
    "history": ("lbctl.cli.history", "history"),
    "services": ("lbctl.cli.services", "services"),
    "server": ("lbctl.cli.server", "server"),
    "reload": ("lbctl.cli.reload", "reload"),
    "handover": ("lbctl.cli.handover", "handover"),
    "pause": ("lbctl.cli.pause", "pause"),
    "resume": ("lbctl.cli.pause", "resume"),
    "registrator": ("lbctl.cli.registrator", "registrator"),
    "support": ("lbctl.cli.support", "support"),
    "completion": ("lbctl.cli.completion", "completion"),
    "demo": ("lbctl.cli.demo", "demo"),
}


#: These take a password as an argument.
_WITH_PASSWORD: Final = ("run", "doctor")

#: typer shows some of click's exceptions and, by version, brings a click of its own: go by descent.
_ClickError: Any = typer.BadParameter.__mro__[2]
_NoSuchOption: Any = vars(import_module(typer.BadParameter.__module__))["NoSuchOption"]

_UNKNOWN_OPTION = (
    "{0}: an option is not known; it is not shown here, since it might be a password: one that "
    "begins with '-' comes after '--' (lbctl {0} -- VIP PASSWORD), or from LBCTL_PASSWORD_FILE"
)


class Commands(TyperGroup):
    """The commands, imported when asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name]
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(cmd_name)(getattr(import_module(module), function))
        return typer.main.get_command(single)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Two Linux hosts, one highly available load balancer.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lbctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Two Linux hosts, one highly available load balancer."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Returns:
        The exit code; see :mod:`lbctl.errors`.
    """
    try:
        result = app(args=_meant(sys.argv[1:] if argv is None else argv), standalone_mode=False)
    except LbctlError as error:
        return _report(error)
    except _ClickError as error:
        if _may_hold_password(error):
            return _report(UsageError(_UNKNOWN_OPTION.format(error.ctx.info_name)))
        error.show()
        return EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader of our output has seen enough.
        sys.stderr.close()
        return EXIT_OK
    except OSError as error:
        print(f"lbctl: error: {error}", file=sys.stderr)
        return EXIT_UNEXPECTED
    return result if isinstance(result, int) else EXIT_OK


def _meant(argv: Sequence[str]) -> list[str]:
    """The image runs ``lbctl run``: another command in the place of the VIP is that command."""
    is_in_place_of_vip = len(argv) > 1 and argv[0] == "run" and argv[1] in COMMANDS
    return list(argv[1:] if is_in_place_of_vip else argv)


def _may_hold_password(error: Any) -> bool:
    """Whether it is about an option that there is not, of a command that takes a password."""
    context = error.ctx if isinstance(error, _NoSuchOption) else None
    return context is not None and context.info_name in _WITH_PASSWORD


def _report(error: LbctlError) -> int:
    if isinstance(error, ProblemsError) and len(error.problems) > 1:
        print(f"lbctl: error: {len(error.problems)} problems", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
    else:
        print(f"lbctl: error: {error}", file=sys.stderr)
    return error.exit_code or EXIT_UNEXPECTED
