"""A generation as the follower takes it: its services, and how services become files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lbctl.follow.apply import Compile, Compiled
from lbctl.follow.follower import Base
from lbctl.follow.generation import Generation
from lbctl.follow.pace import Pacing
from lbctl.follow.texts import named
from lbctl.follow.world import Wanted
from lbctl.layout import RunDir
from lbctl.model.service import Service
from lbctl.render.scene import RenderScene
from lbctl.render.services import CompileCache, compile_services
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
    )


def compiler(generation: Generation, spec: BundleSpec, run: RunDir, cache: CompileCache) -> Compile:
    """Services into files, with what this generation says of all else; remembers services."""
    source = generation.source
    own = source.text if source is not None and source.kind == "cfg" else None
    major, minor, *_ = spec.haproxy_version.split(".")
    scene = RenderScene(
        run=run,
        version=(int(major), int(minor)),
        processes=len(spec.processes),
        is_nbproc=spec.haproxy_model == "nbproc",
        has_certs=bool(generation.certs),
        own=own,
        template=source.files if source is not None and source.kind == "template" else None,
    )
    more = dict(generation.haproxy_files)
    if own is not None:
        more[run.haproxy_cfg.name] = own

    def compile_(services: Sequence[Service]) -> Compiled:
        made = compile_services(services, generation.settings, scene, cache)
        # What nobody names is loaded by nobody.
        text = f"{own or ''}{made.target.before}{made.target.after}"
        target = replace(made.target, files=named(made.target.files, text))
        return Compiled(
            Wanted(target, more, is_beside=own is not None),
            {one.service: one.what for one in made.problems},
            made.notes,
        )

    return compile_
