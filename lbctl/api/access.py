"""
Who may ask what: over the Unix socket whoever may open it, over TCP who has a token, or a browser's
cookie that was given for one (:mod:`access_login`).

Owns the order of the questions. What is refused is counted and told by :mod:`refusals`; a refusal
says what is wanted, never what was wrong with a token.
"""

from __future__ import annotations

import secrets as randomness
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote

from aiohttp import web

from lbctl.api import refusals
from lbctl.api.access_headers import on_prepare
from lbctl.api.access_origin import (
    is_browser,
    is_from_elsewhere,
    is_navigation,
    is_strange_host,
    says_from_where,
)
from lbctl.api.access_rate import Pace, Tries, network_of
from lbctl.api.access_tokens import READ_KEY, WRITE_KEY, Right, Tokens, form_word
from lbctl.api.refusals import RefusedError
from lbctl.api.served import AGENT, is_over_tcp

COOKIE: Final = "lbctl"
LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
#: For whoever only asks whether this node serves.
PROBES: Final = frozenset({"/healthz", "/readyz"})
#: What the pages look like: it tells nothing of this node.
FILES: Final = frozenset(
    {"/page/style.css", "/page/app.js", "/page/icon.svg", "/page/icon-bad.svg", "/favicon.ico"}
)
#: The field of a form, and the header, with :func:`csrf_token`.
FIELD: Final = "csrf"
FIELD_HEADER: Final = "X-Lbctl-Csrf"

#: Requests at once, in seconds' worth of ``api.rate_per_s``.
BURST_S: Final = 4.0
#: Until a generation is known.
_PER_S: Final = 50.0
_LOOKS: Final = frozenset({"GET", "HEAD"})
#: Between two events about wrong tokens, seconds: whoever sends them fills no log.
_TOLD_EVERY_S: Final = 600.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Attributes:
        by: how the right was shown; ``page``: by a browser's cookie.
        session: what the forms of this browser are made for.
    """

    right: Right
    by: Literal["socket", "token", "page"]
    session: str = field(default="", repr=False)


@dataclass(slots=True)
class _Memory:
    pace: Pace = field(default_factory=Pace)
    tries: Tries = field(default_factory=Tries)
    told_at: float = float("-inf")
    key: bytes = field(default_factory=lambda: randomness.token_bytes(32), repr=False)


_MEMORY: Final[web.AppKey[_Memory]] = web.AppKey("access", _Memory)
#: Of the request that is answered: each has a task, and with it a context, of its own.
_CALLER: Final[ContextVar[Caller | None]] = ContextVar("caller", default=None)


def prepare(app: web.Application) -> None:
    """What *app* remembers of those who ask."""
    refusals.prepare(app)
    app[_MEMORY] = _Memory()
    app.on_response_prepare.append(on_prepare)


# --- for those who answer -----------------------------------------------------------------------


def right_of(request: web.Request) -> Right:
    """What whoever asks may do; of those who need no right it is to look."""
    caller = caller_of(request)
    return "read" if caller is None else caller.right


def caller_of(_request: web.Request) -> Caller | None:
    """None: nobody had to say who he is."""
    return _CALLER.get()


def csrf_token(request: web.Request) -> str:
    """For the hidden field :data:`FIELD` of a form on a page that answers *request*."""
    caller = caller_of(request)
    return "" if caller is None else _form_word(request, caller)


def may_still_look(request: web.Request) -> bool:
    """Whether what an open stream's request brought over TCP is a right by today's tokens."""
    tokens, given = tokens_of(request), _bearer(request)
    if given:
        return tokens.right_of(_bytes(given)) is not None
    network = network_of(request.remote or "")
    cookie = request.cookies.get(COOKIE, "")
    return tokens.right_of_cookie(cookie, network, time.time()) is not None


def is_static(request: web.Request) -> bool:
    """Whether it is a file that is the same for everybody."""
    return request.method in _LOOKS and request.path in FILES


# --- the guard ----------------------------------------------------------------------------------


@web.middleware
async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Lets through who may, and says to others what is wanted."""
    try:
        caller = _stranger(request) if is_over_tcp(request) else _neighbour(request)
        _CALLER.set(caller)
        await _judge_change(request, caller)
    except RefusedError as refused:
        if refused.status == 401 and is_navigation(request.method, request.headers):
            refusals.count(request.app, refused.why, request.remote, request.path)
            return see(f"{LOGIN}?next={quote(request.path_qs, safe='/')}")
        return refusals.answer(request, refused)
    return await handler(request)


def see(path: str) -> web.Response:
    """Go there, and ask by GET."""
    return web.Response(status=303, headers={"Location": path})


def tokens_of(request: web.Request) -> Tokens:
    """As the operator's files were last read."""
    generation = request.app[AGENT].sources.generation
    return Tokens() if generation is None else Tokens.of(generation.secrets)


