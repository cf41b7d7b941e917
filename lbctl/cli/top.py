"""``lbctl top``: both hosts, traffic and what is not well, live in a terminal."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated, Final

import typer

from lbctl.cli.client import ApiClient
from lbctl.cli.console import console
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.cli.screen import Screen, taken
from lbctl.cli.top_view import Wish, frame, once
from lbctl.cli.watched import Watch
from lbctl.errors import UnreachableError, UsageError
from lbctl.glance.picture import SORTS, Picture
from lbctl.layout import RunDir

#: Without news the clock goes on, and who hangs is told.
_REDRAW_S: Final = 1.0
_END: Final = ("q", "Q", "\x04")
#: Two samples: rates are the difference.
_TURNS_ONCE: Final = 2


def top(
    once_only: Annotated[
        bool, typer.Option("--once", help="Print one frame, with rates of two seconds, and end.")
    ] = False,
    sort: Annotated[
        str, typer.Option("--sort", metavar="|".join(SORTS), help="What comes first.")
    ] = "trouble",
    filter_: Annotated[
        str, typer.Option("--filter", metavar="TEXT", help="Only frontends and backends with it.")
    ] = "",
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Show both hosts, traffic, and frontends and backends, live; q ends it."""
    found = next((one for one in SORTS if one == sort), None)
    if found is None:
        message = f"--sort {sort}: one of {', '.join(SORTS)} is wanted"
        raise UsageError(message)
    client, wish = ApiClient(RunDir(run_dir)), Wish(found, filter_)
    if once_only:
        _print_once(client, wish)
    elif not (sys.stdin.isatty() and sys.stdout.isatty()):
        message = "top needs a terminal; without one: lbctl top --once"
        raise UsageError(message)
    else:
        _live(client, wish)


def _print_once(client: ApiClient, wish: Wish) -> None:
    picture, turns = Picture(), 0
    for kind, said in client.stream_events("/v1/live"):
        picture.take(kind, said)
        turns += kind in ("snapshot", "change")
        if turns >= _TURNS_ONCE:
            paper = console()
            for part in once(picture, wish, paper.width):
                paper.print(part)
            return
    message = "the agent ended the stream: it stops, or starts afresh"
    raise UnreachableError(message)


def _live(client: ApiClient, wish: Wish) -> None:
    with taken() as screen:
        watch = Watch(client, screen.wake)
        watch.start()
        try:
            _draw_until_quit(screen, watch, wish)
        finally:
            watch.stop()


def _draw_until_quit(screen: Screen, watch: Watch, wish: Wish) -> None:
    while True:
        seen = watch.seen()
        size = shutil.get_terminal_size()
        lines = frame(seen.picture, wish, size.columns, size.lines, seen.trouble)
        screen.show(lines, size.lines)
        for key in _keys(screen.keys(_REDRAW_S)):
            if (key in _END and wish.typing is None) or key == "\x04":
                return
            wish = wish.pressed(key)


def _keys(pressed: str) -> list[str]:
    """One by one; a key that sends a sequence, as an arrow, is one that scrolls or none."""
    if pressed.startswith("\x1b") and len(pressed) > 1:
        known = {"\x1b[A": "k", "\x1b[B": "j", "\x1b[5~": "b", "\x1b[6~": " "}
        return [known[pressed]] if pressed in known else []
    return list(pressed)
