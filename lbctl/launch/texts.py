"""What is balanced, as the files that every HAProxy process loads: rendered, not written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lbctl.errors import Problem, ValidationError
from lbctl.follow.compiled import rendered, scene_of
from lbctl.follow.overrides import Overrides
from lbctl.haproxy.cfg import binds_of
from lbctl.haproxy.processes import ProcessModel
from lbctl.haproxy.version import HaproxyVersion
from lbctl.launch.apart import service_shown
from lbctl.launch.inputs import Inputs
from lbctl.launch.ports import Claim
from lbctl.layout import RunDir
from lbctl.model.target import Target
from lbctl.render.services import NOTHING, PLAIN_MAP
from lbctl.settings.model import Settings


@dataclass(frozen=True, slots=True)
class HaproxyTexts:
    """
    Attributes:
        by_path: every file.
        main: haproxy.cfg among them.
        target: the one of them that holds services.
        place: where that is.
        services: by backend, the name of its service.
        shown: by path, what the operator calls it.
        notes: what works, and is worth a thought.
    """

    by_path: Mapping[Path, str]
    main: Path
    target: Target
    place: Path
    services: Mapping[str, str]
    shown: Mapping[Path, str]
    notes: tuple[str, ...] = ()

    def of_service(self, problem: Problem) -> Problem:
        """What HAProxy says of a line that a service has made, said of the service."""
        name, _, line = problem.where.rpartition(":")
        if name != self.shown[self.place] or not line.isdecimal():
            return problem
        service = self.services.get(self.target.owner(int(line)) or "")
        return problem if service is None else Problem(service_shown(service), str(problem))

    def in_trial(self, home: RunDir, trial: RunDir) -> HaproxyTexts:
        """Made for *trial*, and so the operator's file, which names a map in *home*."""
        own = self.by_path[self.main].replace(
            str(home.haproxy / PLAIN_MAP), str(trial.haproxy / PLAIN_MAP)
        )
        return replace(self, by_path={**self.by_path, self.main: own})

    def with_states(self, overrides: Overrides) -> HaproxyTexts:
        """With what the operator wants of single servers, as the agent writes it."""
        target = overrides.applied(self.target)
        if target is self.target:
            return self
        texts = {**self.by_path, self.place: target.text()}
        return replace(self, target=target, by_path=texts)


def claims_of(texts: HaproxyTexts, inputs: Inputs, settings: Settings) -> Iterator[Claim]:
    """The TCP ports in all files, by what wants them."""
    http = settings.http
    asked = {"http.bind": http.bind, "http.tls_bind": http.tls_bind}
    keys = {
        (one.address, one.port): key
        for key, text in asked.items()
        for one in binds_of(f"bind {text}")
    }
    for path, text in texts.by_path.items():
        is_generated = path == texts.place and (inputs.source is None or path.stem == "services")
        for bind in binds_of(text) if path.suffix == ".cfg" else ():
            where = f"{texts.shown[path]}:{bind.line}"
            if is_generated:
                where = keys.get((bind.address, bind.port), "services")
            yield Claim(where, "HAProxy", bind.address, bind.port)


def haproxy_texts(
    run: RunDir, settings: Settings, inputs: Inputs, version: HaproxyVersion, model: ProcessModel
) -> HaproxyTexts:
    """
    Render it, the services of lb.yaml included.

    Raises:
        RenderError: the operator's template failed.
        ValidationError: a service cannot be said in HAProxy's words.
    """
    source = inputs.source
    has_certs = bool(inputs.certs)
    scene = scene_of(run, version, len(model.processes), source, has_certs=has_certs)
    compiled = rendered(settings.services, settings, scene)
    if compiled.problems:
        raise ValidationError(
            Problem(service_shown(one.service), one.what) for one in compiled.problems
        )
    own, target = scene.own, compiled.target
    place, texts = run.haproxy_cfg, {run.haproxy_cfg: target.text(), run.services_cfg: NOTHING}
    if own is not None:
        place, texts = run.services_cfg, {run.haproxy_cfg: own, run.services_cfg: target.text()}
    return HaproxyTexts(
        {**{run.haproxy / name: text for name, text in target.files.items()}, **texts},
        run.haproxy_cfg,
        target,
        place,
        {backend: service for service, backend in compiled.backends.items()},
        {
            run.haproxy_cfg: source.path if source else "haproxy.cfg (generated)",
            run.services_cfg: "services.cfg (generated)",
        },
        compiled.notes,
    )
