"""
Settings from environment variables and from flags: text that becomes what its key wants.

``LBCTL_HA_ADVSKEW=10`` is ``ha.advskew``. ``DEV`` and ``VHID`` are short names for two keys and
give way to the long ones. Text that fits no number stays text, for the judge to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from lbctl.settings.keys import CHILDREN, KEYS, Key, closest, name_shown, unknown_key
from lbctl.settings.layer import Entry, Finding, Given, Layer, Place

#: Short names, each for a key whose long name wins.
SHORT: Final[Mapping[str, str]] = {"DEV": "ha.interface", "VHID": "ha.vhid"}

_BY_ENV: Final = {key.env: key for key in KEYS.values()}
_PREFIXES: Final = tuple(
    f"LBCTL_{section.upper()}_" for section in CHILDREN if section and "." not in section
)
_INT: Final = re.compile(r"[+-]?[0-9]{1,20}")
_FLOAT: Final = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})")
_BOOLS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# Kubernetes sets these in every pod beside a Service named lbctl-http: not the operator's typing.
_SERVICE_LINK: Final = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)"
)
_SERVICE_URL: Final = re.compile(r"(tcp|udp|sctp)://.*")


def read_environment(environ: Mapping[str, str]) -> Layer:
    """What the variables give. An empty variable counts as not set."""
    given: list[Given] = []
    findings: list[Finding] = []
    for name in sorted(name for name, text in environ.items() if text):
        key = _BY_ENV.get(name)
        if name in SHORT and not environ.get(KEYS[SHORT[name]].env):
            key = KEYS[SHORT[name]]
        if key is not None and key.is_tree:
            findings.append(Finding(Place(name), _too_deep(key), key.path))
        elif key is not None:
            given.append(_given(key, environ[name], Place(name)))
        elif name.startswith(_PREFIXES) and not _is_service_link(name, environ[name]):
            findings.append(Finding(Place(name_shown(name)), _unknown_variable(name), name))
    return Layer(tuple(given), tuple(findings))


def _unknown_variable(name: str) -> str:
    prefix = next(prefix for prefix in _PREFIXES if name.startswith(prefix))
    siblings = [env.removeprefix(prefix) for env in _BY_ENV if env.startswith(prefix)]
    meant = closest(name.removeprefix(prefix), siblings)
    hint = f"did you mean {prefix}{meant}?" if meant else "docs/configuration.md names them all"
    return f"unknown variable; {hint}"


def read_flags(flags: Mapping[str, str]) -> Layer:
    """What the flags give, by dotted key. Empty text empties a list and a key that may be null."""
    found = tuple(_flags(flags))
    return Layer(
        given=tuple(one for one in found if isinstance(one, Given)),
        findings=tuple(one for one in found if isinstance(one, Finding)),
    )


def _flags(flags: Mapping[str, str]) -> Iterator[Given | Finding]:
    for path, text in flags.items():
        place = Place(f"--{name_shown(path)}")
        if path in KEYS and KEYS[path].is_tree:
            yield Finding(place, _too_deep(KEYS[path]), path)
        elif path in KEYS:
            yield _given(KEYS[path], text, place)
        else:
            yield Finding(place, unknown_key(path), path)


def _too_deep(key: Key) -> str:
    return f"{key.path}: cannot be given here, only in lb.yaml"


def _is_service_link(name: str, text: str) -> bool:
    return bool(_SERVICE_LINK.fullmatch(name) or _SERVICE_URL.fullmatch(text))


def _given(key: Key, text: str, place: Place) -> Given:
    pairs = [one.partition("=") for one in text.split(",")] if text.strip() else []
    if key.kind != "mapping" or not all(sign for _, sign, _ in pairs):
        return Given(key, value_of(key, text), place)
    names = {name.strip(): value.strip() for name, _, value in pairs}
    given = {name: Given(key.named(name), value, place) for name, value in names.items()}
    return Given(key, Entry(key.path, place, given), place)


def value_of(key: Key, text: str) -> object:
    """What *text* is for *key*; not judged yet."""
    stripped = text.strip()
    match key.kind:
        case "int" if _INT.fullmatch(stripped):
            return int(stripped)
        case "float" if _FLOAT.fullmatch(stripped):
            return float(stripped)
        case "list" | "records":
            return [item.strip() for item in stripped.split(",")] if stripped else []
        case "bool" if stripped.lower() in _BOOLS:
            return _BOOLS[stripped.lower()]
        case "text" | "int" if key.is_nullable and stripped in ("", "null"):
            return None
        case _:
            return stripped
