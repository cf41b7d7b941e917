"""
All of it: facts are gathered side by side, while the network is listened to, and judged in the
order in which they are shown.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from lbctl import __version__
from lbctl.doctor import clock, configuration, firewall, kernel, limits, link, network, surroundings
from lbctl.doctor.firewall import Packet
from lbctl.doctor.row import Row, of_problems, ok, unknown, warn
from lbctl.doctor.subject import Subject
from lbctl.doctor.sysctls import Setting, judge_sysctls, read_sysctls
from lbctl.errors import LbctlError, ProblemsError
from lbctl.ha.interfaces import Interface, subnets
from lbctl.haproxy.cpus import usable_cpus
from lbctl.haproxy.version import read_version
from lbctl.launch import host
from lbctl.launch.checks import (
    hook_problems,
    missing_capabilities,
    missing_programs,
    wanted_programs,
)
from lbctl.launch.identity import read_node_id
from lbctl.launch.listening import Listening
from lbctl.spec import GroupSpec

_ROUTES = Path("/proc/net/route")


async def examine(
    subject: Subject, listening: Listening | None, environ: Mapping[str, str]
) -> list[Row]:
    """
    Every row, within 8 s.

    Args:
        listening: begun before anything else; None: there is no NET_RAW, or no VIP.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=4) as pool:

        def beside(part: Callable[[], list[Row]]) -> asyncio.Future[list[Row]]:
            return loop.run_in_executor(pool, lambda: _guarded(part))

        parts = [
            beside(lambda: host_rows(subject)),
            beside(lambda: file_rows(subject, environ)),
            beside(lambda: place_rows(subject)),
        ]
        around = await network_rows(subject, listening)
        rows = [row for part in [*await asyncio.gather(*parts), around] for row in part]
    # Two groups on one interface find the same.
    return list(dict.fromkeys(rows))


def _guarded(part: Callable[[], list[Row]]) -> list[Row]:
    try:
        return part()
    except (LbctlError, OSError) as error:
        return [unknown("doctor", f"a part of the looks failed: {error}")]


def host_rows(subject: Subject) -> list[Row]:
    """Programs, rights, kernel, clock, limits."""
    is_root = os.geteuid() == 0
    is_ucarp = subject.has_group and not subject.is_native
    found = host.find_programs(wanted_programs(has_ucarp=is_ucarp))
    rows = of_problems("programs", missing_programs(found), ", ".join(found))
    rows += _capabilities(subject, is_root=is_root)
    if is_root:
        rows += _account(subject)
    if is_ucarp:
        rows += of_problems("hooks", hook_problems(), "they run here")
    tried = kernel.try_kernel()
    rows += kernel.judge_kernel(tried, is_native=subject.is_native, has_group=subject.has_group)
    rows.append(clock.judge_clock(clock.read_clock()))
    if subject.is_native:
        rows += limits.judge_quota(subject.settings.ha, usable_cpus())
    return rows


def _capabilities(subject: Subject, *, is_root: bool) -> list[Row]:
    if subject.is_running and not is_root:
        text = "the bundle that runs has its own: ask as root"
        return [unknown("capabilities", text)]
    have = host.own_capabilities()
    lacking = missing_capabilities(have, has_group=subject.has_group, is_root=is_root)
    return of_problems("capabilities", lacking, "all that are needed")


def _account(subject: Subject) -> list[Row]:
    try:
        account = host.unprivileged_account(subject.settings.user)
    except ProblemsError as error:
        return of_problems("user", error.problems, "")
    return [ok("user", account.name)]


def file_rows(subject: Subject, environ: Mapping[str, str]) -> list[Row]:
    """The operator's files, and what of this host matters to what stands in them."""
    rows = configuration.judge_settings(subject) + configuration.judge_access(subject)
    files = configuration.Files()
    try:
        version = read_version()
    except ProblemsError as error:
        rows += of_problems("HAProxy", error.problems, "")
    else:
        rows.append(configuration.judge_version(version))
        files = configuration.read_files(subject, version)
        rows += configuration.judge_files(subject, files, environ)
        rows += configuration.judge_binds(files, subject.request.addresses)
        rows += configuration.judge_ports(subject, files)
        hard = limits.open_files(subject.pid)
        is_running = subject.pid is not None
        rows.append(limits.judge_open_files(files.appetite, hard, is_running=is_running))
    rows += firewall.judge_firewall(firewall.read_ruleset(), list(_packets(subject, files)))
    for group, interface in subject.groups:
        setting = _setting(group, interface, files.processes)
        rows += judge_sysctls(read_sysctls(group.interface), setting)
    return rows


