"""
Settings from process to process: exactly, without the libraries that read lb.yaml.

And which of two settings' differences only a start can bring about.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce
from typing import Any, Final

from lbctl.settings.keys import KEYS, ROOT
from lbctl.settings.model import Settings
from lbctl.settings.plain import plain
from lbctl.settings.shape import Reader

#: Sections and keys that the programs' command lines and the addresses are made of.
_AT_START: Final = (
    "user",
    "ha",
    "haproxy.processes",
    "haproxy.threads",
    "haproxy.stats",
    "haproxy.peers.hosts",
    "discovery.docker.url",
    "discovery.hosts.dnsmasq",
    "discovery.hosts.dnsmasq_port",
    "api.bind",
    "syslog",
    "log",
)


def settings_json(settings: Settings) -> str:
    """All of them in one line, for :func:`settings_from_json`."""
    return json.dumps(plain(settings), separators=(",", ":"))


def settings_from_json(text: str) -> Settings:
    """
    What :func:`settings_json` wrote. Types and bounds are looked at, the rules are not asked again.

    Raises:
        ValueError: it did not, or in another version; the first problem.
    """
    try:
        document: Any = json.loads(text)
    except RecursionError:
        document = None
    reader = Reader()
    settings = reader.record(ROOT, document, ())
    if not isinstance(settings, Settings):
        said = reader.wrong[0].says() if reader.wrong else "not even a mapping"
        message = f"no settings of this version: {said}"
        raise ValueError(message)
    return settings


def restart_keys(old: Settings, new: Settings) -> tuple[str, ...]:
    """What differs between them and takes effect with the next start alone, by dotted key."""
    return tuple(path for path in KEYS if is_at_start(path) and _get(old, path) != _get(new, path))


def keeping(old: Settings, new: Settings, keys: tuple[str, ...]) -> Settings:
    """*new* with the values of *old* for these keys."""
    for key in keys:
        new = _put(new, key.split("."), _get(old, key))
    return new


def is_at_start(path: str) -> bool:
    return any(path == one or path.startswith(f"{one}.") for one in _AT_START)


def _get(at: Any, path: str) -> Any:
    return reduce(getattr, path.split("."), at)


def _put(at: Any, names: list[str], value: object) -> Any:
    first, *rest = names
    return replace(at, **{first: _put(getattr(at, first), rest, value) if rest else value})
