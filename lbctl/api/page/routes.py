"""The page's routes."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from lbctl.api.page import actions, handlers


def routes() -> Sequence[web.RouteDef]:
    return [
        web.get("/", handlers.first),
        web.get("/service/{name:.+}", handlers.service),
        web.get("/page/handover", actions.ask_handover),
        web.post("/page/handover", actions.handover),
        web.get("/page/pause", actions.ask_pause),
        web.post("/page/pause", actions.pause),
        web.post("/page/resume", actions.resume),
        web.post("/page/server", actions.server),
        web.get("/page/{name}", handlers.file),
        web.get("/favicon.ico", handlers.file),
    ]
