"""
Where a configuration logs to on this host by syslog: what an rsyslogd would have to receive.

Pure. Other hosts, streams over TCP, rings and descriptors are nobody's business here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from lbctl.haproxy.lines import Line, read

#: RFC 3164's, and what HAProxy takes where a line has none.
SYSLOG_PORT: Final = 514
_UDP: Final = frozenset({"", "udp", "udp4", "udp6", "ipv4", "ipv6"})
_SECTIONS: Final = frozenset({"global", "defaults", "frontend", "backend", "listen", "peers"})
_ADDRESS: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[^:]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*):([0-9]{1,5})"
)


def log_places(text: str) -> tuple[str, ...]:
    """
    Each place once: ``/dev/log``, ``127.0.0.1:514``, ``[::1]:514``; without those with variables.

    Args:
        text: a whole configuration.
    """
    places = (place for line in read(text) for place in _places(line))
    return tuple(dict.fromkeys(places))


def _places(line: Line) -> Iterator[str]:
    if line.keyword != "log" or len(line.words) < 2 or line.section not in _SECTIONS:
        return
    family, _, rest = line.words[1].rpartition("@")
    if "$" in rest:
        return
    if rest.startswith("/") and family in ("", "unix", "uxdg"):
        yield rest
    elif family in _UDP and (place := _loopback(rest)):
        yield place


def _loopback(text: str) -> str:
    """With its port; empty: it is none."""
    found = _ADDRESS.fullmatch(text)
    host, port = (found[1], int(found[2])) if found else (text, SYSLOG_PORT)
    host = {"localhost": "127.0.0.1"}.get(host, host.strip("[]"))
    try:
        ip = ip_address(host)
    except ValueError:
        return ""
    if not ip.is_loopback or not port:
        return ""
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
