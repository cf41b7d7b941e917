"""Rules for servers: names that may not be known yet, cookies that do not tell servers apart."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Final

from lbctl.migrate.document import Row, Section
from lbctl.migrate.rule import BACK, Lines, Outcome, Refused, Rule, Scene
from lbctl.migrate.words import VARIABLE, quoted

_ANYWHERE = ("", "*", "localhost")


def _init_addr(row: Row, scene: Scene) -> Outcome:
    # server-template NAME COUNT ADDRESS
    at = 3 if row.keyword == "server-template" else 2
    if len(row.words) <= at or not _is_name(row.texts[at]) or _has(row, "init-addr"):
        return None
    section: Section | None = scene.section
    while section is not None:
        if any(_has(one, "init-addr") for one in section.having("default-server")):
            return None
        section = section.defaults
    end = row.words[-1].end
    return Lines((f"{row.text[:end]} init-addr last,libc,none{row.text[end:]}",))


def _has(row: Row, word: str) -> bool:
    return word in row.texts[2:] or (row.keyword == "default-server" and word in row.texts)


def _is_name(address: str) -> bool:
    """Whether *address*, with or without a port, holds a name that must be looked up."""
    if "@" in address or "/" in address or "$" in address or VARIABLE in address:
        return False
    host = address if address.count(":") != 1 else address.partition(":")[0]
    host = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host
    if host in _ANYWHERE:
        return False
    for text in (host, host.rpartition(":")[0]):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            continue
        return False
    return ":" not in host


def _cookie(row: Row, scene: Scene) -> Outcome:
    value = _cookie_of(row)
    if value is None or not scene.section.having("cookie"):
        return None
    # A backup may stand in under the cookie of the server that it replaces.
    servers = [one for one in scene.section.having("server") if "backup" not in one.texts[3:]]
    if "backup" in row.texts[3:]:
        return None
    if Counter(_cookie_of(server) for server in servers)[value] < 2 or value == row.texts[1]:
        return None
    if row.texts[1] in map(_cookie_of, servers):
        return Refused(
            f"cookie {value!r} stands for several servers, and {row.texts[1]!r}, its own name, for "
            "another one: give each server of the section a cookie of its own"
        )
    at = row.texts.index("cookie", 3) + 1
    why = f"{value!r} stood for several servers, so half the clients met another one: its own name"
    return Lines((row.with_words(at, at + 1, quoted(row.texts[1])),), why)


def _cookie_of(row: Row) -> str | None:
    texts = row.texts
    at = texts.index("cookie", 3) + 1 if "cookie" in texts[3:] else len(texts)
    return texts[at] if at < len(texts) else None


SERVER_RULES: Final = (
    Rule(
        "server app app:9000, server-template",
        "`server app app:9000 init-addr last,libc,none`",
        "a name that is not known at the start would end HAProxy; so the server is down until a "
        "reload, or with 'resolvers' until it is known",
        ("server", "server-template"),
        BACK,
        _init_addr,
    ),
    Rule(
        "server a 10.0.0.1:80 cookie X, server b 10.0.0.2:80 cookie X",
        "`cookie a` and `cookie b`",
        "a value that several servers share does not lead a client back to its own",
        ("server",),
        BACK,
        _cookie,
    ),
)
