"""
The operator's files, read: his configuration of HAProxy, certificates, the statistics' password,
and what is secret between this host and the sources of services.

Each is read once, and everything is judged, rendered and handed on from here, so that a file that
changes meanwhile is either in all of it or in nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lbctl.errors import Problem, RenderError, ValidationError
from lbctl.files import read_bounded
from lbctl.follow.generation import OperatorSource
from lbctl.launch.collect import Collector
from lbctl.launch.secrets import read_secrets
from lbctl.layout import ConfigDir
from lbctl.settings.model import Settings

#: Of any one file.
_FILE_MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Inputs:
    """
    Attributes:
        source: the operator's own configuration of HAProxy; None: it is generated.
        certs: PEM by file name.
        password: of the statistics' listeners; None: none is asked for.
        secrets: see :mod:`lbctl.launch.secrets`.
    """

    source: OperatorSource | None = None
    certs: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    password: str | None = field(default=None, repr=False)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def read_inputs(config: ConfigDir, settings: Settings) -> Inputs:
    """
    Read everything.

    Raises:
        ValidationError: with every problem.
    """
    collector = Collector()
    source = collector.attempt(lambda: (_read_source(config),))
    certs = collector.attempt(lambda: read_certs(config))
    password = collector.attempt(lambda: (read_stats_password(settings),))
    secrets = collector.attempt(lambda: read_secrets(settings))
    collector.raise_if_any()
    assert source is not None
    assert certs is not None
    assert password is not None
    assert secrets is not None
    return Inputs(source[0], certs, password[0], secrets)


def read_certs(config: ConfigDir) -> dict[str, bytes]:
    """
    What ``certs/*.pem`` hold, by name.

    Raises:
        ValidationError: one cannot be read.
    """
    try:
        paths = sorted(config.certs.glob("*.pem"))
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise ValidationError([Problem(str(config.certs), what)]) from error
    return {path.name: _read(path) for path in paths}


def read_stats_password(settings: Settings) -> str | None:
    """
    The password of the stats listeners, without its trailing newline; None: none is asked for.

    Raises:
        ValidationError: its file cannot be read.
    """
    name = settings.haproxy.stats.password_file
    if name is None:
        return None
    try:
        return _read(Path(name)).decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise RenderError([Problem(name, "the stats password is not UTF-8")]) from error


def _read_source(config: ConfigDir) -> OperatorSource | None:
    own, template = config.haproxy_cfg, config.haproxy_template
    has_own, has_template = _exists(own), _exists(template)
    if has_own and has_template:
        what = f"there is also {template.name}, and only one of them can run: remove one"
        raise ValidationError([Problem(str(own), what)])
    if has_own:
        return OperatorSource("cfg", str(own), {own.name: _text(own)})
    if not has_template:
        return None
    # A template may include its neighbours.
    others = (path for path in config.root.glob("*.j2") if path != template and path.is_file())
    paths = (template, *sorted(others))
    return OperatorSource("template", str(template), {path.name: _text(path) for path in paths})


def _text(path: Path) -> str:
    return _read(path).decode("utf-8", "surrogateescape")


def _exists(path: Path) -> bool:
    """A link that leads nowhere counts: it is meant to be there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ValidationError([Problem(str(path), f"cannot be read: {error.strerror}")]) from error
    return True


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, _FILE_MAX_BYTES)
    except IsADirectoryError as error:
        what = "it is a directory; a file to mount that is missing becomes one"
        raise ValidationError([Problem(str(path), what)]) from error
    except OSError as error:
        raise ValidationError([Problem(str(path), f"cannot be read: {error.strerror}")]) from error
