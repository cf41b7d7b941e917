"""
The operator's haproxy.cfg.j2: a frame of his own. Loads Jinja2, so the agent imports it late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from lbctl.errors import Problem, RenderError
from lbctl.model.service import Service
from lbctl.render.engine import render_text
from lbctl.render.frame import BACKENDS, FRONTENDS, MARKERS
from lbctl.render.scene import RenderScene
from lbctl.render.words import quote
from lbctl.settings.model import Settings

TEMPLATE: Final = "haproxy.cfg.j2"
#: A template that writes backends of services itself.
_MENTIONS: Final = re.compile(r"\bservices\b")


def template_frame(
    texts: Mapping[str, str],
    services: Sequence[Service],
    settings: Settings,
    scene: RenderScene,
) -> str:
    """
    The frame that the template gives. It sees ``settings``, ``services``, ``nginx_socket``,
    ``version`` (HAProxy's: ``(2, 6)``), ``certs`` (None without certificates), the filter
    ``quote``, and the markers ``frontends``, ``routes`` and ``backends``.

    Args:
        texts: by file name: the template, and what it includes.

    Raises:
        RenderError: it failed, or has no place for the backends of the services.
    """
    context: dict[str, object] = {
        "settings": settings,
        "services": tuple(services),
        "version": scene.version,
        "nginx_socket": str(scene.run.nginx_socket),
        "certs": scene.certs,
        **{marker.name: marker for marker in MARKERS},
    }
    frame = render_text(TEMPLATE, texts, context, filters={"quote": quote})
    uses_own = any(_MENTIONS.search(text) for text in texts.values())
    if str(BACKENDS) not in frame and (str(FRONTENDS) in frame or (services and not uses_own)):
        what = (
            f"no {{{{ backends }}}} alone on a line, and {len(services)} service(s) need a place: "
            "nothing was written"
        )
        raise RenderError([Problem(TEMPLATE, what)])
    return frame
