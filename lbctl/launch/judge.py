"""
The judgement before a start: of this host, of the configuration on disk, of the network.

Each function reports every problem of its stage at once, and starts nothing that lives on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lbctl.errors import Problem, ValidationError
from lbctl.haproxy.cpus import usable_cpus
from lbctl.haproxy.version import HaproxyVersion, read_version
from lbctl.launch import host
from lbctl.launch.checks import (
    hook_problems,
    missing_capabilities,
    missing_programs,
    quota_problems,
    wanted_programs,
)
from lbctl.launch.collect import Collector
from lbctl.launch.configuration import Configuration, Dirs
from lbctl.launch.group import group_specs
from lbctl.launch.hooks_d import hooks_d_problems, hooks_d_warnings
from lbctl.launch.listening import LISTEN_S, Listening
from lbctl.launch.looks import check_specs, look_problems, look_warnings
from lbctl.launch.neighbours import Met, listen_and_ask, problems_heard, problems_held
from lbctl.launch.ports import clashes, taken
from lbctl.launch.privileges import Privileges, fit, trial
from lbctl.launch.programs import Engine, program_names
from lbctl.launch.request import Request
from lbctl.launch.secrets import secret_warnings
from lbctl.launch.sources import socket_gid, source_warnings
from lbctl.launch.verify import nginx_claims, verify
from lbctl.nginx.check import Dialect, dialect
from lbctl.settings.model import Settings
from lbctl.spec import CheckSpec, GroupSpec

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Host:
    """
    This host, found fit: what the bundle is built from.

    Attributes:
        groups: of virtual addresses, the command line's first; empty: a plain balancer.
        checks: what these depend on beside programs.
        drain_s: longest wait for clients when leaving on purpose.
    """

    privileges: Privileges
    binaries: Mapping[str, str]
    version: HaproxyVersion
    nginx: Dialect
    groups: tuple[GroupSpec, ...]
    checks: tuple[CheckSpec, ...]
    drain_s: float

    @property
    def engine(self) -> Engine:
        """Who speaks CARP."""
        if not self.groups:
            return None
        return "native" if self.groups[0].is_native else "ucarp"


def judge_host(request: Request, settings: Settings, warn: Warn) -> Host:
    """
    Whether programs, capabilities, users, hooks and interface are what a bundle needs.

    Raises:
        ValidationError: with every problem.
    """
    collector = Collector()
    has_group = bool(request.addresses)
    is_native = settings.ha.engine == "native"
    is_root = os.geteuid() == 0
    have = host.own_capabilities()
    has_dnsmasq = settings.discovery.hosts.dnsmasq
    wanted = wanted_programs(has_ucarp=has_group and not is_native, has_dnsmasq=has_dnsmasq)
    found = host.find_programs(wanted)
    collector.add(missing_programs(found))
    collector.add(missing_capabilities(have, has_group=has_group, is_root=is_root))
    account = collector.attempt(
        lambda: host.unprivileged_account(settings.user) if is_root else host.own_account()
    )
    binaries = {name: path for name, path in found.items() if path is not None}
    version = nginx = None
    if "haproxy" in binaries:
        version = collector.attempt(lambda: read_version(binaries["haproxy"]))
    if "nginx" in binaries:
        nginx = collector.attempt(lambda: dialect(binaries["nginx"]))
    groups = _judged_groups(request, settings, warn, collector)
    collector.raise_if_any()
    assert account is not None
    assert version is not None
    assert nginx is not None
    privileges = Privileges(
        binaries["setpriv"],
        account,
        is_root,
        may_bind="NET_BIND_SERVICE" in have,
        may_bound="SETPCAP" in have,
        may_nice=is_native and "SYS_NICE" in have,
        may_read_all="DAC_READ_SEARCH" in have,
        socket_gid=socket_gid(settings) if is_root else None,
    )
    privileges = fit(privileges)
    for what in (*source_warnings(settings, privileges), *secret_warnings(settings)):
        warn(what)
    checks = check_specs(settings.ha)
    return Host(privileges, binaries, version, nginx, groups, checks, settings.ha.drain_s)


def _judged_groups(
    request: Request, settings: Settings, warn: Warn, collector: Collector
) -> tuple[GroupSpec, ...]:
    """The groups of virtual addresses, and what their speaker needs."""
    if not request.addresses:
        if settings.ha.groups:
            warn("ha.groups is without effect: there is no VIP on the command line")
        return ()
    if settings.ha.engine == "ucarp":
        collector.add(hook_problems())
    collector.add(quota_problems(settings.ha, usable_cpus()))
    return collector.attempt(lambda: _groups(request, settings, warn)) or ()


def _groups(request: Request, settings: Settings, warn: Warn) -> tuple[GroupSpec, ...]:
    found = group_specs(request, settings.ha)
    for name in sorted({interface.name for _, interface in found if not interface.has_carrier}):
        warn(f"{name} has no carrier: this node speaks once the link is there")
    return tuple(group for group, _ in found)


def judge_configuration(
    dirs: Dirs, configuration: Configuration, fit_host: Host
) -> tuple[str, ...]:
    """
    Whether the programs can run, accept their files, and find their ports free.

    Returns:
        Warnings.

    Raises:
        ValidationError: with every problem.
    """
    run = dirs.run
    problems = trial(fit_host.privileges, [str(run.haproxy), str(run.api), str(dirs.state.root)])
    if problems:
        raise ValidationError(problems)
    collector = Collector()
    verdict = collector.attempt(
        lambda: verify(
            dirs, configuration, fit_host.privileges, fit_host.binaries, fit_host.nginx.options
        )
    )
    others = [] if verdict is None else [*nginx_claims(dirs, verdict[0])]
    claims = [*configuration.claims, *others]
    collector.add(clashes(claims))
    collector.add(taken(claims))
    collector.add(configuration.syslog.problems)
    if fit_host.groups:
        programs = program_names(configuration.model, fit_host.engine, configuration.more)
        checks, groups = fit_host.checks, fit_host.groups
        collector.add(look_problems(checks, fit_host.privileges, programs, groups))
        collector.add(hooks_d_problems(dirs.config, fit_host.privileges))
    collector.raise_if_any()
    links = [*look_warnings(fit_host.checks), *hooks_d_warnings(dirs.config)]
    links = links if fit_host.groups else []
    links += configuration.redirect_warnings(others)
    return (*links, *(() if verdict is None else (*verdict[0].warnings, *verdict[1])))


def judge_network(
    groups: Sequence[GroupSpec], request: Request, listening: Listening | None, warn: Warn
) -> None:
    """
    Listen to the end, and refuse to speak where others would be disturbed.

    Raises:
        ValidationError: a stranger has an id, or somebody has an address.
        NetlinkError: an interface is gone.
    """
    if listening is None or request.password is None:
        names = ", ".join(sorted({group.interface for group in groups}))
        what = f"listening to protocol 112 on {names} failed, so it is not known who speaks"
        raise ValidationError([Problem("VIP", what)])
    met = asyncio.run(listen_and_ask(listening, groups, request.password))
    listening.close()
    problems = [problem for one in met for problem in _network_problems(one, warn)]
    if problems:
        raise ValidationError(problems)


def _network_problems(met: Met, warn: Warn) -> list[Problem]:
    problems = problems_heard(met.heard, met.group)
    # A stranger with the id is the one who has the address, too.
    held = [] if problems else problems_held(met.holders, met.group)
    advbase_s = met.group.advbase_s
    if not held or advbase_s < LISTEN_S - 1:
        return [*problems, *held]
    for problem in held:
        warn(f"{problem}; with advbase_s = {advbase_s} a peer may not have spoken yet")
    return problems
