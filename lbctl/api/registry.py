"""
``POST /v1/registry``: what runs, and what is to be balanced over it.

Owns the size of the body, the form of the answer and who is recorded; what the payload means is
:mod:`lbctl.registry`'s.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web

from lbctl.agent.agent import Agent
from lbctl.agent.registration import Registered
from lbctl.api.commands import asker
from lbctl.api.served import AGENT, error_response, format_asked
from lbctl.errors import EXIT_USAGE
from lbctl.follow.apply import Applied
from lbctl.follow.report import held_records
from lbctl.follow.texts import HAPROXY_CFG, SERVICES_CFG, texts_of, without_token

BODY_MAX_BYTES: Final = 1 << 20


async def register(request: web.Request) -> web.Response:
    """Take it, apply it, and answer with haproxy.cfg, or with services where JSON is wanted."""
    agent = request.app[AGENT]
    wants_json = _wants_json(request)
    raw = await _body(request)
    if raw is None:
        text = f"{request.method} {request.path}: longer than {BODY_MAX_BYTES} bytes"
        return error_response(413, text, EXIT_USAGE)
    done = await agent.registration.post(raw)
    if done.applied is None:
        return web.json_response(done.answer, status=done.status)
    if done.is_news:
        by, fields = asker(agent, request)
        names = ", ".join(sorted(_names(done)))
        agent.note("discovery", f"registry: told by {by}: {names or 'no services'}", fields)
    if wants_json:
        return web.json_response({**done.answer, "apply": _applied(agent, done, done.applied)})
    remarks = "".join(f"# lbctl: {' '.join(line.split())}\n" for line in _remarks(agent, done))
    return web.Response(text=remarks + in_force(agent))


def in_force(agent: Agent) -> str:
    """haproxy.cfg as it serves; services.cfg where the operator has a haproxy.cfg of his own."""
    loaded = agent.follower.applier.loaded
    texts = texts_of(loaded)
    return without_token(texts[SERVICES_CFG]) if loaded.is_beside else texts[HAPROXY_CFG]


async def _body(request: web.Request) -> bytes | None:
    """All of it; None: it is too long, and the rest is not read."""
    found = bytearray()
    async for part in request.content.iter_any():
        found += part
        if len(found) > BODY_MAX_BYTES:
            return None
    return bytes(found)


def _wants_json(request: web.Request) -> bool:
    wanted = format_asked(request, "json", "text")
    return wanted == "json" or (
        wanted is None and "application/json" in request.headers.get("Accept", "")
    )


def _names(done: Registered) -> list[str]:
    services = done.answer.get("services") or []
    return [str(one.get("name")) for one in services if isinstance(one, dict)]


def _applied(agent: Agent, done: Registered, applied: Applied) -> dict[str, Any]:
    now = time.monotonic()
    left_out, names = agent.follower.desired.left_out, _names(done)
    return {
        "did": applied.did,
        "failure": applied.failure,
        "waits_s": None if applied.waits_for is None else max(0.0, applied.waits_for - now),
        "left_out": [
            {"service": name, "what": left_out[name].what} for name in names if name in left_out
        ],
        "held": held_records(applied.held, now),
    }


def _remarks(agent: Agent, done: Registered) -> Iterator[str]:
    """What of it is not in force, for the top of the text."""
    assert done.applied is not None
    yield from map(str, done.answer.get("problems") or ())
    said = _applied(agent, done, done.applied)
    for one in said["left_out"]:
        yield f"service {one['service']} is not served: {one['what']}"
    for held in said["held"]:
        yield f"service {held['service']} is held as it was for {held['left_s']:.0f} s more"
    if said["failure"]:
        yield f"not applied: {said['failure']}"
    elif said["waits_s"] is not None:
        yield f"not all of it serves yet: a reload follows in {said['waits_s']:.0f} s"
