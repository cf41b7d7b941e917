"""
Templates into HTML. jinja2 is loaded with this module: it is imported when somebody looks at the
page for the first time, in a thread (:func:`lbctl.api.page.frame.draw`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lbctl.api.page import words
from lbctl.api.page.frame import HERE, Frame, static
from lbctl.api.page.plots import LANES
from lbctl.glance.hosts import Host


def render(template: str, frame: Frame, more: Mapping[str, Any]) -> str:
    """HTML; whatever is not of a template is escaped."""
    return _environment().get_template(template).render(frame=frame, **more)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters = ("age", "clock", "machine", "many", "moment", "number", "octets")
    made.filters.update({name: getattr(words, name) for name in filters})
    made.globals.update(static=static, link=link, look=look, lanes=LANES)
    return made


def look(host: Host) -> str:
    """How the column of a host looks."""
    if host.is_silent or host.health.tone == "bad":
        return "bad"
    return "master" if host.role.text == "MASTER" else ""


def link(**asked: object) -> str:
    """The first page with what is asked for, without what is not."""
    said = {name: value for name, value in asked.items() if value not in ("", None)}
    return f"/?{urlencode(said)}" if said else "/"
