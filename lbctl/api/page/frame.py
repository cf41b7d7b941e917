"""
What is the same on every page: what a browser loads with it, and who looks at it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from lbctl.api import access
from lbctl.api.page.words import zone
from lbctl.glance.cell import Tone
from lbctl.glance.hosts import groups_of

HERE: Final = Path(__file__).parent
#: What a browser may ask for, and as what.
KINDS: Final[Mapping[str, str]] = {
    "app.js": "text/javascript",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
    "icon-bad.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """
    What every page shows around its own.

    Attributes:
        at: wall clock, seconds, of what is shown.
        zone: the time zone of all moments.
        csrf: for forms.
        can_leave: who looks has logged in.
        did: what was just done; empty: nothing.
        refresh_s: how often the page is drawn again while somebody looks; 0: when it is loaded.
    """

    title: str
    tone: Tone
    hostname: str
    node: str
    version: str
    roles: tuple[str, ...]
    digests: tuple[tuple[str, str], ...]
    at: float
    zone: str
    may_write: bool
    csrf: str
    can_leave: bool = False
    did: str = ""
    refresh_s: float = 0.0


#: What was done, by the word that the answer to a form goes on with (``?did=``).
DID: Final[Mapping[str, str]] = {
    "handover": "Handed over: the other host has the addresses.",
    "pause": "Paused: the addresses stay where they are.",
    "resume": "Resumed: the addresses may move again.",
    "ready": "The server is ready: it gets its share of what comes.",
    "drain": "The server drains: it keeps what it has, and gets nothing new.",
    "maint": "The server is in maintenance: it gets nothing.",
}


def frame_of(
    request: web.Request,
    picture: Mapping[str, Any],
    *,
    tone: Tone,
    title: str = "",
    refresh_s: float = 0.0,
) -> Frame:
    """
    Args:
        picture: the live one, or any that has ``at`` and ``status``.
        title: of a page; empty: the first one.
    """
    status, caller = picture["status"], access.caller_of(request)
    ha = status.get("ha")
    roles = tuple(str(one.get("role")) for one in groups_of(ha)) if ha else ()
    words = [title, str(status["hostname"]), *dict.fromkeys(roles)]
    return Frame(
        title=("! " if tone == "bad" else "") + " · ".join(filter(None, (*words, "lbctl"))),
        tone=tone,
        hostname=str(status["hostname"]),
        node=str(status["node"]),
        version=str(status["version"]),
        roles=roles,
        digests=tuple(sorted((status.get("digests") or {}).items())),
        at=float(picture["at"]),
        zone=zone(picture["at"]),
        may_write=access.right_of(request) == "write",
        csrf=access.csrf_token(request),
        can_leave=caller is not None and caller.by == "page",
        did=DID.get(request.query.get("did", ""), ""),
        refresh_s=refresh_s,
    )


async def draw(template: str, frame: Frame, **more: Any) -> str:
    """HTML, made in a thread."""
    return await asyncio.to_thread(_draw, template, frame, more)


def _draw(template: str, frame: Frame, more: Mapping[str, Any]) -> str:
    # Two megabytes that a node at which nobody looks has no use for.
    from lbctl.api.page.paper import render

    return render(template, frame, more)


@cache
def static(name: str) -> str:
    """Where a file is, under a name that changes with it."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/page/{name}?v={digest}"
