"""
Who comes in over TCP: so many at a time, each with one question, and with that soon.

Whoever can reach the port needs no token to hold a connection, and each takes one of the files that
the agent has for HAProxy's processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from lbctl.api.served import is_over_tcp

#: Connections at a time; more are hung up on.
MOST: Final = 256
#: From the connection to the end of the question's head, seconds.
HEAD_S: Final = 10.0
_BACKLOG: Final = 64

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_ASKED: Final[web.AppKey[set[object]]] = web.AppKey("asked", set)


def prepare(app: web.Application) -> None:
    """What *app* remembers of those who came in."""
    app[_ASKED] = set()


@web.middleware
async def one_question(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """A connection over TCP ends with its answer: nobody keeps one for nothing."""
    if not is_over_tcp(request):
        return await handler(request)
    request.app[_ASKED].add(request.protocol)
    response = await handler(request)
    response.force_close()
    return response


class GatedSite(web.BaseSite):
    """
    Args:
        host: address; None: every one.
    """

    def __init__(self, runner: web.AppRunner, host: str | None, port: int) -> None:
        super().__init__(runner)
        self._app = runner.app
        self._host = host
        self._port = port

    @property
    def name(self) -> str:
        return f"tcp:{self._host or '*'}:{self._port}"

    async def start(self) -> None:
        """
        Raises:
            OSError: the port cannot be had.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._come_in, self._host, self._port, backlog=_BACKLOG
        )
        await super().start()

    def _come_in(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= MOST:
            return _Refusal()
        one = server()
        asyncio.get_running_loop().call_later(HEAD_S, self._look, one)
        return one

    def _look(self, one: web.RequestHandler) -> None:
        asked = self._app[_ASKED]
        if one not in asked and one.transport is not None:
            one.transport.abort()
        asked.discard(one)


class _Refusal(asyncio.Protocol):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
