"""
The API's commands: handover, pause and resume, as operators ask for them.

Owns their bodies and the record of who asked: the kernel knows that of a Unix socket's other end,
and of TCP there is the address, and how the right was shown.
What is done, and whether at all, is vipd's.
"""

from __future__ import annotations

import json
import pwd
import socket
import struct
from typing import Any, TypeGuard

from aiohttp import web

from lbctl.agent.agent import Agent
from lbctl.agent.vipd import VipdClient, VipdRefusedError
from lbctl.api.access import caller_of, right_of
from lbctl.api.served import AGENT, is_over_tcp
from lbctl.errors import EXIT_NOT_MASTER, VipdError
from lbctl.spec import GroupSpec

#: A planned move: draining, then waiting for the peer, seconds on top of ``drain_s``.
HANDOVER_EXTRA_S = 10.0
#: A word to vipd that it writes down, and has the other node confirm (1.5 s at most).
WORD_S = 5.0
PAUSE_MAX_S = 30 * 86400.0
WHY_MAX = 80


async def handover(request: web.Request) -> web.Response:
    """Move the addresses to the peer; ``{"force": false}``."""
    wanted = await asked(request, {"force": False})
    force = wanted["force"]
    if not isinstance(force, bool):
        raise web.HTTPBadRequest(reason='"force" is true or false')
    return web.json_response(await hand_over(request, force=force))


async def hand_over(request: web.Request, *, force: bool) -> dict[str, Any]:
    """
    The same; what vipd says of it, and who asked.

    Raises:
        VipdError: it was not done.
    """
    agent = request.app[AGENT]
    vipd, group = _vipd(agent, "handover")
    by = record(agent, request, "handover", " --force" if force else "")
    limit_s = group.drain_s + HANDOVER_EXTRA_S
    try:
        report = await vipd.handover(force=force, limit_s=limit_s)
    except VipdError as error:
        raise _recorded(agent, "handover", error) from None
    return {"report": report, "by": by}


async def pause(request: web.Request) -> web.Response:
    """The addresses are not to move; ``{"why": "", "for_s": null}``."""
    wanted = await asked(request, {"why": "", "for_s": None})
    return web.json_response(await stay(request, why=wanted["why"], for_s=wanted["for_s"]))


async def stay(request: web.Request, *, why: object, for_s: object) -> dict[str, Any]:
    """
    The same, of whatever was said.

    Raises:
        HTTPBadRequest: *why* is no line, or *for_s* no time.
        VipdError: it was not done.
    """
    agent = request.app[AGENT]
    if not isinstance(why, str) or len(why) > WHY_MAX or not why.isprintable():
        raise web.HTTPBadRequest(reason=f'"why" is one line of at most {WHY_MAX} characters')
    if for_s is not None and not _is_duration(for_s):
        raise web.HTTPBadRequest(reason=f'"for_s" is null or seconds, 1 to {PAUSE_MAX_S:.0f}')
    vipd, _ = _vipd(agent, "pause")
    long = "" if for_s is None else f" for {for_s:g} s"
    by = record(agent, request, "pause", long + (f": {why}" if why else ""))
    try:
        answer = await vipd.pause(by=by, why=why, for_s=for_s, limit_s=WORD_S)
    except VipdError as error:
        raise _recorded(agent, "pause", error) from None
    return {**answer, "by": by}


async def resume(request: web.Request) -> web.Response:
    """They may move again; no body."""
    return web.json_response(await move_again(request))


async def move_again(request: web.Request) -> dict[str, Any]:
    """
    The same.

    Raises:
        VipdError: it was not done.
    """
    agent = request.app[AGENT]
    vipd, _ = _vipd(agent, "resume")
    by = record(agent, request, "resume", "")
    try:
        answer = await vipd.resume(by=by, limit_s=WORD_S)
    except VipdError as error:
        raise _recorded(agent, "resume", error) from None
    return {**answer, "by": by}


def _vipd(agent: Agent, what: str) -> tuple[VipdClient, GroupSpec]:
    if agent.vipd is not None and agent.spec.group is not None:
        return agent.vipd, agent.spec.group
    text = f"{what}: this bundle was started without a virtual IP; there is nothing to move"
    raise VipdRefusedError(text, EXIT_NOT_MASTER)


async def asked(request: web.Request, defaults: dict[str, Any]) -> dict[str, Any]:
    """The body's keys over *defaults*; HTTP 400 for a body that is no such object."""
    wanted = f"a JSON object like {json.dumps(defaults)} is wanted"
    try:
        asked = json.loads(await request.text() or "{}")
    except (ValueError, LookupError, RecursionError) as error:
        # No JSON; in an encoding that nobody knows; nested a thousand times.
        raise web.HTTPBadRequest(reason=wanted) from error
    if not isinstance(asked, dict) or asked.keys() - defaults.keys():
        raise web.HTTPBadRequest(reason=wanted)
    return {**defaults, **asked}


def _is_duration(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 1 <= value <= PAUSE_MAX_S


def record(agent: Agent, request: web.Request, what: str, more: str) -> str:
    """Note who asked; the name, and the host it was asked on."""
    by, fields = asker(agent, request)
    agent.note("command", f"{what}{more}, asked for by {by}", {"what": what, **fields})
    return by


def asker(agent: Agent, request: web.Request) -> tuple[str, dict[str, Any]]:
    """Who asks: ``root@lb1``, ``token (write) from 10.0.0.7``; and what is recorded of him."""
    if is_over_tcp(request):
        address, caller = request.remote or "somebody", caller_of(request)
        is_page = caller is not None and caller.by == "page"
        how = "page" if is_page else f"token ({right_of(request)})"
        return f"{how} from {address}", {"address": address}
    uid, pid = _asker(request)
    return f"{_name_of(uid)}@{agent.spec.hostname}", {"uid": uid, "pid": pid}


def _recorded(agent: Agent, what: str, error: VipdError) -> VipdError:
    agent.note("command", f"{what} was not done: {error}", {"what": what})
    return error


def _asker(request: web.Request) -> tuple[int | None, int | None]:
    """uid and pid of the other end; None where the kernel does not tell."""
    end = None if request.transport is None else request.transport.get_extra_info("socket")
    if end is None:
        return None, None
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid, pid


def _name_of(uid: int | None) -> str:
    if uid is None:
        return "somebody"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
