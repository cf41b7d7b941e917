"""
What must not leave the host, taken out of texts that are sent to others.

Pure. It goes by the places where secrets stand, and by the secrets that it was told or has found
there: the same word is then hidden wherever else it turns up. Hiding too much costs a question;
too little cannot be taken back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

from lbctl.migrate.masking import MASK, masked, secrets_in

#: From this length on a secret is hidden inside of words too.
_LONG: Final = 5
#: A found one that is shorter may be any word.
_LEARNED_MIN: Final = 6
_WORD = r"""(?:"(?:\\.|[^"\\])*"?|'[^']*'?|(?:\\.|[^\s"'\\,;{}\[\]])+)"""
_SECRET = r"(?:pass(?:w(?:or)?d|phrase)?|token|secret|api[_-]?key|private[_-]?key|credential|auth)"
_NAME = rf"[\w.-]{{0,40}}{_SECRET}[\w.-]{{0,40}}"
_FLAGS = r"(?:-m\s+\w+\s+|-i\s+|-n\s+|--\s+)*"
_HEADERS = r"(?:authorization|proxy-authorization|cookie|set-cookie|x-auth[\w-]*)"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----)(?P<secret>(?s:.*?))(?=-----END|\Z)",
        # NAME=value, NAME: value, "NAME": "value"; the name of a file is none
        rf"(\b(?!{_NAME}(?:file|path|dir)\b){_NAME}[\"']?\s*[:=]\s*)(?P<secret>{_WORD})",
        # --password value, [--token, value], -u user:password
        rf"(--?{_NAME}[\"']?(?:\s*[,=]\s*|\s+)(?:-\s+)?)(?P<secret>{_WORD})",
        rf"((?:\s|[\"'])(?:-u|--user)[\"']?(?:\s*[,=]\s*|\s+)(?:-\s+)?[\"']?[^\s:\"']+:)(?P<secret>{_WORD})",
        # HAProxy: set-header Authorization ..., setenv NAME ..., keys of converters, conditions
        rf"((?:_|-|\b)(?:header|hdr|param)\s+(?:{_HEADERS}|{_NAME})\s+)(?P<secret>{_WORD})",
        rf"(\b(?:pre)?setenv\s+\S+\s+)(?P<secret>{_WORD})",
        rf"(\bdynamic-cookie-key\s+)(?P<secret>{_WORD})",
        r"(\b(?:jwt_verify|hmac|aes_gcm_(?:enc|dec))\([^,)\n]*,\s*)(?P<secret>[^)\n]+)",
        rf"(\bset-var(?:-fmt)?\([^)\n]*{_SECRET}[^)\n]*\)\s+)(?P<secret>.+)$",
        rf"(\w\((?:{_HEADERS}|{_NAME})[^)\n]*\)\S*\s+{_FLAGS})(?P<secret>[^}}\n]+)",
        rf"(\bhttp_auth_(?:pass|bearer)\S*\s+{_FLAGS})(?P<secret>[^}}\n]+)",
        # nginx: set $token ..., conditions, secure links
        rf"(\bset\s+\$\w*{_SECRET}\w*\s+)(?P<secret>{_WORD})",
        rf"(\$(?:http|arg|cookie)_\w*{_SECRET}\w*[\"']?\s*!?[=~]\*?\s*)(?P<secret>{_WORD})",
        rf"(\bsecure_link_(?:secret|md5)\s+)(?P<secret>{_WORD})",
        # htpasswd, a token that carries its own signature, URLs
        r"^([\w.@-]+:)(?P<secret>(?:\$\w+\$|\{\w+\})\S+)",
        r"(\b)(?P<secret>eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)",
        r"(://[^/\s:@\"']+:)(?P<secret>[^\s\"']+)(?=@)",
        r"(\bhooks\.[\w.]+/\w+/)(?P<secret>[^\s\"']+)",
    )
)
_MAP = re.compile(rf"(\bmap\s+\S*{_SECRET}\S*\s+\S+\s*\{{)([^}}]*)", re.IGNORECASE)
_MAP_LINE = re.compile(rf"^(\s*)(?!default\b|hostnames\b|include\b){_WORD}", re.MULTILINE)
_YAML_HEADERS = re.compile(r"^([ \t]*(?:-[ \t]+)?headers:[ \t]*)(\{[^}]*\})?", re.MULTILINE)
_YAML_PAIR = re.compile(rf"([\"']?(?P<name>[\w-]+)[\"']?\s*:\s*)(?P<secret>{_WORD})")
_HARMLESS_HEADERS: Final = {"host", "user-agent", "accept", "connection"}
_KEY = re.compile(rf"{_SECRET}|{_HEADERS}", re.IGNORECASE)
_HARMLESS_KEY = re.compile(r"(?:file|path|dir)$", re.IGNORECASE)


