"""The configuration that lbctl generates where the operator has none, or a template."""

from __future__ import annotations

from collections.abc import Mapping

from lbctl.layout import RunDir
from lbctl.render.scene import RenderScene
from lbctl.render.services import compile_services
from lbctl.settings.model import Settings


def generated_cfg(
    settings: Settings,
    run_dir: RunDir,
    *,
    has_certs: bool,
    template: Mapping[str, str] | None = None,
) -> str:
    """Without services, for one process of the oldest HAProxy, whose configuration all take."""
    scene = RenderScene(run_dir, (2, 2), has_certs=has_certs, template=template)
    return compile_services((), settings, scene).target.text()
