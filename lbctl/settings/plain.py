"""
Settings as nested dicts, lists and scalars, for YAML, JSON and digests. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any

_MASK = "***"


def plain(section: Any) -> dict[str, object]:
    """A section as nested dicts. A field with ``metadata={"secret": True}`` is masked when set."""
    return {
        field.name: _plain(field.metadata, getattr(section, field.name))
        for field in fields(section)
    }


def plain_record(record: Any) -> dict[str, object]:
    """One mapping of a list: what differs from the defaults, since not all go with each other."""
    values: dict[str, object] = {}
    kind: Any = type(record)
    for name, default, metadata in _defaults(kind):
        value = getattr(record, name)
        if value is default or value == default:
            continue
        values[name] = value if type(value) in (str, int) else _inside(metadata, value)
    return values


def _plain(metadata: Mapping[str, object], value: object) -> object:
    if metadata.get("secret") and value is not None:
        return _MASK
    if is_dataclass(value):
        return plain(value)
    if isinstance(value, tuple):
        return [plain_record(item) if is_dataclass(item) else item for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _inside(metadata: Mapping[str, object], value: object) -> object:
    is_masked = bool(metadata.get("secret")) and value is not None
    return plain_record(value) if is_dataclass(value) and not is_masked else _plain(metadata, value)


@cache
def _defaults(record: Any) -> tuple[tuple[str, object, Mapping[str, object]], ...]:
    return tuple(
        (
            field.name,
            field.default_factory() if field.default_factory is not MISSING else field.default,
            field.metadata,
        )
        for field in fields(record)
    )
