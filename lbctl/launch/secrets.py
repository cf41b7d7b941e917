"""
Files with secrets that lb.yaml names for what is asked over a network: tokens, certificates, keys.

Read by whoever may read them, and judged by themselves; those who use them get the content alone.
"""

from __future__ import annotations

import re
import ssl
import stat
from collections.abc import Iterator, Mapping
from functools import partial, reduce
from pathlib import Path
from typing import Any, Final

from lbctl.discovery.url import load_pair
from lbctl.errors import Problem, ValidationError
from lbctl.files import read_bounded
from lbctl.launch.collect import Collector
from lbctl.settings.model import Settings

_CONSUL: Final = "discovery.consul"
TOKENS: Final = (
    f"{_CONSUL}.token_file",
    "discovery.docker.report_to.token_file",
    "api.token_file",
)
_CA, _CERT, _KEY = (f"{_CONSUL}.{name}" for name in ("ca_file", "cert_file", "key_file"))
#: Those that nobody else may know.
_CLOSED: Final = (*TOKENS, _KEY)
#: In the order of lb.yaml.
SECRETS: Final = (TOKENS[0], _CA, _CERT, _KEY, *TOKENS[1:])

#: It goes into a header: what may stand there without being quoted (RFC 9110, 5.5).
_TOKEN: Final = re.compile(rb"[\x21-\x7e]+")
_FILE_MAX_BYTES: Final = 1 << 20


def read_secrets(settings: Settings) -> dict[str, bytes]:
    """
    What they hold, by key, without the newline at the end.

    Raises:
        ValidationError: with every problem, by key.
    """
    collector = Collector()
    found: dict[str, bytes] = {}
    for key in SECRETS:
        path = _named(settings, key)
        content = None if path is None else collector.attempt(partial(_read, key, path))
        if content is not None:
            found[key] = content
    collector.raise_if_any()
    collector.add(_problems(settings, found))
    collector.raise_if_any()
    return found


def secret_warnings(settings: Settings) -> Iterator[str]:
    """Files that every user of this host may read."""
    for key in _CLOSED:
        path = _named(settings, key)
        try:
            is_open = path is not None and Path(path).stat().st_mode & stat.S_IROTH
        except OSError:
            continue
        if is_open:
            yield f"{key}: {path}: every user of this host may read it: chmod o-r {path}"


def _named(settings: Settings, key: str) -> str | None:
    """The path that stands in lb.yaml."""
    found: Any = reduce(getattr, key.split("."), settings)
    return None if found is None else str(found)


def _read(key: str, path: str) -> bytes:
    try:
        content = read_bounded(Path(path), _FILE_MAX_BYTES)
    except IsADirectoryError as error:
        what = f"{path}: it is a directory; a file to mount that is missing becomes one"
        raise ValidationError([Problem(key, what)]) from error
    except OSError as error:
        what = f"{path}: cannot be read: {error.strerror}"
        raise ValidationError([Problem(key, what)]) from error
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    if not content.strip():
        raise ValidationError([Problem(key, f"{path}: it is empty")])
    return content


def _problems(settings: Settings, found: Mapping[str, bytes]) -> Iterator[Problem]:
    for key in TOKENS:
        if key in found and not _TOKEN.fullmatch(found[key]):
            what = "must hold the token alone: one line of letters, digits and signs, no blanks"
            yield Problem(key, f"{_named(settings, key)}: {what}")
    if _CA in found and (what := _ca_problem(found[_CA])):
        yield Problem(_CA, f"{_named(settings, _CA)}: holds no certificate: {what}")
    if _CERT in found and (what := _pair_problem(found[_CERT], found.get(_KEY))):
        where = f" with {_named(settings, _KEY)}" if _KEY in found else ""
        yield Problem(_CERT, f"{_named(settings, _CERT)}{where}: no certificate and key: {what}")


def _ca_problem(pem: bytes) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        return _said(error)
    return ""


def _pair_problem(certificate: bytes, key: bytes | None) -> str:
    try:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    except (ssl.SSLError, OSError, ValueError) as error:
        return _said(error)
    return ""


def _said(error: Exception) -> str:
    """OpenSSL's words, without the line of Python's that said them."""
    return re.sub(r" \(_ssl\.c:[0-9]+\)", "", str(error))
