"""
``GET /metrics``: figures of this node, as Prometheus reads them.

Owns what may be asked for, and the order of the answer; HAProxy's part comes from
:mod:`lbctl.api.scraper` or :mod:`lbctl.api.promex`, lbctl's own from :mod:`lbctl.api.exposition`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import aiohttp
from aiohttp import web

from lbctl.agent.agent import Agent
from lbctl.agent.status import status
from lbctl.api.promex import NoExporterError, exported, process_asked
from lbctl.api.refusals import REFUSED
from lbctl.api.scraper import Scraper, Scrapes, Text
from lbctl.api.served import AGENT, error_response

#: Prometheus' text format; its version is what both parts keep to.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: A reader that takes longer over it has gone, seconds.
READ_S: Final = 60.0
_KNOWN: Final = frozenset({"process", "set"})

_Exposition = Callable[[Agent, Mapping[str, Any], Mapping[str, int], Scrapes], bytes]
_SCRAPER: Final[web.AppKey[Scraper]] = web.AppKey("scraper", Scraper)


def prepare(app: web.Application) -> None:
    """What *app* has for it."""
    app[_SCRAPER] = Scraper(app[AGENT].run_dir.root)
    app.on_cleanup.append(_close)


async def _close(app: web.Application) -> None:
    await app[_SCRAPER].close()


async def metrics(request: web.Request) -> web.StreamResponse:
    """HAProxy's, of all processes together, and lbctl's; ``?set=own``; ``?process=1``."""
    process, part = _asked(request)
    scraper = request.app[_SCRAPER]
    if process is not None:
        return await _passed_on(request, process)
    if part is not None:
        return _answer(await _own(request, scraper))
    if scraper.is_crowded:
        raise web.HTTPServiceUnavailable(reason="earlier answers are still being read; try again")
    text = await scraper.take()
    own = await _own(request, scraper)
    return _answer(own) if text is None else await _streamed(request, own, text)


def _asked(request: web.Request) -> tuple[str | None, str | None]:
    query = request.query
    if query.keys() - _KNOWN or len(query) > 1 or query.get("set", "own") != "own":
        raise web.HTTPBadRequest(reason="process=NUMBER or set=own is all that may be asked for")
    return query.get("process"), query.get("set")


async def _own(request: web.Request, scraper: Scraper) -> bytes:
    """Loading what writes it takes longer than a request may wait, the first time."""
    agent: Agent = request.app[AGENT]
    said = await status(agent)
    exposition = await asyncio.to_thread(_exposition)
    refused = request.app[REFUSED]
    return exposition(agent, said, refused, scraper.scrapes)


def _exposition() -> _Exposition:
    from lbctl.api.exposition import exposition

    return exposition


def _answer(body: bytes) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


async def _streamed(request: web.Request, own: bytes, text: Text) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
    response.content_length = len(own) + text.size
    await response.prepare(request)
    # The reader may go at any time; one that is cut off sees that it is.
    with suppress(ConnectionError):
        async with asyncio.timeout(READ_S):
            await response.write(own)
            for chunk in text.chunks():
                await response.write(chunk)
                # One that reads as fast as this writes would keep everybody else waiting.
                await asyncio.sleep(0)
            await response.write_eof()
    return response


async def _passed_on(request: web.Request, number: str) -> web.StreamResponse:
    agent = request.app[AGENT]
    process = process_asked(agent, number)
    response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
    try:
        async with exported(agent, process) as chunks:
            await response.prepare(request)
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
    except NoExporterError as error:
        return error_response(501, str(error), error.exit_code)
    except (aiohttp.ClientError, TimeoutError, ConnectionError):
        # Half of it must not look like all of it.
        if request.transport is not None:
            request.transport.abort()
    return response
