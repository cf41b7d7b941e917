"""
The HTTP API on a Unix socket, and on TCP where it is wanted (:mod:`tcp`): questions about this
node; what changes it is in :mod:`commands`, :mod:`apply` and :mod:`registry`.

Owns routes, status codes and JSON; what is said comes from :mod:`lbctl.agent`. Errors are JSON too:
``{"error": TEXT, "code": EXIT_CODE}``. Who may ask is the socket's mode: root and its group.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from lbctl import serving
from lbctl.agent.agent import Agent
from lbctl.agent.eventlog import KEPT, Event
from lbctl.agent.status import stats, status, unready
from lbctl.agent.viewers import frame
from lbctl.agent.vipd import VipdRefusedError
from lbctl.api import access, apply, gate, live
from lbctl.api.access_login import form, login, logout
from lbctl.api.commands import handover, pause, resume
from lbctl.api.gate import one_question, with_room
from lbctl.api.metrics import metrics
from lbctl.api.metrics import prepare as prepare_metrics
from lbctl.api.names import names
from lbctl.api.openapi import openapi
from lbctl.api.page.routes import routes as page_routes
from lbctl.api.registry import register
from lbctl.api.served import AGENT, event_stream, format_asked
from lbctl.api.served import error_response as _error
from lbctl.errors import EXIT_USAGE, LbctlError, UnreachableError, UsageError
from lbctl.haproxy.table import Table

#: A comment this often finds readers that went away, seconds.
BEAT_S = 15.0
#: Who may ask: this user, and its group.
_MODE = 0o660

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(agent: Agent) -> web.Application:
    """The application around *agent*."""
    middlewares = [one_question, _errors_as_json, access.guard, with_room]
    app = web.Application(middlewares=middlewares, client_max_size=64 * 1024)
    app[AGENT] = agent
    access.prepare(app)
    gate.prepare(app)
    live.prepare(app)
    prepare_metrics(app)
    app.add_routes(
        [
            web.get("/healthz", _healthz),
            web.get("/readyz", _readyz),
            web.get(access.LOGIN, form),
            web.post(access.LOGIN, login),
            web.post(access.LOGOUT, logout),
            web.get("/v1/status", _status),
            web.get("/v1/stats", _stats),
            # Without HEAD: aiohttp would send a stream's body with it.
            web.get("/v1/events", _events, allow_head=False),
            web.get("/v1/live", live.live, allow_head=False),
            web.get("/v1/services", apply.services),
            web.get("/v1/names", names),
            web.get("/v1/openapi.json", openapi),
            web.get("/metrics", metrics, allow_head=False),
            web.post("/v1/registry", register),
            web.post("/v1/server", apply.server),
            web.post("/v1/reload", apply.reload),
            web.post("/v1/confirm", apply.confirm),
            web.post("/v1/handover", handover),
            web.post("/v1/pause", pause),
            web.post("/v1/resume", resume),
            *page_routes(),
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


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _error(error.status, f"{request.method} {request.path}: {error.reason}", EXIT_USAGE)
    except VipdRefusedError as error:
        more = {"report": dict(error.report)} if error.report else {}
        return _error(409, str(error), error.code, more)
    except UsageError as error:
        return _error(400, str(error), error.exit_code)
    except UnreachableError as error:
        return _error(503, str(error), error.exit_code)
    except LbctlError as error:
        return _error(500, str(error), error.exit_code)


async def _healthz(_request: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _readyz(request: web.Request) -> web.Response:
    reasons = unready(request.app[AGENT])
    return web.json_response(
        {"ready": not reasons, "reasons": list(reasons)}, status=503 if reasons else 200
    )


async def _status(request: web.Request) -> web.Response:
    return web.json_response(await status(request.app[AGENT]))


async def _stats(request: web.Request) -> web.Response:
    wanted = format_asked(request, "json", "csv")
    table, errors = await stats(request.app[AGENT])
    if wanted == "csv":
        csv = await asyncio.to_thread(table.to_csv)
        return web.Response(text=csv, content_type="text/csv")
    return web.json_response(text=await asyncio.to_thread(_stats_as_json, table, errors))


def _stats_as_json(table: Table, errors: Sequence[str]) -> str:
    # Row by row: nobody else's turn comes within one call of the encoder.
    rows = ", ".join(json.dumps(row) for row in table.records())
    head = json.dumps({"columns": table.columns, "errors": errors})
    return f'{head[:-1]}, "rows": [{rows}]}}'


async def _events(request: web.Request) -> web.StreamResponse:
    log = request.app[AGENT].events
    since = _number(request, "since", request.headers.get("Last-Event-ID"))
    if "application/json" in request.headers.get("Accept", ""):
        limit = _number(request, "limit") or 0
        found = log.last(KEPT) if since is None else log.since(since)
        return web.json_response([asdict(event) for event in (found[-limit:] if limit else found)])
    if since is None:
        # A new watcher gets what comes; one that was here before gets what it missed.
        newest = log.last(1)
        since = newest[-1].id if newest else 0
    return await _stream(request, since)


async def _stream(request: web.Request, since: int) -> web.StreamResponse:
    response = await event_stream(request)
    events = request.app[AGENT].events.follow(since, beat_s=BEAT_S)
    # The reader may go at any time: that is how every stream ends.
    with suppress(ConnectionError):
        async with aclosing(events):
            await response.write(b": here\n\n")
            async for event in events:
                await response.write(_frame(event))
    return response


def _frame(event: Event | None) -> bytes:
    if event is None:
        return b": still here\n\n"
    return frame(event.kind, asdict(event), event.id)


def _number(request: web.Request, name: str, fallback: str | None = None) -> int | None:
    text: Any = request.query.get(name, fallback)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        reason = f"{name}={text!r}: must be a number, 0 or more"
        raise web.HTTPBadRequest(reason=reason)
    return int(text)
