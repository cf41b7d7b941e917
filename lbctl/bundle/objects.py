"""
The form for programs: one JSON object a line, whatever bytes a program said.

``{"at", "program", "level"?, "kind"?, "text", "fields"?}``, always in this order. What the bundle's
own programs know of a line they say themselves: :mod:`lbctl.bundle.saying` writes an object behind
a mark, and it is passed on here with the program's name. The lines of all others are text; a level
is told of them only where their own documents say how it is written.

Part of logd: it imports what logd has imported already.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from lbctl.bundle.lines import Form

#: ASCII's record separator, as RFC 7464 puts it before a JSON text; nobody's sentence begins so.
MARK = "\x1e"
#: Who is believed behind the mark; in a stranger's line it is a character like any other.
OWN = frozenset({"agent", "certs", "discovery", "stage", "vipd"})
LEVELS = ("error", "warning", "info", "debug")

_encoder = json.JSONEncoder(ensure_ascii=False)
#: https://docs.haproxy.org/2.6/management.html#10 shows them, and the source has no others.
_HAPROXY = {
    "EMERG": "error",
    "ALERT": "error",
    "CRIT": "error",
    "ERROR": "error",
    "WARNING": "warning",
    "NOTICE": "info",
    "INFO": "info",
    "DEBUG": "debug",
}
#: https://nginx.org/en/docs/ngx_core_module.html#error_log
_NGINX = {
    "emerg": "error",
    "alert": "error",
    "crit": "error",
    "error": "error",
    "warn": "warning",
    "notice": "info",
    "info": "info",
    "debug": "debug",
}
_HAPROXY_LINE = re.compile(r"\[([A-Z]+)\] ")
_NGINX_LINE = re.compile(r"(?:nginx: |\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )\[([a-z]+)\] ")


def stamp(at: float) -> str:
    """
    RFC 3339 in UTC, with milliseconds.

    Args:
        at: wall clock, seconds.
    """
    whole, thousandths = divmod(int(at * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{thousandths:03d}Z"


def line_of(
    at: str,
    program: str,
    text: str,
    *,
    level: str = "",
    kind: str = "",
    fields: Mapping[str, Any] | None = None,
) -> str:
    """One line, newline included; what is empty is left out."""
    found: dict[str, Any] = {"at": at, "program": program}
    found |= {"level": level} if level else {}
    found |= {"kind": kind} if kind else {}
    found |= {"text": text}
    found |= {"fields": fields} if fields else {}
    return _encoder.encode(found) + "\n"


def objects(program: str, wall: Callable[[], float] = time.time) -> Form:
    """The form for the lines of *program*; they get the time at which they came."""
    level_of = _level_reader(program)
    is_own = program in OWN
    encode = _encoder.encode
    middle = f'", "program": {encode(program)}, '

    def form(lines: bytes) -> bytes:
        at = stamp(wall())
        begin = f'{{"at": "{at}{middle}'
        said = []
        for line in lines.decode("utf-8", "replace").split("\n"):
            if is_own and line.startswith(MARK):
                said.append(_told(program, line[1:], at))
                continue
            level = level_of(line) if level_of else ""
            told = f'"level": "{level}", ' if level else ""
            said.append(f'{begin}{told}"text": {encode(line)}}}\n')
        return "".join(said).encode("utf-8", "replace")

    return form


def _told(program: str, text: str, at: str) -> str:
    """What one of our own says of its line; a torn one is text."""
    try:
        raw = json.loads(text, parse_constant=str)
        known = {name: raw.get(name) or "" for name in ("at", "level", "kind", "text")}
        fields = raw.get("fields") or {}
    except (ValueError, AttributeError, RecursionError):
        return line_of(at, program, text)
    if not isinstance(fields, dict) or not all(isinstance(one, str) for one in known.values()):
        return line_of(at, program, text)
    when = known.pop("at") or at
    return line_of(when, program, known.pop("text"), fields=fields, **known)


def _level_reader(program: str) -> Callable[[str], str] | None:
    """What finds the level in a line of *program*; None: nothing is certain of it."""
    if program == "nginx":
        return lambda line: _found(_NGINX_LINE, _NGINX, line)
    if program.partition("-")[0] == "haproxy":
        return lambda line: _found(_HAPROXY_LINE, _HAPROXY, line)
    return None


def _found(pattern: re.Pattern[str], levels: Mapping[str, str], line: str) -> str:
    match = pattern.match(line)
    return levels.get(match[1], "") if match else ""
