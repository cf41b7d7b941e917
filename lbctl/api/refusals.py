"""
What becomes of those who are refused: counted by reason, and told what was wanted.

The first of each reason is a line of the log with its address, and then one in ten minutes: whoever
asks a thousand times fills no log.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Final

from aiohttp import web

from lbctl.api.access_origin import is_navigation
from lbctl.api.access_page import page
from lbctl.api.served import error_response
from lbctl.errors import EXIT_USAGE

log = logging.getLogger(__name__)

FORM: Final = "application/x-www-form-urlencoded"
#: By reason, since the agent started; every reason is there from the beginning.
REFUSED: Final[web.AppKey[dict[str, int]]] = web.AppKey("refused", dict)

#: By reason, when it was last logged, monotonic seconds.
_LOGGED: Final[web.AppKey[dict[str, float]]] = web.AppKey("refusals logged", dict)
_LOGGED_EVERY_S: Final = 600.0
_LOGGED_CHARS: Final = 200

#: none: no token; token: none of the tokens; tries: too many wrong ones; right: a read token where
#: something is changed; rate; host: a name that is not this API's; origin: the page of another;
#: form: one that this API did not give out; streams, crowd: no room; slow: a question without an
#: end; malformed: no HTTP; tls: no TLS.
REASONS: Final = (
    "none", "token", "tries", "right", "rate", "host", "origin", "form", "streams", "crowd",
    "slow", "malformed", "tls",
)  # fmt: skip


class RefusedError(Exception):
    """
    Not to be answered.

    Args:
        status: of HTTP.
        why: one of :data:`REASONS`.
        what: what is wanted, for the end of a sentence about the request.
        wait_s: when to come again, seconds; 0: nothing is said of it.
    """

    def __init__(self, status: int, why: str, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.status = status
        self.why = why
        self.what = what
        self.wait_s = wait_s


def prepare(app: web.Application) -> None:
    app[REFUSED] = dict.fromkeys(REASONS, 0)
    app[_LOGGED] = dict.fromkeys(REASONS, float("-inf"))


def count(app: web.Application, why: str, address: object, text: str) -> None:
    """*address*: of whoever is refused."""
    app[REFUSED][why] += 1
    now = time.monotonic()
    if now - app[_LOGGED][why] < _LOGGED_EVERY_S:
        return
    app[_LOGGED][why] = now
    # A path may hold whatever somebody wants to see in the log.
    plain = text if text.isprintable() else ascii(text)
    log.info("refused (%s): %s: %s", why, address, plain[:_LOGGED_CHARS])


def answer(request: web.Request, refused: RefusedError) -> web.Response:
    """Counted; JSON for programs, a page for people."""
    text = f"{request.method} {request.path}: {refused.what}"
    count(request.app, refused.why, request.remote, text)
    if is_navigation(request.method, request.headers) or is_form(request):
        body = page("not done", text)
        response = web.Response(text=body, status=refused.status, content_type="text/html")
    else:
        response = error_response(refused.status, text, EXIT_USAGE)
    response.headers.update(headers_of(refused))
    return response


def headers_of(refused: RefusedError) -> dict[str, str]:
    """That say when to come again, or with what."""
    if refused.wait_s:
        return {"Retry-After": str(math.ceil(refused.wait_s))}
    return {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}


def is_form(request: web.Request) -> bool:
    """Whether a page's form was sent, whose answer somebody sees."""
    wants_page = "text/html" in request.headers.get("Accept", "")
    return wants_page and request.content_type == FORM
