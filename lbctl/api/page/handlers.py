"""
``GET /``: the page, and a page for each service; whole without scripts, live with them.

Owns what of the node is looked at for it; how it is judged and drawn is this package's pure part.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from aiohttp import web

from lbctl.agent.eventlog import KEPT
from lbctl.agent.live import picture
from lbctl.api.apply import one_service
from lbctl.api.page.frame import HERE, KINDS, draw, frame_of, static
from lbctl.api.page.service import own_backend, own_source, service_view
from lbctl.api.page.view import Asked, overview
from lbctl.api.served import AGENT
from lbctl.follow import servers
from lbctl.follow.outlines import outlines

_QUERY_MAX: Final = 200
_YEAR_S: Final = 31_536_000
#: Numbers come by /v1/live; lines and ages of the first page are drawn again this often, seconds.
_OVERVIEW_EVERY_S: Final = 60.0
#: A service's servers are asked of HAProxy, while somebody looks, this often.
_SERVICE_EVERY_S: Final = 5.0


async def first(request: web.Request) -> web.Response:
    """``GET /``; ``?q=`` searches services, ``?p=`` is a page of them, ``?kind=`` one of events."""
    agent = request.app[AGENT]
    shown = await picture(agent)
    events = [asdict(event) for event in agent.events.last(KEPT)]
    known = outlines(agent.follower.desired, agent.follower.overrides)
    view = overview(shown, [one for one, _ in known], events, _asked(request), own_source(agent))
    frame = frame_of(
        request,
        shown,
        tone=view.verdict.tone,
        refresh_s=_OVERVIEW_EVERY_S,
    )
    return html(await draw("overview.html", frame, view=view))


async def service(request: web.Request) -> web.Response:
    """``GET /service/NAME``: its servers, and what each does."""
    agent, name = request.app[AGENT], request.match_info["name"]
    shown = await picture(agent)
    try:
        if servers.named(agent.follower, name) is not None:
            found = await one_service(agent, name)
        else:
            found = await own_backend(agent, name, shown["proxies"])
    except web.HTTPNotFound as error:
        frame = frame_of(request, shown, title="not found", tone="plain")
        return html(await draw("not_found.html", frame, why=error.reason), 404)
    view = service_view(found, shown)
    frame = frame_of(request, shown, title=view.name, tone=view.tone, refresh_s=_SERVICE_EVERY_S)
    return html(await draw("service.html", frame, view=view))


async def file(request: web.Request) -> web.Response:
    """``GET /page/app.js`` and the like."""
    name = request.match_info.get("name", "icon.svg")
    if name not in KINDS:
        raise web.HTTPNotFound
    is_of_now = f"v={request.query.get('v', '')}" == static(name).partition("?")[2]
    keep = f"public, max-age={_YEAR_S}, immutable" if is_of_now else "no-cache"
    body = (HERE / "static" / name).read_bytes()
    return web.Response(
        body=body, content_type=KINDS[name], charset="utf-8", headers={"Cache-Control": keep}
    )


def html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html")


def _asked(request: web.Request) -> Asked:
    query, number, kind = (request.query.get(key, "")[:_QUERY_MAX] for key in ("q", "p", "kind"))
    is_number = number.isascii() and number.isdecimal() and len(number) < 6
    return Asked(" ".join(query.split()), int(number) if is_number else 1, kind)
