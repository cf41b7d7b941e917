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
from lbctl.launch.access import access_warnings
from lbctl.launch.collect import Collector
from lbctl.settings.discovery import IN_CLUSTER, SERVICE_ACCOUNT
from lbctl.settings.model import Settings

_CONSUL: Final = "discovery.consul"
_KUBERNETES: Final = "discovery.kubernetes"
TOKENS: Final = (
    f"{_CONSUL}.token_file",
    "discovery.docker.report_to.token_file",
    f"{_KUBERNETES}.token_file",
    "api.token_file",
    "api.read_token_file",
)
_API_TLS: Final = "api.tls"
_API_CERT, _API_KEY = f"{_API_TLS}.cert_file", f"{_API_TLS}.key_file"
_TLS: Final = ("ca_file", "cert_file", "key_file")
#: Who is asked with TLS: what is in these files is judged.
_ASKED: Final = (_CONSUL, _KUBERNETES)
#: Those that nobody else may know.
_CLOSED: Final = (*TOKENS, *(f"{one}.key_file" for one in _ASKED), _API_KEY)
#: In the order of lb.yaml.
SECRETS: Final = (
    *(f"{_CONSUL}.{name}" for name in ("token_file", *_TLS)),
    TOKENS[1],
    *(f"{_KUBERNETES}.{name}" for name in ("token_file", *_TLS)),
    *TOKENS[3:],
    *(_API_CERT, _API_KEY),
)
#: Of a pod, where lb.yaml names no other: whoever starts lbctl may read them, if nobody else may.
_OF_A_POD: Final = {
    f"{_KUBERNETES}.token_file": "token",
    f"{_KUBERNETES}.ca_file": "ca.crt",
}

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
        content = (
            _of_a_pod(settings, key)
            if path is None
            else collector.attempt(partial(_read, key, path))
        )
        if content is not None:
            found[key] = content
    collector.raise_if_any()
    collector.add(_problems(settings, found))
    collector.raise_if_any()
    return found


def read_pair(settings: Settings) -> dict[str, bytes]:
    """
    The API's certificate and key alone, by key of lb.yaml; empty: without TLS.

    Raises:
        ValidationError: they cannot be used.
    """
    named = {key: path for key in (_API_CERT, _API_KEY) if (path := _named(settings, key))}
    found = {key: _read(key, path) for key, path in named.items()}
    if problems := [*_pair_problems(settings, found, _API_TLS)]:
        raise ValidationError(problems)
    return found


def secret_warnings(settings: Settings) -> Iterator[str]:
    """Files that every user of this host may read, and what they hold that is worth a thought."""
    yield from access_warnings(settings)
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


def _of_a_pod(settings: Settings, key: str) -> bytes | None:
    """None where this is none: it is looked at before it runs in one, too."""
    if settings.discovery.kubernetes.url != IN_CLUSTER or key not in _OF_A_POD:
        return None
    try:
        return _read(key, f"{SERVICE_ACCOUNT}/{_OF_A_POD[key]}")
    except ValidationError:
        return None


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
    if found.get(TOKENS[3]) is not None and found[TOKENS[3]] == found.get(TOKENS[4]):
        what = f"holds the token of {TOKENS[3]}: whoever is to look only needs one of his own"
        yield Problem(TOKENS[4], f"{_named(settings, TOKENS[4])}: {what}")
    yield from _pair_problems(settings, found, _API_TLS)
    for asked in _ASKED:
        ca = f"{asked}.ca_file"
        if ca in found and (what := _ca_problem(found[ca])):
            yield Problem(ca, f"{_named(settings, ca)}: holds no certificate: {what}")
        yield from _pair_problems(settings, found, asked)


def _pair_problems(
    settings: Settings, found: Mapping[str, bytes], section: str
) -> Iterator[Problem]:
    """*section*: that has ``cert_file`` and ``key_file``."""
    cert, key = f"{section}.cert_file", f"{section}.key_file"
    if cert in found and (what := _pair_problem(found[cert], found.get(key))):
        where = f" with {_named(settings, key)}" if key in found else ""
        of = f"{_named(settings, cert)}{where}"
        yield Problem(cert, f"{of}: no certificate and key: {what}")


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
