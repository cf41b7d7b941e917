"""
What the agent may ask of the program ``discovery``, over a Unix socket of their user alone.

``GET /watch``: JSON lines, for ever (:mod:`lbctl.discovery.wire`); ``GET /states``: how the sources
stand; ``POST /registry``: a payload. Owns routes, status codes and JSON, and decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

from aiohttp import web

from lbctl import serving
from lbctl.discovery.hub import Hub
from lbctl.discovery.state import state_to_plain
from lbctl.discovery.wire import Sender
from lbctl.errors import ConfigError, ProviderError
from lbctl.registry.answer import Answered, answered, refused
from lbctl.registry.registry import Registry

log = logging.getLogger(__name__)

#: So often at least a listener hears that this program lives, seconds.
BEAT_S: Final = 15.0
#: More than the registry takes, so that it is the one to say no.
BODY_MAX_BYTES: Final = 2 << 20
#: Who may ask: their user alone.
_MODE: Final = 0o600


class Desk:
    """
    The hub, and the registry from when it is wanted.

    Args:
        made: makes the registry; raises ConfigError or ProviderError.
    """

    def __init__(self, hub: Hub, made: Callable[[], Registry]) -> None:
        self.hub = hub
        self._made = made
        self._registry: Registry | None = None

    def open_registry(self) -> Registry:
        """
        The registry, which is a source from now on.

        Raises:
            ConfigError: its store cannot be used as configured.
            ProviderError: nor as it is.
        """
        if self._registry is None:
            registry = self._made()
            self.hub.add(registry)
            self._registry = registry
        return self._registry

    async def post(self, raw: bytes) -> Answered:
        """Take a payload in; what it changes is told on before it is answered."""
        try:
            registry = self.open_registry()
        except (ConfigError, ProviderError) as error:
            return refused(error)
        found = await answered(registry, raw)
        if found.snapshot is not None:
            self.hub.put(found.snapshot)
        return found


_DESK: Final[web.AppKey[Desk]] = web.AppKey("desk", Desk)


def build(desk: Desk) -> web.Application:
    """The application around *desk*."""
    app = web.Application(client_max_size=BODY_MAX_BYTES)
    app[_DESK] = desk
    app.add_routes(
        [
            web.get("/watch", _watch),
            web.get("/states", _states),
            web.post("/registry", _post),
        ]
    )
    return app


async def serve(app: web.Application, path: Path) -> web.AppRunner:
    """
    Listen on *path*; the caller cleans the runner up.

    Raises:
        OSError: the socket cannot be made.
    """
    return await serving.serve(app, path, mode=_MODE)


async def _watch(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    sender = Sender()
    # The listener may go at any time: that is how every stream ends.
    with suppress(ConnectionError):
        async with aclosing(request.app[_DESK].hub.watch(BEAT_S)) as updates:
            async for update in updates:
                await response.write(sender.lines(update) or sender.beat())
    return response


async def _states(request: web.Request) -> web.Response:
    states = [state_to_plain(one) for one in request.app[_DESK].hub.states()]
    return web.json_response({"states": states})


async def _post(request: web.Request) -> web.Response:
    found = await request.app[_DESK].post(await request.read())
    at = {} if found.snapshot is None else {"at": found.snapshot.at}
    return web.json_response({**found.plain, **at}, status=found.status)
