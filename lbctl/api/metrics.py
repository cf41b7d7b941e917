"""``GET /metrics``: figures of this node, as Prometheus reads them."""

from __future__ import annotations

from aiohttp import web

from lbctl.api.served import AGENT


async def metrics(request: web.Request) -> web.Response:
    """All of them; what writes them is loaded when somebody asks for the first time."""
    # A megabyte that a node without Prometheus has no use for.
    from lbctl.api.exposition import CONTENT_TYPE, exposition

    return web.Response(body=exposition(request.app[AGENT]), headers={"Content-Type": CONTENT_TYPE})
