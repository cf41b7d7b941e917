"""A generation as the follower takes it: its services, and how services become files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lbctl.follow.apply import Compile, Compiled
from lbctl.follow.base import Base
from lbctl.follow.generation import Generation, OperatorSource
from lbctl.follow.pace import Pacing
from lbctl.follow.texts import named
from lbctl.follow.world import Wanted
from lbctl.haproxy.version import HaproxyVersion, version_of
from lbctl.layout import RunDir
from lbctl.model.service import Service
from lbctl.render.scene import RenderScene
from lbctl.render.services import CompileCache, compile_services
from lbctl.render.services import Compiled as Rendered
from lbctl.settings.model import Settings
from lbctl.settings.services import refused
from lbctl.spec import BundleSpec


def base_of(
    generation: Generation, spec: BundleSpec, run: RunDir, cache: CompileCache | None = None
) -> Base:
    """
    What the operator's files say, ready to be followed.

    Args:
        cache: of the generations before, changed by this one.
    """
    settings = generation.settings
    pacing = Pacing(
        settings.apply.gather_ms / 1000,
        settings.apply.gather_max_ms / 1000,
        settings.apply.reload_every_s,
    )
    return Base(
        generation.number,
        settings.services,
        compiler(generation, spec, run, cache or CompileCache()),
        pacing,
        settings.apply.hold_s,
        settings.apply.old_workers,
        settings.discovery.dns.prefer,
    )


def scene_of(
    run: RunDir,
    version: HaproxyVersion,
    processes: int,
    source: OperatorSource | None,
    *,
    has_certs: bool,
) -> RenderScene:
    """What services are rendered for: this HAProxy, and the operator's own file."""
    kind = source.kind if source is not None else None
    return RenderScene(
        run=run,
        version=(version.major, version.minor),
        processes=processes,
        is_nbproc=version.has_native_nbproc,
        has_certs=has_certs,
        own=source.text if source is not None and kind == "cfg" else None,
        template=source.files if source is not None and kind == "template" else None,
    )


def rendered(
    services: Sequence[Service],
    settings: Settings,
    scene: RenderScene,
    cache: CompileCache | None = None,
) -> Rendered:
    """
    Services as HAProxy is told of them; maps that no text names are loaded by nobody, and left out.

    Raises:
        RenderError: the operator's template failed.
    """
    made = compile_services(services, settings, scene, cache)
    text = f"{scene.own or ''}{made.target.before}{made.target.after}"
    return replace(made, target=replace(made.target, files=named(made.target.files, text)))


def compiler(generation: Generation, spec: BundleSpec, run: RunDir, cache: CompileCache) -> Compile:
    """Services into files, with what this generation says of all else; remembers services."""
    scene = scene_of(
        run,
        version_of(spec.haproxy_version),
        len(spec.processes),
        generation.source,
        has_certs=bool(generation.certs),
    )
    more = dict(generation.haproxy_files)
    if scene.own is not None:
        more[run.haproxy_cfg.name] = scene.own

    judge = _Judge(generation.settings)

    def compile_(services: Sequence[Service]) -> Compiled:
        bad = judge.refused(services)
        good = [one for one in services if one.name not in bad] if bad else services
        made = rendered(good, generation.settings, scene, cache)
        return Compiled(
            Wanted(made.target, more, is_beside=scene.own is not None),
            {**bad, **{one.service: one.what for one in made.problems}},
            made.notes,
        )

    return compile_


class _Judge:
    """Services beside each other; mostly they are the ones that it was asked of before."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asks: list[object] = []
        self._refused: dict[str, str] = {}

    def refused(self, services: Sequence[Service]) -> dict[str, str]:
        asks: list[object] = [(one.name, one.mode, one.route, one.routes) for one in services]
        if asks != self._asks:
            self._asks, self._refused = asks, refused(services, self._settings)
        return self._refused
