"""
Keys in Consul that set what lb.yaml sets: ``service/haproxy/maxconn``, ``.../timeouts/connect``.

Pure. Which values are good is for the settings' own rules to say; which keys are meant stands here.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final
from urllib.parse import quote

from lbctl.settings.keys import name_shown
from lbctl.settings.model import Timeouts

_VALUE_MAX_BYTES: Final = 64
#: Somebody else's keys may be below the prefix, by the thousand.
_PROBLEMS_MOST: Final = 20
#: A path below the prefix -> the key of lb.yaml. ``http-request`` is HAProxy's own word for it.
_KEYS: Final[Mapping[str, str]] = {"maxconn": "haproxy.maxconn"} | {
    f"timeouts/{word}": f"haproxy.timeouts.{one.name}"
    for one in fields(Timeouts)
    for word in (one.name, one.name.replace("_", "-"))
}


@dataclass(frozen=True, slots=True)
class KeysRead:
    """
    Attributes:
        settings: dotted key of lb.yaml -> text.
        problems: a sentence for each key that is not among them.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def kv_path(prefix: str) -> str:
    """Where all of them are asked for: ``service/haproxy2`` is not below ``service/haproxy``."""
    return f"/v1/kv/{quote(prefix.strip('/'))}/"


def read_keys(found: object, prefix: str) -> KeysRead:
    """
    Args:
        found: Consul's answer to a question for all keys below *prefix*; None: there are none.
        prefix: as it was asked for.
    """
    settings: dict[str, str] = {}
    problems: list[str] = []
    for entry in found if isinstance(found, list) else ():
        key = _text(entry, "Key")
        below = key.removeprefix(prefix.strip("/") + "/")
        if not below or below.endswith("/"):
            continue  # a folder, as Consul's page makes them
        name = _KEYS.get(below)
        value = _value(entry)
        if name is None:
            problems.append(f"key {name_shown(key)}: sets nothing; there are {_known()}")
        elif value is None:
            what = "its value is no text of one line: it is left out"
            problems.append(f"key {name_shown(key)}: {what}")
        else:
            settings[name] = value
    more = len(problems) - _PROBLEMS_MOST
    rest = [f"{more} more keys that set nothing"] if more > 0 else []
    return KeysRead(settings, (*problems[:_PROBLEMS_MOST], *rest))


def _known() -> str:
    return ", ".join(sorted(key for key in _KEYS if "_" not in key))


def _text(entry: object, name: str) -> str:
    value: Any = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""


def _value(entry: object) -> str | None:
    """As people put it there: with the end of a line, now and then."""
    try:
        raw = b64decode(_text(entry, "Value"), validate=True)
        text = raw.decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if text.isprintable() and 0 < len(raw) <= _VALUE_MAX_BYTES else None
