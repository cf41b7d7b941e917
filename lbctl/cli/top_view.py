"""One frame of ``lbctl top``: a picture, drawn into so many lines of so many characters. Pure."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lbctl.cli.hosts_view import empty_table, hosts_table, styled
from lbctl.glance.cell import Cell, printable
from lbctl.glance.durations import local
from lbctl.glance.figures import bytes_per_s, short
from lbctl.glance.hosts import hosts
from lbctl.glance.loud import headline, loud
from lbctl.glance.picture import SORTS, Picture, ProxyRow, Sort, rows
from lbctl.glance.programs import processes, programs

#: Of what is loud, so many lines; the rest is counted.
LOUD_MOST: Final = 4
EVENTS_MOST: Final = 5
#: Proxies are shown, whatever else wants the room.
PROXIES_LEAST: Final = 4
#: Columns of the table of proxies: a state, a name, and between two of them.
_STATE_MOST: Final = 10
_NAME_LEAST: Final = 12
_GAP: Final = 3
#: There is room for bytes and errors.
_WIDE: Final = 72


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What whoever looks wants to see.

    Attributes:
        typing: what is being typed as a filter; None: nothing is.
        first: the proxy at the top of the list.
    """

    sort: Sort = "trouble"
    filter: str = ""
    typing: str | None = None
    first: int = 0

    def pressed(self, key: str) -> Wish:
        """After that key."""
        if self.typing is not None:
            return self._typed(key, self.typing)
        if key == "s":
            return replace(self, sort=SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)], first=0)
        if key == "/":
            return replace(self, typing=self.filter)
        if key == "\x1b":
            return replace(self, filter="", first=0)
        step = {"j": 1, "k": -1, " ": 10, "b": -10}.get(key, 0)
        return replace(self, first=max(0, self.first + step))

    def _typed(self, key: str, typing: str) -> Wish:
        if key in ("\r", "\n"):
            return replace(self, typing=None)
        if key == "\x1b":
            return replace(self, typing=None, filter="", first=0)
        typing = (
            typing[:-1] if key in ("\x7f", "\b") else typing + (key if key.isprintable() else "")
        )
        return replace(self, typing=typing, filter=typing, first=0)


def frame(picture: Picture, wish: Wish, width: int, height: int, trouble: str = "") -> list[str]:
    """
    The whole screen.

    Args:
        trouble: why nothing comes at the moment.

    Returns:
        At most *height* lines, with colours, none wider than *width*.
    """
    bottom = _lines(_help(wish), width, 1)
    if not picture.at:
        waiting = Cell(trouble or "waiting for the agent ...", "bad" if trouble else "plain")
        return [*_lines(styled(waiting), width, height - 1), *bottom]
    top = [line for part in _top(picture, trouble, width) for line in _lines(part, width, height)]
    events = [line for one in _events(picture) for line in _lines(one, width, 1)]
    room = height - len(top) - len(events) - len(bottom)
    if room < PROXIES_LEAST:
        events = events[max(0, PROXIES_LEAST - room) :]
        room = height - len(top) - len(events) - len(bottom)
    table = _lines(_proxies(picture, wish, width, room), width, max(room, 0))
    body = [*top, *table]
    body += [""] * (height - len(body) - len(events) - len(bottom))
    return [*body, *events, *bottom][:height]


def once(picture: Picture, wish: Wish, width: int) -> Iterator[RenderableType]:
    """The same for a page without an end: all proxies."""
    yield from _top(picture, "", width)
    yield _proxies(picture, wish, width, len(picture.proxies) + PROXIES_LEAST)
    yield from _events(picture)


def _lines(part: RenderableType, width: int, most: int) -> list[str]:
    """At most so many lines; what is left out of the last one is marked."""
    out = io.StringIO()
    paper = Console(
        file=out, width=width, force_terminal=True, highlight=False, legacy_windows=False
    )
    paper.print(part, no_wrap=isinstance(part, Text), overflow="ellipsis", crop=True)
    return out.getvalue().splitlines()[:most]


def _top(picture: Picture, trouble: str, width: int) -> Iterator[RenderableType]:
    status = picture.status
    groups = hosts(status)
    for group in groups:
        yield hosts_table(group, width, picture.at)
    if not groups:
        yield f"[bold]{escape(str(status.get('hostname')))}[/]  {styled(headline(status))}"
    cells = [Cell(f"NOT LIVE: {trouble}", "bad")] if trouble else []
    cells += [Cell(f"HAProxy process {n}: {why}", "bad") for n, why in picture.silent.items()]
    cells += loud(status)
    for cell in cells[:LOUD_MOST]:
        yield _one_line(
            styled(Cell(f"!! {cell.text}" if cell.tone == "bad" else cell.text, cell.tone))
        )
    if len(cells) > LOUD_MOST:
        yield _one_line(f"[yellow]and {len(cells) - LOUD_MOST} more: lbctl status[/]")
    yield _one_line(_traffic(picture))
    yield _one_line(_programs(picture))


