"""
What is done from the page: forms, which end where they came from, or with the reason why not.

Who may is :mod:`lbctl.api.access`'s, which has judged each of them before; what is done is the same
as over ``/v1``.
"""

from __future__ import annotations

import re
import time
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from lbctl.agent.status import status
from lbctl.api import access
from lbctl.api.apply import set_server
from lbctl.api.commands import WHY_MAX, hand_over, move_again, stay
from lbctl.api.page.frame import draw, frame_of
from lbctl.api.page.handlers import html
from lbctl.api.page.listing import href_of
from lbctl.api.page.view import can_hand_over
from lbctl.api.served import AGENT
from lbctl.errors import LbctlError
from lbctl.glance.hosts import addresses, hosts

#: For how long a pause may be: shown, and seconds.
PAUSES: Final = (("10 minutes", 600), ("1 hour", 3600), ("4 hours", 14400), ("until resumed", 0))


async def ask_handover(request: web.Request) -> web.Response:
    """``GET /page/handover``: what will happen, and a button."""
    return await _ask(request, "handover.html")


async def ask_pause(request: web.Request) -> web.Response:
    """``GET /page/pause``: why, and for how long."""
    return await _ask(request, "pause.html")


async def handover(request: web.Request) -> web.Response:
    """``POST /page/handover``."""
    fields = await _fields(request)
    try:
        await hand_over(request, force=fields.get("force") == "yes")
    except LbctlError as error:
        return await _not_done(request, "handover", error)
    return access.see("/?did=handover")


async def pause(request: web.Request) -> web.Response:
    """``POST /page/pause``."""
    fields = await _fields(request)
    text = fields.get("for_s", "")
    for_s = int(text) if re.fullmatch("[0-9]{1,8}", text) else 0
    try:
        await stay(request, why=" ".join(fields.get("why", "").split()), for_s=for_s or None)
    except (LbctlError, web.HTTPBadRequest) as error:
        return await _not_done(request, "pause", error)
    return access.see("/?did=pause")


async def resume(request: web.Request) -> web.Response:
    """``POST /page/resume``."""
    try:
        await move_again(request)
    except LbctlError as error:
        return await _not_done(request, "resume", error)
    return access.see("/?did=resume")


async def server(request: web.Request) -> web.Response:
    """``POST /page/server``: its admin state, back to the page of its service."""
    fields = await _fields(request)
    admin, name = fields.get("admin", ""), fields.get("service", "")
    try:
        done = await set_server(request, server=fields.get("server"), admin=admin, weight=None)
    except (LbctlError, web.HTTPBadRequest) as error:
        return await _not_done(request, f"server {admin}", error, href_of(name))
    failure = done["report"]["failure"]
    if failure:
        return await _not_done(request, f"server {admin}", LbctlError(failure), href_of(name))
    return access.see(f"{href_of(name)}?{urlencode({'did': admin})}")


async def _ask(request: web.Request, template: str) -> web.Response:
    shown = await _shown(request)
    groups = hosts(shown["status"])
    frame = frame_of(
        request, shown, title="handover" if "handover" in template else "pause", tone="plain"
    )
    return html(
        await draw(
            template,
            frame,
            addresses=addresses(shown["status"]),
            groups=groups,
            can_hand_over=can_hand_over(groups),
            pauses=PAUSES,
            why_max=WHY_MAX,
        )
    )


async def _not_done(
    request: web.Request, what: str, error: Exception, back: str = "/"
) -> web.Response:
    """The reason, in the words in which the command has it."""
    why = error.reason if isinstance(error, web.HTTPException) else str(error)
    frame = frame_of(request, await _shown(request), title=f"{what}: not done", tone="bad")
    code = error.status if isinstance(error, web.HTTPException) else 409
    return html(await draw("not_done.html", frame, what=what, why=why, back=back), code)


async def _shown(request: web.Request) -> dict[str, Any]:
    return {"at": time.time(), "status": await status(request.app[AGENT])}


async def _fields(request: web.Request) -> dict[str, str]:
    """
    Of a form, as text.

    Raises:
        HTTPBadRequest: it is none.
    """
    try:
        return {key: str(value) for key, value in (await request.post()).items()}
    except (ValueError, LookupError) as error:
        raise web.HTTPBadRequest(reason="a form is wanted") from error
