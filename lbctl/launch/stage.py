"""
The operator's files, read again while the bundle runs, by the user who started it.

Everything is judged as ``lbctl check`` does. What is found good becomes the next generation, for
the agent to apply; else all is left as it is, and the verdict says why. Nothing that the
unprivileged user may write is read or followed here, but for the files that his programs judge, and
for what sources of services said, which is judged with the rest.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lbctl.errors import LbctlError, Problem, ProblemsError, ValidationError
from lbctl.follow.generation import (
    Generation,
    Verdict,
    locked,
    read_generation,
    verdict_of,
    write_generation,
    write_verdict,
)
from lbctl.ha.carp import Password
from lbctl.haproxy.cfg import nothing_is_absent
from lbctl.haproxy.pem import choose
from lbctl.launch import host, tree
from lbctl.launch.absent import only_on_the_master
from lbctl.launch.apart import apart
from lbctl.launch.configuration import Configuration, Dirs, HostFacts, Place, moved
from lbctl.launch.digests import digests
from lbctl.launch.inputs import Inputs, read_inputs
from lbctl.launch.judge import Host, judge_host
from lbctl.launch.known import with_saved
from lbctl.launch.renewal import renew
from lbctl.launch.request import Request
from lbctl.launch.trial import Trial, tried
from lbctl.layout import RunDir
from lbctl.settings.load import load
from lbctl.settings.model import Settings
from lbctl.settings.transfer import keeping, restart_keys
from lbctl.spec import BundleSpec, read_spec


@dataclass(frozen=True, slots=True)
class _Found:
    """The operator's files, found good."""

    generation: Generation
    spec: BundleSpec
    restart: tuple[str, ...]
    warnings: tuple[str, ...]


def generation_of(
    number: int, settings: Settings, configuration: Configuration, run: RunDir
) -> Generation:
    """What the agent is to know of a configuration that was made for *run*."""
    inputs = configuration.inputs
    nginx = {str(path.relative_to(run.nginx)): text for path, text in configuration.nginx.items()}
    return Generation(
        number=number,
        at=time.time(),
        settings=settings,
        source=inputs.source,
        certs=inputs.certs,
        haproxy_files={path.name: text for path, text in configuration.added.items()},
        nginx=nginx,
        secrets=inputs.secrets,
    )


def stage(run: RunDir, environ: Mapping[str, str]) -> Verdict:
    """
    All of it; the verdict is on disk when this returns.

    Raises:
        UnreachableError: no bundle runs on *run*, or one of another version.
        OSError: the run dir cannot be written.
    """
    began = time.monotonic()
    spec = read_spec(run.spec)
    with locked(run):
        try:
            found = _judged(run, spec, read_generation(run), environ)
        except LbctlError as error:
            problems = error.problems if isinstance(error, ProblemsError) else ()
            verdict = verdict_of(
                began,
                code=error.exit_code,
                problems=problems or (Problem("stage", str(error)),),
            )
        else:
            write_generation(run, found.generation)
            told = renew(run, found.spec)
            verdict = verdict_of(
                began,
                number=found.generation.number,
                warnings=(*found.warnings, *told),
                restart=found.restart,
            )
        write_verdict(run, "stage", verdict)
    return verdict


def _judged(
    run: RunDir, spec: BundleSpec, current: Generation, environ: Mapping[str, str]
) -> _Found:
    host.widen_path()
    dirs = Dirs.at(Path(spec.config_dir), run.root, Path(spec.state_dir))
    wanted = load(dirs.config, environ=environ)
    restart = restart_keys(current.settings, wanted)
    settings = keeping(current.settings, wanted, restart)
    inputs = read_inputs(dirs.config, settings)
    choice = choose(current.certs, inputs.certs, datetime.now(UTC), str(dirs.config.certs))
    if choice.problems:
        raise ValidationError(choice.problems)
    if restart:
        # The next start must not fail by what is accepted now.
        later = read_inputs(dirs.config, wanted)
        apart(with_saved(wanted, dirs.state), lambda some: _tried(dirs, spec, some, later))
    # The agent leaves the same ones out.
    known = with_saved(settings, dirs.state)
    found, refused = apart(known, lambda some: _tried(dirs, spec, some, inputs))
    fit_host, in_trial, warnings = found
    configuration = moved(in_trial, dirs, settings, *_here(spec, fit_host))
    return _Found(
        generation_of(current.number + 1, settings, configuration, run),
        replace(
            spec,
            binds=configuration.binds,
            digests=_digests(dirs, spec, wanted, inputs),
        ),
        (*restart, *_other_peers(spec, configuration)),
        (*_other_haproxy(spec, fit_host), *map(str, (*choice.warnings, *refused)), *warnings),
    )


def _tried(
    dirs: Dirs, spec: BundleSpec, settings: Settings, inputs: Inputs
) -> tuple[Host, Configuration, tuple[str, ...]]:
    """This host, what was tried, and warnings; see :func:`lbctl.launch.trial.tried`."""
    warnings: list[str] = []
    fit_host = judge_host(Request(), settings, warnings.append)
    facts, place = _here(spec, fit_host)
    elsewhere = replace(dirs, run=RunDir(dirs.run.trial))
    # Of one that was killed.
    tree.remove(elsewhere.run)
    configuration, said = tried(
        Trial(elsewhere, dirs.run, settings, fit_host, facts, place, spec), inputs
    )
    return fit_host, configuration, (*warnings, *said)


def _here(spec: BundleSpec, fit_host: Host) -> tuple[HostFacts, Place]:
    virtual = [address for group in spec.groups for address in group.addresses]
    is_free = not virtual or host.binds_nonlocal()
    absent = nothing_is_absent if is_free else only_on_the_master(virtual)
    runs_as = host.names_of(fit_host.privileges.account)
    facts = HostFacts.here(fit_host.version, spec.node, fit_host.nginx)
    return facts, Place(absent, runs_as=runs_as)


def _other_haproxy(spec: BundleSpec, fit_host: Host) -> tuple[str, ...]:
    installed = str(fit_host.version)
    if installed == spec.haproxy_version:
        return ()
    text = f"HAProxy {installed} is installed since the start with {spec.haproxy_version}"
    return (f"{text}: a reload runs the new one",)


def _other_peers(spec: BundleSpec, configuration: Configuration) -> tuple[str, ...]:
    """What the processes call themselves is on their command line."""
    if configuration.model.peer_host == spec.peer_host:
        return ()
    return (f"{configuration.source or 'haproxy.cfg'}: peers",)


def _digests(dirs: Dirs, spec: BundleSpec, settings: Settings, inputs: Inputs) -> dict[str, str]:
    if not spec.groups:
        return {}
    password = Password.read(dirs.run.password)
    return digests(dirs.config, settings, inputs, spec.groups, password)
