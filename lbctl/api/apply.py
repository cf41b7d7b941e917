"""
The API's part for services: what is followed, and the operator's word on it.

Owns the bodies, and the record of who asked; what is done is the follower's.
"""

from __future__ import annotations

import time
from typing import Any, Final, cast, get_args

from aiohttp import web

from lbctl.agent.agent import Agent
from lbctl.agent.doing import look_at
from lbctl.api.commands import asked, record
from lbctl.api.served import AGENT
from lbctl.errors import UsageError
from lbctl.follow import servers
from lbctl.model.names import backend_name
from lbctl.model.target import AS_CONFIGURED, Admin

_ADMINS: Final = frozenset(get_args(Admin))


async def services(request: web.Request) -> web.Response:
    """
    Every service with its servers, as all processes have them now.

    ``?name=``: that one alone, and what each of its servers does.
    """
    agent = request.app[AGENT]
    if "name" in request.query:
        found = [await one_service(agent, request.query["name"])]
    else:
        await agent.follower.look()
        found = servers.services(agent.follower)
    return web.json_response({"services": found, "apply": agent.follower.status()})


async def one_service(agent: Agent, name: str) -> dict[str, Any]:
    """
    A service by its name, or its backend's, as :func:`servers.services` has it.

    Each of its servers has ``traffic`` beside it: :mod:`lbctl.agent.doing`, or null.

    Raises:
        HTTPNotFound: there is none.
    """
    known = servers.named(agent.follower, name)
    if known is None:
        raise web.HTTPNotFound(reason=f"{name[:100]!r}: no such service")
    looks, doing = await look_at(agent.spec.processes, backend_name(known))
    found = servers.services(agent.follower, known, looks)
    if not found:
        raise web.HTTPNotFound(reason=f"{name[:100]!r}: no such service any more")
    for row in found[0]["servers"]:
        row["traffic"] = doing.get(row["server"])
    return found[0]


async def server(request: web.Request) -> web.Response:
    """A server's state or weight; ``{"server": "hello/a", "admin": "drain", "weight": null}``."""
    wanted = await asked(request, {"server": "", "admin": None, "weight": None})
    return web.json_response(await set_server(request, **wanted))


async def set_server(
    request: web.Request, *, server: object, admin: object, weight: object
) -> dict[str, Any]:
    """
    The same, of whatever was said; what became of it, and who asked.

    Raises:
        HTTPBadRequest: it is none of what can be said.
        UsageError: there is no such server, or no such weight.
    """
    agent, name = request.app[AGENT], server
    if not isinstance(name, str) or not name or len(name) > 1000:
        raise web.HTTPBadRequest(reason='"server" is BACKEND/SERVER')
    if admin is not None and not (isinstance(admin, str) and admin in _ADMINS):
        raise web.HTTPBadRequest(reason=f'"admin" is null or one of {", ".join(sorted(_ADMINS))}')
    is_as_configured = weight == AS_CONFIGURED
    if is_as_configured:
        weight = None
    if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int)):
        raise web.HTTPBadRequest(reason=f'"weight" is null, a number or "{AS_CONFIGURED}"')
    if not is_as_configured and admin is None and weight is None:
        raise web.HTTPBadRequest(reason='"admin" or "weight" is wanted')
    key = servers.find(agent.follower.applier.fleet, name)
    words = " ".join(filter(None, (admin, _weight_words(weight, is_as_configured))))
    by = record(agent, request, "server", f" {words} {'/'.join(key)}")
    report = await servers.set_server(
        agent.follower,
        name,
        by=by,
        at=time.time(),
        admin=cast("Admin | None", admin),
        weight=weight,
        is_as_configured=is_as_configured,
    )
    return {"report": report, "by": by}


async def reload(request: web.Request) -> web.Response:
    """Read the operator's files again; ``{"confirm": false, "force": false}``."""
    agent = request.app[AGENT]
    wanted = await asked(request, {"confirm": False, "force": False})
    if not all(isinstance(value, bool) for value in wanted.values()):
        raise web.HTTPBadRequest(reason='"confirm" and "force" are true or false')
    words = "".join(f" --{name}" for name, value in wanted.items() if value)
    by = record(agent, request, "reload", words)
    done = await agent.inputs.reload(by=by, **wanted)
    found = {**done.record(time.monotonic()), "by": by}
    if done.applied is not None:
        return web.json_response(found)
    text = "; ".join(f"{one['where']}: {one['what']}" for one in found["problems"])
    return web.json_response(
        {"error": text, "code": done.verdict.code, "report": found}, status=409
    )


async def confirm(request: web.Request) -> web.Response:
    """Let through what is held back; no body."""
    agent = request.app[AGENT]
    if not agent.follower.desired.guard.held:
        message = "confirm: nothing is held back"
        raise UsageError(message)
    by = record(agent, request, "confirm", "")
    held = agent.follower.confirm()
    return web.json_response({"held": [one.describe() for one in held], "by": by})


def _weight_words(weight: int | None, is_as_configured: bool) -> str:
    if is_as_configured:
        return "weight as configured"
    return "" if weight is None else f"weight {weight}"