def _packets(subject: Subject, files: configuration.Files) -> Iterable[Packet]:
    interface = subject.groups[0][0].interface if subject.groups else ""
    for claim in files.claims:
        if not claim.address.startswith("127.") and claim.address != "::1":
            what = f"TCP {claim.port} ({claim.program})"
            yield Packet(what, "input", "tcp", interface, claim.port)
    for group, _ in subject.groups[:1]:
        if group.greeting_port:
            what = f"UDP {group.greeting_port} (greetings)"
            yield Packet(what, "input", "udp", group.interface, group.greeting_port)
        if group.peers:
            yield Packet("protocol 112 (CARP)", "output", "vrrp", group.interface)


def _setting(group: GroupSpec, interface: Interface, processes: int) -> Setting:
    try:
        known = subnets()
    except LbctlError:
        known = ()
    own = [net for name, net in known if name == group.interface and str(net.ip) == group.source]
    neighbours = {
        name
        for name, net in known
        for mine in own
        if name != group.interface and net.ip in mine.network
    }
    return Setting(
        interface=group.interface,
        cidrs=group.addresses,
        own=f"{interface.source}/{interface.prefix}",
        neighbours=tuple(sorted(neighbours)),
        default_by=default_interface(_ROUTES),
        processes=processes,
        mtu=_mtu(group.interface),
    )


def _mtu(interface: str) -> int:
    try:
        return link.read_link(interface).mtu
    except OSError:
        return 0


def default_interface(routes: Path) -> str:
    """The interface of the default route with the lowest metric; empty: there is none."""
    try:
        lines = [line.split() for line in routes.read_text().splitlines()[1:]]
    except OSError:
        return ""
    defaults = [line for line in lines if len(line) > 7 and line[1] == line[7] == "00000000"]
    return min(defaults, key=lambda line: int(line[6]))[0] if defaults else ""


def place_rows(subject: Subject) -> list[Row]:
    """Directories, services, cloud, and the interface of each group."""
    directories = (
        ("--run-dir", subject.dirs.run.root),
        ("--state-dir", subject.dirs.state.root),
    )
    looks = [surroundings.look_at(*one) for one in directories]
    if subject.is_running:  # it could write them, whoever asks here
        looks = [replace(one, may_write=True) for one in looks]
    rows = [surroundings.judge_directory(one) for one in looks]
    if not subject.dirs.config.root.is_dir():
        text = f"{subject.dirs.config.root} is no directory: nothing is configured"
        rows.append(warn("--config-dir", text, "the defaults run; or mount your files there"))
    rows += surroundings.judge_units(surroundings.active_units())
    if subject.has_group:
        cloud = surroundings.cloud_here()
        rows.append(surroundings.judge_cloud(cloud, has_peers=bool(subject.settings.ha.peers)))
        rows += of_problems("VIP", subject.group_problems, ", ".join(subject.request.cidrs))
    for group, interface in subject.groups:
        try:
            facts = link.read_link(group.interface)
        except OSError as error:
            rows.append(unknown("link", f"{group.interface}: {error.strerror or error}"))
            continue
        rows += link.judge_link(facts, group, has_carrier=interface.has_carrier)
    return rows


async def network_rows(subject: Subject, listening: Listening | None) -> list[Row]:
    """What only the network tells; nothing without a group."""
    if not subject.groups:
        return []
    node = read_node_id(subject.dirs.state)
    (met, why), (asked, silence) = await asyncio.gather(
        network.listen(subject, listening), network.ask(subject, node)
    )
    here = network.Here(node, os.uname().nodename, __version__, subject.groups[0][0])
    heard = met[0].heard.peers if met else ()
    return [
        *network.judge_met(met, why, is_running=subject.is_running),
        *network.judge_round(asked, silence, here, heard=heard),
    ]
