"""``GET /v1/live``: the node as it is, and then what changes, as server-sent events."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import Final

from aiohttp import web

from lbctl.agent.viewers import Viewers
from lbctl.api.served import AGENT, event_stream

VIEWERS: Final[web.AppKey[Viewers]] = web.AppKey("viewers", Viewers)


def prepare(app: web.Application) -> None:
    """Nobody watches yet."""
    app[VIEWERS] = Viewers(app[AGENT])


async def live(request: web.Request) -> web.StreamResponse:
    """Until whoever watches goes, or does not take what is sent."""

    def hang_up() -> None:
        if request.transport is not None:
            request.transport.abort()

    async with aclosing(request.app[VIEWERS].watch(hang_up)) as news:
        # Whatever refuses it does so with a status of its own.
        first = await anext(news)
        response = await event_stream(request)
        # The reader may go at any time: that is how every stream ends.
        with suppress(ConnectionError):
            await response.write(first)
            async for one in news:
                await response.write(one)
    return response
