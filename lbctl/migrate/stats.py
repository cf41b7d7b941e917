"""
Listeners that show one process's statistics, and what of them belongs into lb.yaml.

Under nbproc each process needed a listener of its own, pinned to it. lbctl adds one for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lbctl.migrate.document import Row, Section
from lbctl.migrate.words import VARIABLE

#: What a listener may hold that does nothing but show statistics.
_HARMLESS = frozenset(
    {
        *("bind", "bind-process", "stats", "mode", "maxconn", "timeout", "log", "option", "no"),
        *("description", "id", "acl", "contimeout", "clitimeout", "srvtimeout", "grace", "balance"),
    }
)
_PLAIN = re.compile(r"[\w.!%+,:=@^~-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pinned:
    """
    A stats listener of one process.

    Attributes:
        address: where it is bound, empty for every address.
        port: that it listens on.
        user: None without a login.
        password_line: of ``stats auth``; None where there is none.
        is_plain: the password can be cut out of its line by a simple command.
        uri: of the page.
        lost: lines, as numbers, of what lbctl's own listeners do not have.
    """

    address: str
    port: int
    user: str | None
    password_line: int | None
    is_plain: bool
    uri: str
    lost: tuple[int, ...] = ()


def shows_stats(section: Section) -> bool:
    """Whether it listens and shows statistics."""
    return section.keyword in ("listen", "frontend") and bool(section.having("stats"))


def pinned_listener(section: Section) -> Pinned | None:
    """The listener that *section* is, if it shows the statistics of one process alone."""
    if not shows_stats(section) or not _is_pinned(section):
        return None
    if any(row.words and row.keyword not in _HARMLESS for row in section.rows[1:]):
        return None
    addresses = [text for text in _addresses(section) if text]
    if len(addresses) != 1:
        return None
    address, _, port = addresses[0].rpartition(":")
    if not port.isdecimal() or VARIABLE in address:
        return None
    auth = next((row for row in section.having("stats", "auth") if len(row.words) > 2), None)
    uris = [row.texts[2] for row in section.having("stats", "uri") if len(row.words) > 2]
    login = auth.texts[2] if auth else ""
    return Pinned(
        address if address != "*" else "",
        int(port),
        login.partition(":")[0] if auth else None,
        auth.number if auth else None,
        bool(_PLAIN.fullmatch(login)) and auth is not None and login in auth.text,
        uris[-1] if uris else "/haproxy?stats",
        tuple(row.number for row in section.rows[1:] if _is_lost(row)),
    )


def _is_lost(row: Row) -> bool:
    """Who may see the page or change servers there, and TLS."""
    return (
        row.keyword == "acl"
        or row.texts[:2] in (("stats", "admin"), ("stats", "http-request"), ("stats", "scope"))
        or (row.keyword == "bind" and "ssl" in row.texts[2:])
    )


def _is_pinned(section: Section) -> bool:
    pins = [row.texts[1] for row in section.having("bind-process") if len(row.words) == 2]
    pins += [
        row.texts[row.texts.index("process") + 1]
        for row in section.having("bind")
        if "process" in row.texts[2:-1]
    ]
    return any(pin.isdecimal() for pin in pins)


def _addresses(section: Section) -> list[str]:
    own = section.rows[0].texts[2:3]
    return [*own, *(row.texts[1] for row in section.having("bind") if len(row.words) > 1)]


def processes_of(rows: tuple[Row, ...]) -> int | None:
    """The number that ``nbproc`` gives; None without it."""
    numbers = [row.texts[1] for row in rows if row.keyword == "nbproc" and len(row.words) > 1]
    return int(numbers[-1]) if numbers and numbers[-1].isdecimal() else None