class Masker:
    """
    Hides secrets in texts.

    Args:
        known: secrets, hidden wherever they stand; one of a few letters only as a whole word.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        for secret in known:
            self._add(secret)

    def learn(self, text: str) -> None:
        """Take in what stands where secrets stand, so that it is hidden in other texts too."""
        for found in (*secrets_in(text), *_found(text)):
            secret = found.strip("\"';, \t")
            if len(secret) >= _LEARNED_MIN and not re.search(r"\s", secret) and secret != MASK:
                self._add(secret)

    def text(self, text: str) -> str:
        """*text* without secrets."""
        text = self._without_known(text)
        text = _YAML_HEADERS.sub(_flow_headers, _block_headers(text))
        text = _MAP.sub(lambda found: found[1] + _MAP_LINE.sub(rf"\1{MASK}", found[2]), text)
        for pattern in _PATTERNS:
            text = pattern.sub(_mask, text)
        return masked(text)

    def value(self, value: Any) -> Any:
        """The same for what JSON holds: by the names of keys, and in each text."""
        if isinstance(value, dict):
            return {self.text(str(key)): self._of(str(key), one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return self._list(list(value))
        if isinstance(value, str):
            return self.text(value)
        return MASK if str(value) in self._known else value

    def json(self, text: str) -> str:
        """A text that is JSON, or was meant to be."""
        try:
            value = json.loads(text)
        except ValueError:
            return self.text(text)
        return json.dumps(self.value(value), indent=1) + "\n"

    def _of(self, key: str, value: Any) -> Any:
        if key == "headers":
            return _headers(value)
        is_secret = _KEY.search(key) and not _HARMLESS_KEY.search(key)
        # A flag or a count is none; what is in an object has names of its own.
        return MASK if is_secret and isinstance(value, str) and value else self.value(value)

    def _list(self, items: list[Any]) -> list[Any]:
        told = []
        before = ""
        for item in items:
            follows = before.startswith("-") and _KEY.search(before) and isinstance(item, str)
            told.append(MASK if follows else self.value(item))
            before = item if isinstance(item, str) and "=" not in item else ""
        return told

    def _add(self, secret: str) -> None:
        if secret:
            self._known |= {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}

    def _without_known(self, text: str) -> str:
        for secret in sorted(self._known, key=len, reverse=True):
            if len(secret) >= _LONG:
                text = text.replace(secret, MASK)
            else:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
        return text


def _found(text: str) -> Iterator[str]:
    for pattern in _PATTERNS:
        for found in pattern.finditer(text):
            yield found["secret"]


def _mask(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}"


def _headers(value: Any) -> Any:
    """Of an HTTP request: an object, or pairs."""
    if isinstance(value, dict):
        return {name: _header(name, one) for name, one in value.items()}
    if isinstance(value, list):
        return [
            [pair[0], _header(str(pair[0]), pair[1])]
            if isinstance(pair, list) and len(pair) == 2
            else MASK
            for pair in value
        ]
    return MASK


def _header(name: str, value: Any) -> Any:
    return value if name.lower() in _HARMLESS_HEADERS else MASK


def _yaml_pair(found: re.Match[str]) -> str:
    return found[0] if found["name"].lower() in _HARMLESS_HEADERS else _mask(found)


def _flow_headers(found: re.Match[str]) -> str:
    return found[1] + _YAML_PAIR.sub(_yaml_pair, found[2] or "")


def _block_headers(text: str) -> str:
    lines = []
    depth: int | None = None
    for line in text.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip(" \t-"))
        if depth is not None and line.strip() and indent <= depth:
            depth = None
        lines.append(line if depth is None else _YAML_PAIR.sub(_yaml_pair, line))
        if re.match(r"[ \t]*(?:-[ \t]+)?headers:\s*(?:#.*)?$", line):
            depth = indent
    return "".join(lines)
