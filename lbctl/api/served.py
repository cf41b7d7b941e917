"""What the API's handlers find in the application that they serve, and say when it went wrong."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from lbctl.agent.agent import Agent

AGENT: Final[web.AppKey[Agent]] = web.AppKey("agent", Agent)


def is_over_tcp(request: web.BaseRequest) -> bool:
    """Whether it came in by ``api.bind``; else by the Unix socket, whose mode says who may ask."""
    end = None if request.transport is None else request.transport.get_extra_info("socket")
    return end is None or end.family != socket.AF_UNIX


def format_asked(request: web.Request, *known: str) -> str | None:
    """
    ``?format=``; None: nothing is said of it.

    Raises:
        HTTPBadRequest: it is none of *known*, or something else is asked for beside it.
    """
    if request.query.keys() - {"format"} or len(request.query) > 1:
        raise web.HTTPBadRequest(reason=f"format={'|'.join(known)} is all that may be asked for")
    wanted = request.query.get("format")
    if wanted is not None and wanted not in known:
        raise web.HTTPBadRequest(reason=f'"format" is one of {", ".join(known)}')
    return wanted


async def event_stream(request: web.Request) -> web.StreamResponse:
    """Server-sent events are about to come: what says so has gone out."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    return response


def error_response(
    status_code: int, text: str, code: int, more: Mapping[str, Any] | None = None
) -> web.Response:
    """
    Args:
        code: the exit code of the command that ends so.
        more: beside ``error`` and ``code``.
    """
    return web.json_response({"error": text, "code": code, **(more or {})}, status=status_code)
