"""
The same API on TCP: every question needs the token, but for those that load balancers ask.

Whoever has the token may do what root may over the Unix socket. It is sent as it is: beyond this
host it belongs on a network of its own, or behind TLS.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from lbctl.agent.agent import Agent
from lbctl.api.gate import GatedSite
from lbctl.api.served import AGENT, error_response, is_over_tcp
from lbctl.errors import EXIT_USAGE

log = logging.getLogger(__name__)

TOKEN_KEY: Final = "api.token_file"
_BIND_KEY: Final = "api.bind"
#: For whoever only asks whether this node serves.
FREE: Final = frozenset({"/healthz", "/readyz"})
#: Until a port that is taken is tried again, seconds.
_AGAIN_S: Final = 5.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def only_with_token(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """401, without saying what is wrong with the token."""
    if not is_over_tcp(request) or request.path in FREE or _has_token(request):
        return await handler(request)
    text = f"{request.method} {request.path}: needs the token: Authorization: Bearer TOKEN"
    refused = error_response(401, text, EXIT_USAGE)
    refused.headers["WWW-Authenticate"] = "Bearer"
    return refused


def _has_token(request: web.Request) -> bool:
    generation = request.app[AGENT].sources.generation
    token = generation.secrets.get(TOKEN_KEY, b"") if generation is not None else b""
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    found = given.strip().encode("utf-8", "surrogateescape")
    return kind.lower() == "bearer" and bool(token) and hmac.compare_digest(found, token)


async def serve_tcp(runner: web.AppRunner, agent: Agent) -> None:
    """
    Listen on ``api.bind`` as soon as the agent knows it; without it, return.

    A port that is taken is said, and tried again: the Unix socket answers all the same.
    """
    bind = (await agent.sources.configured()).settings.api.bind
    if bind is None:
        return
    host, _, port = bind.rpartition(":")
    address = host.removeprefix("[").removesuffix("]")
    while True:
        site = GatedSite(runner, None if address in ("", "*") else address, int(port))
        try:
            await site.start()
        except OSError as error:
            why = f"api.bind: {bind}: {os.strerror(error.errno) if error.errno else error}"
            what = f"{why}; the API is on its Unix socket alone, and this is tried again"
            if agent.trouble.get(_BIND_KEY) != what:
                agent.note("api", what, {"bind": bind})
            agent.trouble[_BIND_KEY] = what
            await asyncio.sleep(_AGAIN_S)
            continue
        if agent.trouble.pop(_BIND_KEY, None):
            agent.note("api", f"the API listens on {bind} as well", {"bind": bind})
        log.info("the API listens on %s", bind)
        return
