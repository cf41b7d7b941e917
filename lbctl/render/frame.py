"""
What stands around the generated parts of a configuration: lbctl's own text, or the operator's
template with its markers. Pure.

A frame is a text in which a marker's line stands for a part, so that the operator's template is
rendered when it changes, and not with every change of a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lbctl.errors import Problem, RenderError
from lbctl.layout import RunDir
from lbctl.render.scene import RenderScene
from lbctl.render.sections import defaults_section, global_section
from lbctl.render.words import quote
from lbctl.settings.model import Settings

_OPENING: Final = (
    "# Written by lbctl; a haproxy.cfg or haproxy.cfg.j2 of your own takes its place.\n"
)
_SERVICES: Final = (
    "# Written by lbctl: backends of services, loaded behind your haproxy.cfg. In a frontend of\n"
    "# yours: `use_backend NAME`, or a look-up in routes.map, as docs/services.md shows.\n"
)


@dataclass(frozen=True, slots=True)
class Marker:
    """
    A name that a template sees, and writes alone on a line: ``{{ backends }}``.

    It is no text: a template that loops over it or filters it fails with its line.
    """

    name: str

    def __str__(self) -> str:
        return f"@@lbctl {self.name}@@"


FRONTENDS: Final = Marker("frontends")
ROUTES: Final = Marker("routes")
BACKENDS: Final = Marker("backends")
MARKERS: Final = (FRONTENDS, ROUTES, BACKENDS)


def shipped_frame(settings: Settings, scene: RenderScene) -> str:
    """lbctl's own, where the operator has nothing."""
    return "\n".join(
        (
            _OPENING + global_section(settings, scene),
            defaults_section(settings, scene),
            f"{FRONTENDS}\n",
            f"backend nginx\n    server nginx {nginx_address(scene.run)}\n",
            f"{BACKENDS}\n",
        )
    )


def services_frame(settings: Settings, scene: RenderScene, *, is_empty: bool) -> str:
    """That of ``services.cfg``, beside the operator's own haproxy.cfg."""
    if is_empty:
        return f"{_SERVICES}{BACKENDS}\n"
    return "\n".join(
        (
            _SERVICES + defaults_section(settings, scene),
            f"{FRONTENDS}\n",
            f"{BACKENDS}\n",
        )
    )


def nginx_address(run: RunDir) -> str:
    """nginx's socket, quoted."""
    return quote(f"unix@{run.nginx_socket}")


def fill(frame: str, parts: Mapping[Marker, str], name: str) -> tuple[str, str]:
    """
    The texts before and behind the backends, with every other marker's part in its place.

    Args:
        frame: with markers.
        parts: by marker, texts of whole lines; :data:`BACKENDS`: what must stand right before them.
        name: the template's, for messages.

    Raises:
        RenderError: a marker is not alone on its line, or there is more than one for the backends.
    """
    before: list[str] = []
    after: list[str] = []
    lines = before
    problems = []
    by_line = {str(marker): marker for marker in parts}
    for number, line in enumerate(frame.splitlines(keepends=True), start=1):
        marker = by_line.get(line.strip())
        if marker is None:
            lines.append(line)
            problems += [_misplaced(name, number, one) for one in parts if str(one) in line]
            continue
        lines.append(parts[marker])
        if marker is not BACKENDS:
            continue
        if lines is after:
            what = "{{ backends }} is there twice: nothing was written"
            problems.append(Problem(f"{name}, rendered line {number}", what))
        lines = after
    if problems:
        raise RenderError(problems)
    if lines is before:
        before.append(parts[BACKENDS])
    return "".join(before), "".join(after)


def _misplaced(name: str, number: int, marker: Marker) -> Problem:
    what = f"{{{{ {marker.name} }}}} must stand alone on its line: nothing was written"
    return Problem(f"{name}, rendered line {number}", what)
