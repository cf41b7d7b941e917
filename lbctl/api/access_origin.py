"""
What a browser says of where a request comes from: of which name it was sent to, and of which page.
Pure.

A page of anybody's can have a browser ask whatever the browser reaches: a port that ``ssh -L``
opened above all. It cannot have it lie in ``Host``, ``Origin`` and ``Sec-Fetch-Site``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final

_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
#: What programs do not send.
_BROWSERS_OWN: Final = (
    "Origin",
    "Referer",
    "Accept-Language",
    "Cookie",
    "Upgrade-Insecure-Requests",
)
_SAME: Final = frozenset({"same-origin", "none"})


def is_browser(headers: Mapping[str, str]) -> bool:
    """Whether a browser sent these; a page may change some of them, and not all."""
    return (
        headers.get("User-Agent", "").startswith("Mozilla/")
        or any(name in headers for name in _BROWSERS_OWN)
        or any(name.lower().startswith("sec-fetch-") for name in headers)
    )


def is_strange_host(host: str, *, may_be_any_word: bool) -> bool:
    """
    Whether *host* is a name that somebody may have pointed here (DNS rebinding).

    An address and ``localhost`` are nobody's to point; what has no dot is no name on the Internet.

    Args:
        may_be_any_word: no browser asks: ``http://lbctl/`` is one way to write a Unix socket.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return bool(host) or not may_be_any_word
    name = found["name"].lower()
    if name == "localhost" or name.endswith(".localhost") or _is_address(name.strip("[]")):
        return False
    return "." in name or not may_be_any_word


def is_from_elsewhere(headers: Mapping[str, str], scheme: str, host: str) -> bool:
    """Whether a browser says that another page than one of this API's sent it."""
    if headers.get("Sec-Fetch-Site", "none").lower() not in _SAME:
        return True
    origin = headers.get("Origin")
    # Behind ``ssh -L`` and what ends TLS the scheme is the browser's alone to know.
    own = {f"{scheme}://{host}".lower(), f"https://{host}".lower()}
    return origin is not None and origin.lower() not in own


def says_from_where(headers: Mapping[str, str]) -> bool:
    """Whether it says so at all."""
    return "Origin" in headers or "Sec-Fetch-Site" in headers


def is_navigation(method: str, headers: Mapping[str, str]) -> bool:
    """Whether somebody wants to see a page."""
    wants = "text/html" in headers.get("Accept", "")
    return method in ("GET", "HEAD") and wants and "Authorization" not in headers


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