def right_by_token(request: web.Request, given: str) -> Right:
    """
    Raises:
        RefusedError: it is no token, or too many were brought that were none.
    """
    tokens, memory = tokens_of(request), request.app[_MEMORY]
    right, network = tokens.right_of(_bytes(given)), network_of(request.remote or "")
    wait_s = memory.tries.judge(network, right is not None, time.monotonic())
    if wait_s:
        _tell(request, memory)
        what = f"too many wrong tokens from {request.remote}: asked for again in {wait_s:.0f} s"
        raise RefusedError(429, "tries", what, wait_s)
    if right is None:
        raise RefusedError(401, "token", f"needs the token: {_wanted(request)}")
    return right


def _wanted(request: web.Request) -> str:
    return "Authorization: Bearer TOKEN" if request.path != LOGIN else "this is a wrong token"


def _stranger(request: web.Request) -> Caller | None:
    """Who asks over TCP; None: nobody in particular, for what is everybody's."""
    is_free = request.path in PROBES or is_static(request)
    _judge_pace(request, is_free=is_free)
    if is_free or request.path in (LOGIN, LOGOUT):
        return None
    if given := _bearer(request):
        return Caller(right_by_token(request, given), "token")
    cookie = request.cookies.get(COOKIE, "")
    network = network_of(request.remote or "")
    right = tokens_of(request).right_of_cookie(cookie, network, time.time())
    if right is None:
        raise RefusedError(401, "none", f"needs the token: {_wanted(request)}")
    return Caller(right, "page", cookie)


def _bearer(request: web.Request) -> str:
    """The token of a program; empty: none."""
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if kind.lower() == "bearer" else ""


def _neighbour(request: web.Request) -> Caller:
    """Who asks over the Unix socket: a program of this host, or a browser through ``ssh -L``."""
    host = request.headers.get("Host", "")
    if is_strange_host(host, may_be_any_word=not is_browser(request.headers)):
        raise RefusedError(421, "host", f"Host is {host[:100]!r}: ask for localhost")
    return Caller("write", "socket", "socket")


def _judge_pace(request: web.Request, *, is_free: bool) -> None:
    """Probes have a pace of their own: whoever else comes from there does not make them fail."""
    generation = request.app[AGENT].sources.generation
    per_s = _PER_S if generation is None else generation.settings.api.rate_per_s
    who = network_of(request.remote or ""), is_free
    wait_s = request.app[_MEMORY].pace.take(who, time.monotonic(), per_s, per_s * BURST_S)
    if wait_s:
        what = f"more than {per_s:g} requests a second from {request.remote} (api.rate_per_s)"
        raise RefusedError(429, "rate", what, wait_s)


async def _judge_change(request: web.Request, caller: Caller | None) -> None:
    """Whether it may change something, and whether it is what somebody wanted to send."""
    if request.method in _LOOKS:
        return
    if caller is not None and caller.right != "write":
        raise RefusedError(403, "right", f"this token is to look only; {WRITE_KEY} has the other")
    if is_from_elsewhere(request.headers, request.scheme, request.headers.get("Host", "")):
        raise RefusedError(403, "origin", "another site's page sent it; nothing was done")
    if caller is None or caller.by == "token":
        return
    is_said = caller.by == "socket" or says_from_where(request.headers)
    if request.path.startswith("/page/") or not is_said:
        await _judge_form(request, caller)


async def _judge_form(request: web.Request, caller: Caller) -> None:
    given = request.headers.get(FIELD_HEADER, "")
    if not given and request.content_type == refusals.FORM:
        try:
            given = str((await request.post()).get(FIELD, ""))
        except (ValueError, LookupError):
            given = ""
    if not randomness.compare_digest(_bytes(given), _form_word(request, caller).encode()):
        what = "this form is not one of this page, or older than the agent: load the page again"
        raise RefusedError(403, "form", f"{what}; nothing was done")


def _form_word(request: web.Request, caller: Caller) -> str:
    """Over TCP it lives as long as the session does, over the socket as long as this process."""
    tokens = tokens_of(request)
    key = tokens.write + b"\n" + tokens.read if caller.by == "page" else request.app[_MEMORY].key
    return form_word(key, caller.session)


def _tell(request: web.Request, memory: _Memory) -> None:
    now = time.monotonic()
    if now - memory.told_at > _TOLD_EVERY_S:
        memory.told_at = now
        text = f"wrong tokens from {request.remote}: refused, one in 10 s is looked at"
        request.app[AGENT].note(
            "api", text, {"address": request.remote, "keys": [WRITE_KEY, READ_KEY]}
        )


def _bytes(text: str) -> bytes:
    """Of whatever somebody has sent: each text has its own."""
    return text.encode("utf-8", "surrogatepass")