def _one_line(markup: str) -> Text:
    return Text.from_markup(markup)


def _traffic(picture: Picture) -> str:
    said = picture.traffic
    errors = said.get("errors_5xx_per_s")
    words = [
        f"[bold]{short(said.get('requests_per_s'))}[/] requests/s",
        f"{short(said.get('session_rate'))} sessions/s",
        f"{short(said.get('sessions'))} open",
        f"in {bytes_per_s(said.get('bytes_in_per_s'))}",
        f"out {bytes_per_s(said.get('bytes_out_per_s'))}",
        styled(Cell(f"{short(errors)} 5xx/s", "bad" if errors else "plain")),
    ]
    return "  ".join(words)


def _programs(picture: Picture) -> str:
    all_programs, all_processes = programs(picture.status), processes(picture.status)
    bad = [f"{one.name} {styled(one.state)}" for one in all_programs if not one.is_well]
    bad += [
        f"process {one.number:02d} {styled(one.answers)}"
        for one in all_processes
        if not one.is_well
    ]
    if bad:
        return f"programs: {', '.join(bad)}"
    version = (picture.status.get("haproxy") or {}).get("version", "")
    return (
        f"[green]{len(all_programs)} programs run[/], "
        f"HAProxy {escape(str(version))}: {len(all_processes)} processes answer"
    )


def _proxies(picture: Picture, wish: Wish, width: int, room: int) -> Table:
    found = rows(picture.proxies, wish.sort, wish.filter)
    # The head takes two lines.
    shown = max(0, room - 2)
    first = max(0, min(wish.first, len(found) - shown))
    is_wide = width >= _WIDE
    table = empty_table()
    count = f"{len(found)} of {len(picture.proxies)}" if wish.filter else str(len(found))
    titles = ("up", "req/s", "open", *(("in/s", "out/s", "5xx/s", "queue") if is_wide else ()))
    drawn = [_row(row, is_wide=is_wide) for row in found[first : first + shown]]
    left = _left_of(width, drawn, titles)
    table.add_column(f"proxy ({count})", no_wrap=True, overflow="ellipsis", max_width=left)
    table.add_column("state", no_wrap=True, max_width=_STATE_MOST)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for cells in drawn:
        table.add_row(*cells)
    return table


def _left_of(width: int, rows: Sequence[Sequence[str]], titles: Sequence[str]) -> int:
    """For names: a long one is cut off before any figure is."""
    taken = 0
    for place, title in enumerate(("state", *titles), start=1):
        widest = max((Text.from_markup(row[place]).cell_len for row in rows), default=0)
        most = _STATE_MOST if place == 1 else widest
        taken += max(len(title), min(widest, most)) + _GAP
    return max(_NAME_LEAST, width - taken)


def _row(row: ProxyRow, *, is_wide: bool) -> tuple[str, ...]:
    one = row.proxy
    figures = [short(one.get("requests_per_s")), short(one.get("sessions"))]
    if is_wide:
        errors, queue = one.get("5xx_per_s"), one.get("queue")
        figures += [
            short(one.get("bytes_in_per_s")),
            short(one.get("bytes_out_per_s")),
            styled(Cell(short(errors), "warn" if errors else "plain")),
            styled(Cell(short(queue), "warn" if queue else "plain")),
        ]
    return escape(printable(row.name)), styled(row.state), styled(row.servers), *figures


def _events(picture: Picture) -> Iterator[Text]:
    for event in list(picture.events)[-EVENTS_MOST:]:
        at = local(float(event["at"]))
        when = f"{at:%H:%M:%S}" if at else "?"
        yield Text(printable(f"{when} {event['kind']:<9} {event['text']}"), style="dim")


def _help(wish: Wish) -> Text:
    if wish.typing is not None:
        return Text(f"filter: {wish.typing}_   Enter: keep it, Esc: all", style="reverse")
    shown = f"   filter: {wish.filter} (Esc: all)" if wish.filter else ""
    keys = f"q quit  / filter  s sort: {wish.sort}  j k space b scroll{shown}"
    return Text(f"{keys}   {time.strftime('%H:%M:%S')}", style="reverse")
