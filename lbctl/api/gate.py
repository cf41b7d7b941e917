"""
What a connection over TCP may hold: one question, and a stream only where there is room for it.

Whoever can reach the port needs no token to hold a connection (:mod:`visitors` says for how long),
and each takes one of the files that the agent has for HAProxy's processes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from lbctl.api import access, refusals
from lbctl.api.refusals import RefusedError
from lbctl.api.served import is_over_tcp
from lbctl.api.visitors import Visitor

#: Of all connections, streams that have no end: the rest is for those who only ask.
STREAMS_MOST: Final = 224
STREAMS: Final = frozenset({"/v1/events", "/v1/live"})
#: From the end of a question's head to that of its body, seconds.
BODY_S: Final = 10.0
_AGAIN_S: Final = 5.0
#: A stream whose token was replaced, or whose session is over, ends within this, seconds.
REVOKED_S: Final = 2.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OPEN: Final[web.AppKey[Counter[str]]] = web.AppKey("streams", Counter)


def prepare(app: web.Application) -> None:
    """What *app* remembers of those who came in."""
    app[_OPEN] = Counter()


@web.middleware
async def one_question(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """A connection over TCP ends with its answer: nobody keeps one for nothing."""
    if not is_over_tcp(request):
        return await handler(request)
    visitor = request.protocol
    if isinstance(visitor, Visitor):
        visitor.asked(request.content)
        if request.can_read_body:
            loop = asyncio.get_running_loop()
            loop.call_later(BODY_S, visitor.end_slow, request.content)
    response = await handler(request)
    response.force_close()
    return response


@web.middleware
async def with_room(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Streams leave room for others. Behind the guard: whoever has one has a right to it."""
    if not is_over_tcp(request) or request.path not in STREAMS:
        return await handler(request)
    streams = request.app[_OPEN]
    if streams.total() >= STREAMS_MOST:
        what = f"{STREAMS_MOST} streams are open, and no more are"
        return refusals.answer(request, RefusedError(503, "streams", what, _AGAIN_S))
    streams[request.path] += 1
    judge = asyncio.ensure_future(_end_without_right(request))
    try:
        return await handler(request)
    finally:
        judge.cancel()
        streams[request.path] -= 1


async def _end_without_right(request: web.Request) -> None:
    """A stream has no end of its own: whoever has lost his right is not to look on for days."""
    while True:
        await asyncio.sleep(REVOKED_S)
        if access.may_still_look(request):
            continue
        refusals.count(request.app, "none", request.remote, f"{request.path}: the right is over")
        if request.transport is not None:
            request.transport.abort()
        return
