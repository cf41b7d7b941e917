"""
What each source said last, on disk: a start while every source is away serves all the same.

The files are the unprivileged user's own. What is in one is judged as the source's word is: by the
rules of lb.yaml, and never trusted; one that makes no sense counts as none.
"""

from __future__ import annotations

import json
import logging
import math
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from lbctl.files import read_bounded, write_atomic
from lbctl.layout import StateDir
from lbctl.model.service import Service, Snapshot
from lbctl.settings.plain import plain_record
from lbctl.settings.services import read_services

log = logging.getLogger(__name__)

#: Of the file's own form; another one is none.
VERSION: Final = 1
#: A hundred thousand servers are less.
FILE_MAX_BYTES: Final = 64 << 20
#: What comes of JSON that is not as it should be; a number of 400 digits is no float.
GARBLED: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
_SHOWN_CHARS: Final = 200


def plain_service(service: Service) -> dict[str, object]:
    """As lb.yaml's ``services`` has it: the inverse of ``read_services``; no defaults."""
    return plain_record(service)


def write_snapshot(state: StateDir, snapshot: Snapshot) -> None:
    """
    Keep it, in place of what the source said before.

    Raises:
        OSError: the disk is full, or not to be written; the old file is untouched.
    """
    write_plain(state, snapshot, [plain_service(one) for one in snapshot.services])


def write_plain(state: StateDir, snapshot: Snapshot, services: list[Any]) -> None:
    """The same where the services are plain already."""
    text = json.dumps(
        {
            "version": VERSION,
            "source": snapshot.source,
            "at": snapshot.at,
            "services": services,
            "problems": list(snapshot.problems),
            "settings": dict(snapshot.settings),
            "names": {name: list(found) for name, found in snapshot.names.items()},
        },
        separators=(",", ":"),
    )
    state.discovery.mkdir(mode=0o700, exist_ok=True)
    write_atomic(state.snapshot(snapshot.source), text, mode=0o600)


def read_snapshot(state: StateDir, source: str) -> Snapshot | None:
    """What *source* said last; None: nothing, or nothing that makes sense, which is logged."""
    path = state.snapshot(source)
    try:
        return _snapshot(path, source)
    except FileNotFoundError:
        return None
    except OSError as error:
        what = error.strerror or str(error)
    except GARBLED as error:
        what = repr(error)[:_SHOWN_CHARS]
    log.warning("%s: %s; what %s said last is not known", path, what, source)
    return None


def read_all(state: StateDir) -> tuple[Snapshot, ...]:
    """Those of all sources that ever were, by name: the configured ones are the caller's choice."""
    try:
        sources = sorted(path.stem for path in state.discovery.glob("[a-z]*.json"))
    except OSError as error:
        log.warning("%s: %s; what was discovered is not known", state.discovery, error.strerror)
        return ()
    found = (read_snapshot(state, source) for source in sources)
    return tuple(one for one in found if one is not None)


def _snapshot(path: Path, source: str) -> Snapshot:
    raw = json.loads(read_bounded(path, FILE_MAX_BYTES))
    if raw["version"] != VERSION or raw["source"] != source:
        message = f"of {raw['source']!r}, version {raw['version']!r}"
        raise ValueError(message)
    services, bad = read_services(raw["services"], f"{source} (saved)")
    at = float(raw["at"])
    if not math.isfinite(at):
        raise ValueError(at)
    return Snapshot(
        source,
        services,
        at,
        (*_texts(raw["problems"]), *(str(one) for one in bad)),
        settings=read_texts(raw["settings"]),
        names=read_names(raw["names"]),
    )


def read_texts(plain: Any) -> dict[str, str]:
    """
    :attr:`Snapshot.settings` out of JSON.

    Raises:
        AttributeError, TypeError: it is none.
    """
    return {_text(key): _text(value) for key, value in plain.items()}


def read_names(plain: Any) -> dict[str, tuple[str, ...]]:
    """
    :attr:`Snapshot.names` out of JSON; an address goes into haproxy.cfg as it is.

    Raises:
        AttributeError, TypeError, ValueError: it is none.
    """
    return {_text(name): _addresses(found) for name, found in plain.items()}


def _addresses(plain: object) -> tuple[str, ...]:
    found = _texts(plain)
    for one in found:
        # What stands behind the % of a zone may be anything.
        if str(ip_address(one)) != one or "%" in one:
            raise ValueError(one)
    return found


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(value)
    return tuple(_text(one) for one in value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
