"""
Digests of what both nodes should have alike, so that they can tell each other what differs.

They travel and stand in a file that others may read: nothing of a file can be guessed from them
without the CARP password, and none of them helps much to guess that one, since the key is made of
it by a function that is slow on purpose.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lbctl.errors import Problem, ValidationError
from lbctl.ha.carp import Password
from lbctl.launch.configuration import Configuration, Dirs
from lbctl.settings.load import plain
from lbctl.settings.model import Settings
from lbctl.spec import GroupSpec

DIGITS = 12
_SALT = b"lbctl digest 1"
#: What each host may have its own way; groups and vhid are told with the addresses.
_OWN = (
    ("ha", "advskew"),
    ("ha", "drain_s"),
    ("ha", "groups"),
    ("ha", "interface"),
    ("ha", "peers"),
    ("ha", "vhid"),
    ("haproxy", "processes"),
    ("haproxy", "stats", "bind"),
)


def digests(
    dirs: Dirs,
    settings: Settings,
    configuration: Configuration,
    groups: Sequence[GroupSpec],
    password: Password,
) -> dict[str, str]:
    """
    By part of the configuration, 12 hex digits each.

    Raises:
        ValidationError: a file cannot be read.
    """
    text = configuration.texts[dirs.run.haproxy_cfg].replace(str(dirs.run.root), "RUN-DIR")
    certs = {path.name: _hash(pem) for path, pem in configuration.certs.items()}
    parts: dict[str, object] = {
        "haproxy.cfg": _hash(text.encode("utf-8", "surrogateescape")),
        "nginx.d": dict(_files(dirs.config.nginx_d)),
        "certs": certs,
        "lb.yaml": _common(settings),
        "addresses": [(group.vhid, *group.addresses) for group in groups],
        "hooks.d": dict(_files(dirs.config.hooks_d)),
    }
    key = hashlib.scrypt(password.reveal(), salt=_SALT, n=2**14, r=8, p=1)
    return {name: _digest(key, name, part) for name, part in parts.items()}


def _digest(key: bytes, name: str, part: object) -> str:
    text = json.dumps([name, part], sort_keys=True)
    return hmac.new(key, text.encode(), "sha256").hexdigest()[:DIGITS]


def _common(settings: Settings) -> dict[str, Any]:
    """The settings in force without what is the host's own affair."""
    common: dict[str, Any] = plain(settings)
    for *sections, name in _OWN:
        at = common
        for section in sections:
            at = at[section]
        del at[name]
    return common


def _files(directory: Path) -> Iterator[tuple[str, list[object]]]:
    """Every file below, by its path: what it holds, and whether it can be run."""
    try:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                is_program = bool(path.stat().st_mode & 0o111)
                yield str(path.relative_to(directory)), [_hash(path.read_bytes()), is_program]
    except OSError as error:
        name = str(error.filename or directory)
        what = f"cannot be read: {error.strerror}: no digest of it can be told to the peer"
        raise ValidationError([Problem(name, what)]) from error


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
