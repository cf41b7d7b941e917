"""
What may become a word of HAProxy's configuration, and how it is written.

Pure. Whoever named a service may be a stranger: a text is quoted, or it must be of a form that
cannot be read as anything else. What is neither raises :class:`UnfitError`, and its service is left
out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Final

from lbctl.model.address import is_ipv4, split_address

#: HAProxy takes 64 words a line.
WORDS_A_LINE: Final = 40
_SHOWN_MAX: Final = 80
_PATH_MAX: Final = 2000

TIME = re.compile(r"[0-9]{1,10}(?:us|ms|s|m|h|d)?")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
HEADER = re.compile(r"[A-Za-z0-9_-]{1,100}")
#: A host of a route or a check: names, IPv4, IPv6 in brackets.
HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_-]{1,63})*|\[[0-9a-f:.]{2,45}\])")
STATUSES = re.compile(r"[1-5][0-9]{2}(?:-[1-5][0-9]{2})?(?:,[1-5][0-9]{2}(?:-[1-5][0-9]{2})?)*")
#: Printable ASCII but for # and ?, which end a path.
_PATH = re.compile(r"/[!-\"$->@-~]*")
_ESCAPES: Final = str.maketrans({character: f"\\{character}" for character in '\\"$'})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_IPV6 = re.compile(r"(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]{1,45}\]):([0-9]{1,5})")
_PORT = re.compile(r"[0-9]{1,5}")
_NAMED = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,252}):([0-9]{1,5})")
#: RFC 2782: ``_service._proto.name``.
_SRV = re.compile(r"_[A-Za-z0-9-]{1,63}\._[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,16}")
_SRV_MAX = 253
_PORT_MAX = 65535


class UnfitError(ValueError):
    """A text that HAProxy cannot be given; says which and why, in one line."""


def quote(text: str) -> str:
    """
    *text* as one word of a HAProxy configuration.

    Raises:
        ValueError: it has a control character, which no quoting carries; *text* is not repeated.

    Source: HAProxy doc/configuration.txt, 2.2 "Quoting and escaping".
    """
    if _CONTROL.search(text):
        message = "control characters cannot be quoted in a HAProxy configuration"
        raise ValueError(message)
    return f'"{text.translate(_ESCAPES)}"'


def quote_format(text: str) -> str:
    """The same where HAProxy reads a log-format: nothing of *text* is looked up."""
    return quote(text.replace("%", "%%"))


def shown(text: str) -> str:
    """*text* in a comment or a message: one line of ASCII, and not long."""
    said = json.dumps(text[:_SHOWN_MAX], ensure_ascii=True)[1:-1].replace("\x7f", "\\u007f")
    return f"'{said}{'...' if len(text) > _SHOWN_MAX else ''}'"


def fit(shape: re.Pattern[str], text: str, what: str) -> str:
    """
    *text*, which is all of *shape*.

    Raises:
        UnfitError: it is not.
    """
    if shape.fullmatch(text) is None:
        message = f"{what} {shown(text)}: HAProxy cannot be given it"
        raise UnfitError(message)
    return text


def path_word(path: str) -> str:
    """
    A path as requests have it: what is not printable ASCII is %-encoded.

    Raises:
        UnfitError: it is none.
    """
    encoded = path
    if not _PATH.fullmatch(path):
        encoded = "".join(
            one if " " < one <= "~" else "".join(f"%{byte:02X}" for byte in one.encode())
            for one in _known(path)
        )
    if not _PATH.fullmatch(encoded):
        message = f"path {shown(path)}: it must begin with / and have no ? or #"
        raise UnfitError(message)
    if len(encoded) > _PATH_MAX:
        message = f"path {shown(path)}: longer than {_PATH_MAX} characters"
        raise UnfitError(message)
    return encoded


def address_word(address: str) -> tuple[str, bool]:
    """
    ``10.0.0.1:80``, ``[fd00::1]:80`` or ``db.example.com:5432``, and whether it is a name.

    Raises:
        UnfitError: it is none of them: HAProxy would take ``unix@`` or ``$VARIABLE`` as well.
    """
    host, _, port = address.rpartition(":")
    if is_ipv4(host) and _PORT.fullmatch(port) and 1 <= int(port) <= _PORT_MAX:
        return address, False
    found = _IPV6.fullmatch(address)
    is_ip = found is not None and split_address(address) is not None
    found = found if is_ip else _NAMED.fullmatch(address)
    if found is None or not 1 <= int(found[2]) <= _PORT_MAX:
        message = f"address {shown(address)}: not an address or a name with a port"
        raise UnfitError(message)
    return address, not is_ip


def is_srv(name: str) -> bool:
    """``_http._tcp.web.service.consul``: HAProxy asks for SRV records where a name begins so."""
    return len(name) <= _SRV_MAX and _SRV.fullmatch(name) is not None


def network_words(networks: Iterable[str]) -> Iterator[str]:
    """
    Networks as words, so many to a line as HAProxy takes.

    Raises:
        UnfitError: one is none.
    """
    words = []
    for network in networks:
        try:
            words.append(str(ip_network(network, strict=False)))
        except ValueError as error:
            message = f"network {shown(network)}: not an address or a network"
            raise UnfitError(message) from error
    return chunks(words)


def chunks(words: list[str]) -> Iterator[str]:
    """Words by the line."""
    for start in range(0, len(words), WORDS_A_LINE):
        yield " ".join(words[start : start + WORDS_A_LINE])


def seconds(length_s: float) -> str:
    """A length in seconds as HAProxy writes it: ``2s``, ``500ms``."""
    return f"{length_s:.0f}s" if length_s == int(length_s) else f"{round(length_s * 1000)}ms"


def _known(text: str) -> str:
    if _CONTROL.search(text):
        message = f"path {shown(text)}: it has control characters"
        raise UnfitError(message)
    return text
