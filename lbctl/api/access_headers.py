"""
What every answer says to browsers: nothing of it is to be guessed at, framed, kept, or asked for by
the pages of others; what it loads comes from here.

No Strict-Transport-Security: it holds for every port of a host's name, and would keep a browser
from what HAProxy serves there without TLS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Without any a browser says that a form of ours is from nowhere (``Origin: null``).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def harden(response: web.StreamResponse) -> None:
    """Before its headers are sent; a ``Cache-Control`` that it has stays."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    # Its version, and Python's, are nobody's to know.
    response.headers["Server"] = "lbctl"


async def on_prepare(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """For ``on_response_prepare``: every answer, streams too."""
    harden(response)
    # Where it counts for nothing, over plain HTTP, browsers call it an error.
    if request.secure or request.host.partition(":")[0] == "localhost":
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
