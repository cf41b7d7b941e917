"""
The judgement before a start: of this host, of the configuration on disk, of the network.

Each function reports every problem of its stage at once, and starts nothing that lives on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lbctl.errors import Problem, ValidationError
from lbctl.haproxy.version import HaproxyVersion, read_version
from lbctl.launch import host
from lbctl.launch.checks import (
    hook_problems,
    missing_capabilities,
    missing_programs,
    wanted_programs,
)
from lbctl.launch.collect import Collector
from lbctl.launch.configuration import Configuration, Dirs
from lbctl.launch.group import group_spec
from lbctl.launch.listening import LISTEN_S, Listening
from lbctl.launch.neighbours import listen_and_ask, problems_heard, problems_held
from lbctl.launch.ports import clashes, taken
from lbctl.launch.privileges import Privileges, fit, trial
from lbctl.launch.request import Request
from lbctl.launch.verify import nginx_claims, verify
from lbctl.nginx.check import Dialect, dialect
from lbctl.settings.model import Settings
from lbctl.spec import GroupSpec

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Host:
    """This host, found fit: what the bundle is built from."""

    privileges: Privileges
    binaries: Mapping[str, str]
    version: HaproxyVersion
    nginx: Dialect
    group: GroupSpec | None
    drain_s: float


def judge_host(request: Request, settings: Settings, warn: Warn) -> Host:
    """
    Whether programs, capabilities, users, hooks and interface are what a bundle needs.

    Raises:
        ValidationError: with every problem.
    """
    collector = Collector()
    has_group = bool(request.addresses)
    is_root = os.geteuid() == 0
    have = host.own_capabilities()
    found = host.find_programs(wanted_programs(has_group=has_group))
    collector.add(missing_programs(found))
    collector.add(missing_capabilities(have, has_group=has_group, is_root=is_root))
    account = collector.attempt(
        lambda: host.unprivileged_account(settings.user) if is_root else host.own_account()
    )
    binaries = {name: path for name, path in found.items() if path is not None}
    version = nginx = group = None
    if "haproxy" in binaries:
        version = collector.attempt(lambda: read_version(binaries["haproxy"]))
    if "nginx" in binaries:
        nginx = collector.attempt(lambda: dialect(binaries["nginx"]))
    if has_group:
        collector.add(hook_problems())
        group = collector.attempt(lambda: _group(request, settings, warn))
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
    )
    return Host(fit(privileges), binaries, version, nginx, group, settings.ha.drain_s)


def _group(request: Request, settings: Settings, warn: Warn) -> GroupSpec:
    group, interface = group_spec(request, settings.ha)
    if not interface.has_carrier:
        warn(f"{interface.name} has no carrier: this node speaks once the link is there")
    return group


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
    claims = list(configuration.claims)
    if verdict is not None:
        claims += nginx_claims(dirs, verdict[0])
    collector.add(clashes(claims))
    collector.add(taken(claims))
    collector.raise_if_any()
    return () if verdict is None else (*verdict[0].warnings, *verdict[1])


def judge_network(
    group: GroupSpec, request: Request, listening: Listening | None, warn: Warn
) -> None:
    """
    Listen to the end, and refuse to speak where others would be disturbed.

    Raises:
        ValidationError: a stranger has the id, or somebody has an address.
        NetlinkError: the interface is gone.
    """
    if listening is None or request.password is None:
        what = (
            f"listening to protocol 112 on {group.interface} failed, so it is not known who speaks"
        )
        raise ValidationError([Problem("VIP", what)])
    heard, holders = asyncio.run(listen_and_ask(listening, group, request.password))
    listening.close()
    problems = problems_heard(heard, group)
    # A stranger with the id is the one who has the address, too.
    held = [] if problems else problems_held(holders, group)
    if held and group.advbase_s >= LISTEN_S - 1:
        for problem in held:
            warn(f"{problem}; with advbase_s = {group.advbase_s} a peer may not have spoken yet")
        held = []
    if problems or held:
        raise ValidationError((*problems, *held))
