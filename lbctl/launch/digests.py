"""
Digests of what both nodes should have alike, so that they can tell each other what differs.

They travel and stand in a file that others may read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lbctl.errors import Problem, ValidationError
from lbctl.ha.carp import Password
from lbctl.launch.fingerprint import Fingerprints, content_hash
from lbctl.launch.inputs import Inputs
from lbctl.layout import ConfigDir
from lbctl.settings.model import Settings
from lbctl.settings.plain import plain
from lbctl.spec import GroupSpec

#: What each host may have its own way; groups and vhid are told with the addresses.
_OWN = (
    ("api", "bind"),
    ("discovery", "docker", "host_address"),
    ("ha", "advskew"),
    ("ha", "drain_s"),
    ("ha", "groups"),
    ("ha", "interface"),
    ("ha", "peers"),
    ("ha", "vhid"),
    ("haproxy", "processes"),
    ("haproxy", "stats", "bind"),
)

#: Keys that came after 0.1.0. While one has its default it is left out: a host of the version
#: before has the same digest of the same lb.yaml, and an upgrade finds no difference that is none.
_LATER = (
    ("log",),
    ("discovery", "kubernetes"),
    ("api", "read_token_file"),
    ("api", "tls"),
    ("api", "rate_per_s"),
)


def digests(
    config: ConfigDir,
    settings: Settings,
    inputs: Inputs,
    groups: Sequence[GroupSpec],
    password: Password,
) -> dict[str, str]:
    """
    By part of the configuration, 12 hex digits each.

    Raises:
        ValidationError: a file cannot be read.
    """
    source = inputs.source
    # What is made of it differs with the number of processes, which is the host's own affair.
    files = source and {name: content_hash(_bytes(text)) for name, text in source.files.items()}
    parts: dict[str, object] = {
        "haproxy.cfg": files,
        "nginx.d": dict(_files(config.nginx_d)),
        "lb.yaml": _common(settings),
        "addresses": [(group.vhid, *group.addresses) for group in groups],
        "hooks.d": dict(_files(config.hooks_d)),
    }
    prints = Fingerprints(password)
    found = {name: prints.of(name, part) for name, part in parts.items()}
    return {**found, "certs": prints.of_certs(inputs.certs)}


def _common(settings: Settings) -> dict[str, Any]:
    """The settings in force without what is the host's own affair."""
    common: dict[str, Any] = plain(settings)
    for *sections, name in _OWN:
        at = common
        for section in sections:
            at = at[section]
        del at[name]
    defaults: dict[str, Any] = plain(Settings())
    for *sections, name in _LATER:
        at, usual = common, defaults
        for section in sections:
            at, usual = at[section], usual[section]
        if at[name] == usual[name]:
            del at[name]
    return common


def _files(directory: Path) -> Iterator[tuple[str, list[object]]]:
    """Every file below, by its path: what it holds, and whether it can be run."""
    try:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                is_program = bool(path.stat().st_mode & 0o111)
                yield (
                    str(path.relative_to(directory)),
                    [content_hash(path.read_bytes()), is_program],
                )
    except OSError as error:
        name = str(error.filename or directory)
        what = f"cannot be read: {error.strerror}: no digest of it can be told to the peer"
        raise ValidationError([Problem(name, what)]) from error


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
