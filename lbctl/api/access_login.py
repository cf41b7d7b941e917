"""
``/login`` and ``/logout``: a browser brings the token once, in a form, and gets a cookie for it.

The cookie is kept from scripts and from what other sites send, and sent over TLS alone where this
API speaks it. Over the Unix socket nobody has to log in.
"""

from __future__ import annotations

import re
import time
from typing import Final

from aiohttp import web

from lbctl.api import refusals
from lbctl.api.access import COOKIE, LOGIN, right_by_token, see, tokens_of
from lbctl.api.access_page import again_page, login_page
from lbctl.api.access_rate import network_of
from lbctl.api.access_tokens import SESSION_S
from lbctl.api.refusals import RefusedError
from lbctl.api.served import is_over_tcp

#: A path on this API: what browsers take for a host (``//``, ``/\``), or skip, is none.
_PATH: Final = re.compile(r"/(?!/)[\x21-\x5b\x5d-\x7e]{0,2000}")


async def form(request: web.Request) -> web.Response:
    """``GET /login``: the page with the form."""
    onward = onward_of(request.query.get("next", "/"))
    if not is_over_tcp(request):
        return see(onward)
    if request.headers.get("Sec-Fetch-Site") == "cross-site" and COOKIE not in request.cookies:
        return _html(again_page(onward))
    return _html(login_page(onward))


async def login(request: web.Request) -> web.Response:
    """``POST /login``: a cookie, and on to where somebody wanted to go."""
    try:
        # Whoever has no token yet gets no more of aiohttp than this: no parts, no files.
        fields = await request.post() if request.content_type == refusals.FORM else {}
    except (ValueError, LookupError) as error:
        raise web.HTTPBadRequest(reason="a form with the token is wanted") from error
    onward = onward_of(str(fields.get("next", "/")))
    if not is_over_tcp(request):
        return see(onward)
    try:
        right = right_by_token(request, str(fields.get("token", "")).strip())
    except RefusedError as refused:
        refused.what = "wrong token" if refused.why == "token" else refused.what
        refusals.count(request.app, refused.why, request.remote, refused.what)
        response = _html(login_page(onward, refused.what), status=refused.status)
        response.headers.update(refusals.headers_of(refused))
        return response
    network = network_of(request.remote or "")
    response = see(onward)
    response.set_cookie(
        COOKIE,
        tokens_of(request).cookie(right, network, time.time()),
        max_age=SESSION_S,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )
    return response


async def logout(request: web.Request) -> web.Response:
    """``POST /logout``: the browser forgets it."""
    response = see(LOGIN if is_over_tcp(request) else "/")
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=request.secure)
    return response


def onward_of(path: str) -> str:
    """*path* where it is one on this API, else the page."""
    is_ours = _PATH.fullmatch(path) is not None and not path.startswith(LOGIN)
    return path if is_ours else "/"


def _html(page: str, status: int = 200) -> web.Response:
    return web.Response(text=page, status=status, content_type="text/html")
