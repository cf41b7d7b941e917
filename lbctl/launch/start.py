"""
``lbctl run``: judge the host, write what is to run, judge that, listen, and become supervisord.

Until the last check has passed nothing runs and nothing is left but the directories, their locks,
this node's identity and its certificate. All problems of one stage are reported at once.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from lbctl import __version__
from lbctl.errors import ValidationError
from lbctl.follow.generation import write_generation
from lbctl.ha.ucarp import launch_script
from lbctl.haproxy.cfg import nothing_is_absent
from lbctl.launch import host, identity, locks, tree
from lbctl.launch.absent import only_on_the_master
from lbctl.launch.apart import apart
from lbctl.launch.become import become_supervisord
from lbctl.launch.collect import Collector
from lbctl.launch.configuration import Configuration, Dirs, HostFacts, Place, configure
from lbctl.launch.digests import digests
from lbctl.launch.inputs import Inputs
from lbctl.launch.judge import Host, Warn, judge_configuration, judge_host, judge_network
from lbctl.launch.known import unheard, with_saved
from lbctl.launch.listening import Listening
from lbctl.launch.programs import Scene, program_names, supervised
from lbctl.launch.request import Request, read_request
from lbctl.launch.stage import generation_of
from lbctl.launch.syslog import rsyslogd_conf
from lbctl.launch.tree import File
from lbctl.launch.verify import files_of, working_directory
from lbctl.render.supervisor import supervisord_conf
from lbctl.settings.load import load
from lbctl.settings.model import Settings
from lbctl.spec import ON_DEMAND, TASKS, BundleSpec


def start(
    arguments: Sequence[str],
    dirs: Dirs,
    *,
    environ: Mapping[str, str],
    listening: Listening | None,
    warn: Warn,
) -> NoReturn:
    """
    All of it; see the module.

    Args:
        arguments: of ``lbctl run``: VIP, PASSWORD, more addresses.
        environ: ``os.environ``.
        listening: begun before anything else, when there is a VIP.
        warn: takes what works and is worth a thought, a sentence at a time.

    Raises:
        LbctlError: nothing was started.
    """
    host.widen_path()
    request = read_request(arguments, environ)
    settings = load(dirs.config, environ=environ)
    locked = _lock(dirs)
    try:
        # Of a bundle that ended: the places in it are not ours any more.
        with tree.writing("--run-dir", dirs.run.root):
            dirs.run.rsyslogd_conf.unlink(missing_ok=True)
        prepare(dirs, request, settings, listening, warn)
    except BaseException:
        with suppress(ValidationError):
            tree.clear(dirs.run)
        raise
    become_supervisord(dirs.run, locked)


def prepare(
    dirs: Dirs, request: Request, settings: Settings, listening: Listening | None, warn: Warn
) -> BundleSpec:
    """Everything between the locks and the exec."""
    if not dirs.config.root.is_dir():
        warn(f"{dirs.config.root} is no directory: nothing is configured, the defaults run")
    fit_host = judge_host(request, settings, warn)
    with tree.writing("--state-dir", dirs.state.root):
        node = identity.node_id(dirs.state)
        hostname = os.uname().nodename
        identity.ensure_self_signed(dirs.state, fit_host.privileges.account, hostname)
    facts = HostFacts.here(fit_host.version, node, fit_host.nginx)
    may_bind_all = not request.addresses or host.binds_nonlocal()
    virtual = [address for group in fit_host.groups for address in group.addresses]
    absent = nothing_is_absent if may_bind_all else only_on_the_master(virtual)
    place = Place(absent, runs_as=host.names_of(fit_host.privileges.account))
    found, refused = apart(
        settings,
        lambda some: _laid_down(dirs, some, facts, place, fit_host),
        with_known=with_saved(settings, dirs.state),
    )
    configuration, warnings = found
    for warning in (*(f"{one}; the rest starts" for one in refused), *warnings):
        warn(warning)
    if fit_host.groups:
        judge_network(fit_host.groups, request, listening, warn)
    alike = _digests(dirs, settings, configuration.inputs, fit_host, request)
    known_not = unheard(settings, dirs.state)
    spec = _spec(dirs, facts, configuration, fit_host, alike, known_not)
    spec = replace(spec, log_format=settings.log.format)
    with tree.writing("--run-dir", dirs.run.inputs):
        write_generation(dirs.run, generation_of(1, settings, configuration, dirs.run))
    tree.write(_last_files(dirs, configuration, fit_host, request, spec))
    return spec


def _laid_down(
    dirs: Dirs, settings: Settings, facts: HostFacts, place: Place, fit_host: Host
) -> tuple[Configuration, tuple[str, ...]]:
    """The configuration, in the run dir and found good; and warnings."""
    configuration = configure(dirs, settings, facts, place).with_states(dirs.state)
    lay_down(dirs, configuration, fit_host)
    judged = judge_configuration(dirs, configuration, fit_host)
    return configuration, (*configuration.warnings, *judged)


def lay_down(dirs: Dirs, configuration: Configuration, fit_host: Host) -> None:
    """
    Write what HAProxy and nginx load into an empty run dir.

    Raises:
        ValidationError: it cannot be written.
    """
    account = fit_host.privileges.account
    names = program_names(configuration.model, fit_host.engine, configuration.more)
    programs = dict.fromkeys((*names, *ON_DEMAND, *TASKS))
    tree.clear(dirs.run)
    tree.make(dirs.run, account, programs, own=("ucarp", "vipd", "logd", *TASKS))
    tree.own_state(dirs.state, account)
    tree.write(files_of(configuration, fit_host.privileges))


def _lock(dirs: Dirs) -> tuple[int, int]:
    collector = Collector()
    collector.add((*dirs.problems(), *tree.path_problems(dirs.run)))
    collector.raise_if_any()
    taken_locks = []
    for flag, root, lock in (
        ("--run-dir", dirs.run.root, dirs.run.lock),
        ("--state-dir", dirs.state.root, dirs.state.lock),
    ):
        locks.make_directory(root, where=flag, marker=lock.name)
        taken_locks.append(locks.take(lock, where=flag))
    return taken_locks[0], taken_locks[1]


def _digests(
    dirs: Dirs,
    settings: Settings,
    inputs: Inputs,
    fit_host: Host,
    request: Request,
) -> dict[str, str]:
    """What the peer is told of this configuration; nothing where there is none."""
    if request.password is None:
        return {}
    return digests(dirs.config, settings, inputs, fit_host.groups, request.password)


def _spec(
    dirs: Dirs,
    facts: HostFacts,
    configuration: Configuration,
    fit_host: Host,
    alike: Mapping[str, str],
    known_not: tuple[str, ...],
) -> BundleSpec:
    first, *more = fit_host.groups or (None,)
    privileges = fit_host.privileges
    programs = program_names(configuration.model, fit_host.engine, configuration.more)
    return BundleSpec(
        version=__version__,
        node=facts.node,
        hostname=facts.hostname,
        user=privileges.account.name if privileges.is_root else "",
        started_at=time.time(),
        haproxy_version=str(fit_host.version),
        haproxy_model=configuration.model.model,
        processes=configuration.model.processes,
        programs=programs,
        on_demand=tuple(name for name in ON_DEMAND if name not in programs),
        binds=configuration.binds,
        group=first,
        config_dir=str(dirs.config.root),
        state_dir=str(dirs.state.root),
        more_groups=tuple(more),
        checks=fit_host.checks,
        digests=alike,
        peer_host=configuration.model.peer_host,
        unheard=known_not,
    )


def supervisor_text(dirs: Dirs, configuration: Configuration, fit_host: Host) -> str:
    """The text of supervisord.conf."""
    scene = Scene(
        run=dirs.run,
        model=configuration.model,
        privileges=fit_host.privileges,
        binaries=fit_host.binaries,
        directory=str(working_directory(dirs)),
        engine=fit_host.engine,
        drain_s=fit_host.drain_s,
        nginx_options=fit_host.nginx.options,
        more=configuration.more,
        dnsmasq=configuration.dnsmasq,
        syslog=configuration.syslog,
    )
    privileges = fit_host.privileges
    owner = f"{os.geteuid()}:{privileges.account.gid}"
    return supervisord_conf(supervised(scene), dirs.run, is_root=privileges.is_root, owner=owner)


def _last_files(
    dirs: Dirs,
    configuration: Configuration,
    fit_host: Host,
    request: Request,
    spec: BundleSpec,
) -> Iterable[File]:
    run = dirs.run
    text = supervisor_text(dirs, configuration, fit_host)
    yield File(run.spec, spec.to_json().encode(), 0o644)
    yield File(run.supervisord_conf, text.encode(), 0o600)
    if configuration.syslog.places:
        conf = rsyslogd_conf(run, configuration.syslog.places)
        yield File(run.rsyslogd_conf, conf.encode(), 0o644)
    if request.password is None:
        return
    yield File(run.password, request.password.reveal() + b"\n", 0o600)
    # vipd's last words are looked up with it, whoever speaks.
    yield File(run.hook_python, f"{sys.executable}\n".encode(), 0o600)
    if fit_host.engine == "ucarp":
        group = fit_host.groups[0]
        yield File(run.ucarp_launch, launch_script(group, run, group.advskew).encode(), 0o600)
