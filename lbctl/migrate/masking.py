"""What must not be shown, in texts for people. The written file keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lbctl.migrate.words import VARIABLE

MASK: Final = "***"

#: A word as it is written, quotes and escapes included.
_WORD = r"""(?:"(?:\\.|[^"\\])*"?|'[^']*'?|\\.|[^\s"'\\])+"""
#: The same, up to the end of a header in a check's text.
_VALUE = r"""(?:"(?:\\.|[^"\\])*"?|'[^']*'?|(?:\\[^rn]|[^\s"'\\}])+)"""
#: What headers and parameters with a secret are called.
_NAME = r"\b[\w-]{0,40}(?:key|token|secret|passw(?:or)?d|x-auth)[\w-]{0,40}"
_SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # stats auth USER:PASSWORD
        rf"(\bstats\s+auth\s+)(?P<login>{_WORD})",
        # user NAME password HASH, user NAME insecure-password PASSWORD, set-param auth password
        rf"(\b(?:insecure-)?password\s+)(?P<secret>{_WORD})",
        # No word may end before it: "\r\nAuthorization".
        r"(authorization\b.{0,20}?\b(?:basic|bearer|digest)(?:\\?\s)+)(?P<secret>[^\s\"']+)",
        # redis: tcp-check send AUTH\ PASSWORD\r\n
        r"((?-i:\bAUTH)(?:\\?\s)+)(?P<secret>(?:\\[^rn]|[^\s\"'\\])+)",
        rf"(\bcluster-secret\s+)(?P<secret>{_WORD})",
        # reqadd X-Api-Key:\ KEY, and ?token=TOKEN; the name of a file is none
        rf"({_NAME}(?<!_file)(?:=|:(?:\\?\s)*))(?P<secret>{_VALUE})",
        # http-request set-header X-Api-Key KEY, http-check send hdr X-Api-Key KEY
        rf"((?:-header|\bhdr)\s+{_NAME}\s+)(?P<secret>{_VALUE})",
        # acl known req.hdr(X-Api-Key) -m str KEY
        rf"((?:hdr|url_param|urlp|cook|cookie)\({_NAME}[^)]{{0,9}}\)\s+(?:-m\s+\w+\s+|-i\s+)*)(?P<secret>(?!-){_VALUE})",
        # http://user:password@host
        r"(://[^/\s:@]+:)(?P<secret>[^@\s/]+)(?=@)",
    )
)


def masked(text: str) -> str:
    """*text*, one or more lines of a configuration, without passwords; comments count too."""
    for pattern in _SECRETS:
        text = pattern.sub(_mask, text)
    return text


def secrets_in(text: str) -> Iterator[str]:
    """What :func:`masked` would hide, as it is written there."""
    for pattern in _SECRETS:
        for found in pattern.finditer(text):
            groups = found.groupdict()
            login = groups.get("login")
            yield login.partition(":")[2] if login else groups.get("secret") or ""


def printable(text: str) -> str:
    """*text* as a terminal may have it: no control character, no byte that is not UTF-8."""
    clean = (
        text.replace(VARIABLE, "$").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    )
    return "".join(
        sign if sign.isprintable() or sign == "\t" else f"\\x{ord(sign):02x}" for sign in clean
    )


def _mask(found: re.Match[str]) -> str:
    groups = found.groupdict()
    if groups.get("login") is None:
        return f"{found[1]}{MASK}"
    user, colon, _ = groups["login"].partition(":")
    return f"{found[1]}{user}:{MASK}" if colon else f"{found[1]}{MASK}"
