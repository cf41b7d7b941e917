"""
The rules for single texts of a payload, and the limits of all of it. Pure.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

from lbctl.model.address import bracketed
from lbctl.settings.rules import text_problem
from lbctl.settings.web_rules import path_problem

BODY_MAX_BYTES: Final = 1 << 20
CONTAINERS_MAX: Final = 10_000
NAME_MAX_CHARS: Final = 200
#: What a container listens on where nobody says.
PORT: Final = 80
#: So that any store can have it as a key.
TABLE: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def plain_problem(text: str) -> str | None:
    """Of any text."""
    if len(text) > NAME_MAX_CHARS:
        return f"has {len(text)} characters; at most {NAME_MAX_CHARS} are taken"
    return text_problem(text)


def table_problem(text: str) -> str | None:
    """Under which services are kept."""
    if TABLE.fullmatch(text):
        return None
    return "must be 1 to 100 letters, digits, dots, - or _, and not begin with a dot"


def mode_problem(text: str) -> str | None:
    """What decides which service gets a request."""
    return None if text.lower() in ("host", "path") else "must be host or path"


def path_predicate_problem(text: str) -> str | None:
    """A path, with or without its first slash."""
    return path_problem(f"/{text.lstrip('/')}")


def ip_problem(text: str) -> str | None:
    """Where a container is."""
    if split_ip(text) is None:
        return "must be an IP address, or one with a port: 10.0.0.1, 10.0.0.1:80, [fd00::1]:80"
    return None


def split_ip(text: str) -> tuple[str, int | None] | None:
    """
    ``10.0.0.1``, ``10.0.0.1:80``, ``fd00::1`` and ``[fd00::1]:80`` as host and port, the host in
    brackets where it has colons; None: it is none of them.
    """
    if host := _host(text):
        return host, None
    before, colon, port = text.rpartition(":")
    host = _host(before)
    # The last group of an IPv6 address without brackets is no port.
    if not colon or not host or not is_port(port) or (":" in before and before[0] != "["):
        return None
    return host, int(port)


def _host(text: str) -> str:
    is_bracketed = text.startswith("[") and text.endswith("]")
    bare = text[1:-1] if is_bracketed else text
    try:
        ip = ip_address(bare)
    except ValueError:
        return ""
    is_odd = "%" in bare or ip.is_unspecified or ip.is_multicast
    return "" if is_odd or (is_bracketed and ip.version == 4) else bracketed(bare)


def is_port(text: str) -> bool:
    """1..65535."""
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535


def requests(mode: str, predicate: str) -> str:
    """The same for predicates that ask for the same requests."""
    return predicate.rstrip("/") if mode == "path" else predicate.lower().rstrip(".")
