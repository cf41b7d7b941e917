"""The operator's files, judged as a start would, and the ports that they want."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl.doctor.limits import Appetite, appetite_of
from lbctl.doctor.row import Row, bad, of_problems, ok, unknown, warn, whole
from lbctl.doctor.subject import Subject
from lbctl.errors import LbctlError, Problem, ProblemsError
from lbctl.haproxy.cfg import nothing_is_absent
from lbctl.haproxy.version import HaproxyVersion
from lbctl.launch import host
from lbctl.launch.absent import only_on_the_master
from lbctl.launch.access import access_warnings
from lbctl.launch.configuration import HostFacts, Place, configure
from lbctl.launch.ports import Claim, taken
from lbctl.launch.rehearse import rehearse
from lbctl.nginx.check import Dialect, listens_of

_ANY_NODE = "0" * 16
#: Those that lbctl's processes, statistics and Runtime API were tried with.
_TRIED = ((2, 2), (3, 2))


@dataclass(frozen=True, slots=True)
class Files:
    """
    What the operator's files amount to.

    Attributes:
        problems: why they cannot run, whatever the addresses.
        vip_problems: binds that only the MASTER could do.
        binds_nonlocal: ``ip_nonlocal_bind`` lets any program do them.
        claims: TCP ports.
        appetite: HAProxy's.
        processes: how many HAProxies.
    """

    problems: tuple[Problem, ...] = ()
    vip_problems: tuple[Problem, ...] = ()
    binds_nonlocal: bool = False
    claims: tuple[Claim, ...] = ()
    appetite: Appetite = field(default_factory=Appetite)
    processes: int = 1


def read_files(subject: Subject, version: HaproxyVersion) -> Files:
    """Render everything, write nothing."""
    facts = HostFacts.here(version, _ANY_NODE, Dialect())
    dirs, settings = subject.dirs, subject.settings
    only_master = only_on_the_master(subject.request.addresses)
    strict = _problems(subject, facts, Place(only_master))
    lenient = _problems(subject, facts, Place(nothing_is_absent))
    vip_problems = tuple(one for one in strict if one not in lenient)
    if lenient:
        return Files(lenient, vip_problems, host.binds_nonlocal())
    configuration = configure(dirs, settings, facts, Place(nothing_is_absent))
    claims = list(configuration.claims)
    for path in sorted(dirs.config.nginx_d.glob("*.conf")):
        try:
            listens = list(listens_of(path.read_text(errors="replace")))
        except OSError:
            continue
        claims += [Claim(str(path), "nginx", address, port) for address, port in listens]
    return Files(
        vip_problems=vip_problems,
        binds_nonlocal=host.binds_nonlocal(),
        claims=tuple(claims),
        appetite=appetite_of(configuration.texts[dirs.run.haproxy_cfg]),
        processes=len(configuration.model.processes),
    )


def _problems(subject: Subject, facts: HostFacts, place: Place) -> tuple[Problem, ...]:
    try:
        configure(subject.dirs, subject.settings, facts, place)
    except ProblemsError as error:
        return error.problems
    return ()


def judge_version(version: HaproxyVersion) -> Row:
    here = (version.major, version.minor)
    text = f"HAProxy {version.text}"
    low, high = (f"{major}.{minor}" for major, minor in _TRIED)
    if here < _TRIED[0]:
        return bad("HAProxy", f"{text} is older than {low}", "install a newer one")
    if here > _TRIED[1]:
        return ok("HAProxy", f"{text}, newer than {high}, the last that lbctl was tried with")
    return ok("HAProxy", text)


def judge_settings(subject: Subject) -> list[Row]:
    path = subject.dirs.config.settings
    well = f"{path}: in order" if path.exists() else f"{path}: none, so the defaults"
    return whole("lb.yaml", subject.settings_problems) or [ok("lb.yaml", well)]


def judge_access(subject: Subject) -> list[Row]:
    """The API over TCP."""
    return [warn("api", what) for what in access_warnings(subject.settings)]


def judge_binds(files: Files, addresses: tuple[str, ...]) -> list[Row]:
    """``ip_nonlocal_bind`` against what is bound."""
    check = "ip_nonlocal_bind"
    if not addresses:
        return []
    if files.binds_nonlocal:
        return [ok(check, "1: a BACKUP can bind the virtual addresses, too")]
    if not files.vip_problems:
        return [ok(check, "0, and nothing binds a virtual address")]
    advice = "bind ':PORT' or add 'transparent'; or sysctl -w net/ipv4/ip_nonlocal_bind=1"
    return [
        bad(check, f"0, and {one.where}: {one.what.partition(': add ')[0]}", advice)
        for one in files.vip_problems
    ]


def judge_files(subject: Subject, files: Files, environ: Mapping[str, str]) -> list[Row]:
    """HAProxy's and nginx's own words, by ``lbctl check``; binds to a VIP have a row of theirs."""
    check = "configuration"
    if subject.settings_problems:
        return [unknown(check, "not looked at, because of lb.yaml")]
    try:
        right, _ = rehearse(subject.dirs, environ)
    except ProblemsError as error:
        told = {one.where for one in files.vip_problems}
        rest = [one for one in error.problems if one.where not in told]
        return whole(check, rest)
    except (LbctlError, OSError) as error:
        return [unknown(check, str(error), "lbctl check")]
    return [ok(check, "; ".join(right[1:]))]


def judge_ports(subject: Subject, files: Files) -> list[Row]:
    check = "ports"
    if subject.is_running:
        return [ok(check, "held by the bundle that runs")]
    if files.problems:
        return [unknown(check, "not known, because of the configuration")]
    problems = [*taken(files.claims)]
    port = subject.settings.ha.greeting_port if subject.has_group else 0
    if port and _is_udp_taken(port):
        what = (
            f"UDP {port} is taken, so the two hosts cannot greet each other: another "
            "ha.greeting_port, the same on both"
        )
        problems.append(Problem("ha.greeting_port", what))
    shown = sorted({claim.port for claim in files.claims})
    free = ", ".join(map(str, shown)) + (f", UDP {port}" if port else "")
    return of_problems(check, problems, f"free: {free}")


def _is_udp_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        # As vipd does: it shares a multicast with whoever shares.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("0.0.0.0", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
