"""
The configuration that is to run: the operator's files and lb.yaml become the text of every file
that HAProxy and nginx load. It writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lbctl.errors import ConfigError, Problem
from lbctl.follow.overrides import Overrides
from lbctl.haproxy.cfg import Absent, binds_of, has_peers, nothing_is_absent, problems_of
from lbctl.haproxy.cpus import Cpus, usable_cpus
from lbctl.haproxy.processes import ProcessModel, plan_processes
from lbctl.haproxy.version import HaproxyVersion
from lbctl.launch import dnsmasq
from lbctl.launch.absent import not_on_this_host
from lbctl.launch.collect import Collector
from lbctl.launch.inputs import Inputs, read_inputs
from lbctl.launch.ports import Claim
from lbctl.launch.syslog import Receiver, receiver, running_conf
from lbctl.launch.texts import HaproxyTexts, claims_of, haproxy_texts
from lbctl.layout import ConfigDir, RunDir, StateDir
from lbctl.model.peers import LOCAL
from lbctl.nginx.check import Dialect
from lbctl.render.haproxy import process_files
from lbctl.render.nginx import front_door, nginx_files
from lbctl.settings.model import Http, Settings
from lbctl.settings.sources import sources_of

#: A path with one of these would mean something else in one of the files that name it.
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@=,:~")
#: The section that lbctl writes.
_PEERS = "\npeers lbctl\n"
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class Dirs:
    """The three directories, absolute."""

    config: ConfigDir
    run: RunDir
    state: StateDir

    @classmethod
    def at(cls, config: Path, run: Path, state: Path) -> Dirs:
        return cls(ConfigDir(config.absolute()), RunDir(run.absolute()), StateDir(state.absolute()))

    def problems(self) -> list[Problem]:
        """What is wrong with their names."""
        roots = {
            "--config-dir": self.config.root,
            "--run-dir": self.run.root,
            "--state-dir": self.state.root,
        }
        problems = [
            Problem(flag, f"{root}: {odd!r} in a path: letters, digits and ._-+@=,:~ only")
            for flag, root in roots.items()
            if (odd := "".join(sorted(set(str(root)) - _SAFE)))
        ]
        if len(set(roots.values())) < len(roots):
            what = f"{', '.join(map(str, roots.values()))}: each must be a directory of its own"
            problems.append(Problem("--run-dir", what))
        return problems


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What of this host the configuration depends on."""

    version: HaproxyVersion
    cpus: Cpus
    hostname: str
    node: str
    nginx: Dialect = field(default_factory=Dialect)

    @classmethod
    def here(cls, version: HaproxyVersion, node: str, nginx: Dialect) -> HostFacts:
        return cls(version, usable_cpus(), os.uname().nodename, node, nginx)


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where the configuration is to run, as far as it is judged by that.

    Attributes:
        absent: what speaks against binding an address.
        runs_as: see :func:`lbctl.launch.host.names_of`.
        is_any_host: on other hosts than this one too, so that ``processes: auto`` may be several.
    """

    absent: Absent = nothing_is_absent
    is_any_host: bool = False
    runs_as: Mapping[str, str] = field(default_factory=dict)

    def processes(self, settings: Settings, here: int) -> int:
        """How many processes to judge for, where *here* would run on this host."""
        may_be_several = self.is_any_host and settings.haproxy.processes == "auto"
        return max(here, 2) if may_be_several else here


HERE = Place()


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    Attributes:
        inputs: the operator's files that it was made of.
        model: HAProxy's processes.
        haproxy: what is balanced.
        added: by path, what lbctl adds for each process; with a password.
        nginx: by path, its files.
        certs: by path in the run dir, what ``certs/*.pem`` hold.
        claims: the ports that HAProxy is to listen on.
        http: as lb.yaml has it.
        binds: of the generated frontend; empty with the operator's own file.
        more: programs that run because lb.yaml wants them.
        dnsmasq: its command line behind the program's name; empty: it does not run.
        syslog: what rsyslogd receives.
        warnings: what works, and is worth a thought.
    """

    inputs: Inputs
    model: ProcessModel
    haproxy: HaproxyTexts
    added: Mapping[Path, str]
    nginx: Mapping[Path, str]
    certs: Mapping[Path, bytes]
    claims: tuple[Claim, ...]
    http: Http
    binds: tuple[str, ...]
    more: tuple[str, ...]
    dnsmasq: tuple[str, ...]
    syslog: Receiver
    warnings: tuple[str, ...]

    @property
    def source(self) -> Path | None:
        """The operator's file that HAProxy's configuration comes from; None: generated."""
        return None if self.inputs.source is None else Path(self.inputs.source.path)

    def redirect_warnings(self, others: Iterable[Claim]) -> Iterator[str]:
        """*others*: ports that the bundle's other programs listen on."""
        source, http = self.inputs.source, self.http
        is_own = source is not None and source.kind == "cfg"
        if not http.https_redirect or http.accept_proxy or is_own or self.inputs.certs:
            return
        if all(claim.port != _HTTPS for claim in (*self.claims, *others)):
            yield (
                "http.https_redirect: redirects to port 443, where nobody listens: no certificate "
                "in certs/"
            )

    @property
    def password(self) -> str | None:
        """Of the stats listeners."""
        return self.inputs.password

    @property
    def texts(self) -> dict[Path, str]:
        """Every file, all for the unprivileged user."""
        return {**self.haproxy.by_path, **self.added, **self.nginx}

    def with_states(self, state: StateDir) -> Configuration:
        """Servers that the operator has drained are drained from the first moment on."""
        states = Overrides(state.server_states)
        return replace(self, haproxy=self.haproxy.with_states(states))


def configure(
    dirs: Dirs,
    settings: Settings,
    facts: HostFacts,
    place: Place = HERE,
    inputs: Inputs | None = None,
) -> Configuration:
    """
    Read and render everything.

    Args:
        inputs: the operator's files; None: they are read now.

    Raises:
        ValidationError, ConfigError: with every problem.
    """
    collector = Collector()
    read = collector.attempt(lambda: inputs or read_inputs(dirs.config, settings))
    model = collector.attempt(lambda: _model(dirs.run, settings, facts, place, read or Inputs()))
    haproxy = None
    if read is not None and model is not None:
        known, planned = read, model
        haproxy = collector.attempt(
            lambda: haproxy_texts(dirs.run, settings, known, facts.version, planned)
        )
        collector.add(_bind_problems(settings, known, place.absent))
        if haproxy is not None:
            processes = place.processes(settings, len(planned.processes))
            own = haproxy.by_path[dirs.run.haproxy_cfg]
            collector.add(_own_problems(own, known, place, processes, facts))
    collector.raise_if_any()
    assert read is not None
    assert model is not None
    assert haproxy is not None
    return _configuration(dirs, settings, facts, read, model, haproxy)


def moved(
    tried: Configuration, dirs: Dirs, settings: Settings, facts: HostFacts, place: Place
) -> Configuration:
    """What was tried in another run dir, for that of *dirs*, but for what is balanced."""
    model = _model(dirs.run, settings, facts, place, tried.inputs)
    text = tried.haproxy.by_path[tried.haproxy.main]
    return replace(
        tried,
        model=model,
        added=_added(dirs, settings, facts, model, tried.inputs.password),
        nginx=_nginx_texts(dirs, facts, text),
    )


def _configuration(
    dirs: Dirs,
    settings: Settings,
    facts: HostFacts,
    inputs: Inputs,
    model: ProcessModel,
    haproxy: HaproxyTexts,
) -> Configuration:
    tls = (settings.http.tls_bind,) if inputs.certs else ()
    text = haproxy.by_path[dirs.run.haproxy_cfg]
    syslog = receiver(settings.syslog, text, running_conf(dirs.run))
    return Configuration(
        inputs=inputs,
        model=model,
        haproxy=haproxy,
        added=_added(dirs, settings, facts, model, inputs.password),
        nginx=_nginx_texts(dirs, facts, text),
        certs={dirs.run.certs / name: pem for name, pem in inputs.certs.items()},
        claims=(
            *claims_of(haproxy, inputs, settings),
            *_stats_claims(settings, model),
            *_peer_claims(settings, model, haproxy),
            *_dnsmasq_claims(settings),
        ),
        http=settings.http,
        binds=(settings.http.bind, *tls) if inputs.source is None else (),
        more=_more(dirs, settings, syslog),
        dnsmasq=dnsmasq.dnsmasq_options(settings.discovery),
        syslog=syslog,
        warnings=(*model.warnings, *haproxy.notes, *syslog.warnings),
    )


def _more(dirs: Dirs, settings: Settings, syslog: Receiver) -> tuple[str, ...]:
    has_registry = os.path.lexists(dirs.state.registry)
    is_wanted = {
        "discovery": bool(sources_of(settings, has_registry=has_registry)),
        "dnsmasq": settings.discovery.hosts.dnsmasq,
        "rsyslogd": bool(syslog.places),
    }
    return tuple(name for name, wanted in is_wanted.items() if wanted)


def _dnsmasq_claims(settings: Settings) -> Iterator[Claim]:
    hosts = settings.discovery.hosts
    if hosts.dnsmasq:
        where = "discovery.hosts.dnsmasq_port"
        yield Claim(where, "dnsmasq", dnsmasq.ADDRESS, hosts.dnsmasq_port)


def _model(
    run: RunDir, settings: Settings, facts: HostFacts, place: Place, inputs: Inputs
) -> ProcessModel:
    peer_host = _peer_host(settings, place, inputs)
    return plan_processes(settings.haproxy, run, facts.cpus, facts.version, peer_host=peer_host)


def _peer_host(settings: Settings, place: Place, inputs: Inputs) -> str:
    """
    What this host is called among peers.

    Raises:
        ConfigError: none of those in lb.yaml is this host.
    """
    source, hosts = inputs.source, settings.haproxy.peers.hosts
    if source is not None and source.kind == "cfg" and has_peers(source.text):
        return ""
    if not hosts:
        return LOCAL
    own = [address for address in hosts if not not_on_this_host(address)]
    if own or place.is_any_host:
        return (*own, hosts[0])[0]
    what = f"{', '.join(hosts)}: none of them is an address of this host: name both hosts' own ones"
    raise ConfigError([Problem("haproxy.peers.hosts", what)])


def _own_problems(
    text: str, inputs: Inputs, place: Place, processes: int, facts: HostFacts
) -> tuple[Problem, ...]:
    """What HAProxy may accept in the operator's file, and this bundle cannot run."""
    source = inputs.source
    if source is None:
        return ()
    return problems_of(
        text,
        absent=place.absent,
        processes=processes,
        runs_as=place.runs_as,
        is_nbproc=facts.version.has_native_nbproc,
        threads_in=facts.version.threads_in,
        name=source.path,
    )


def _bind_problems(settings: Settings, inputs: Inputs, absent: Absent) -> tuple[Problem, ...]:
    """Keys that would have HAProxy bind an address that is not there."""
    http, stats = settings.http, settings.haproxy.stats.bind
    binds = {}
    if inputs.source is None:
        binds["http.bind"] = http.bind
        if inputs.certs:
            binds["http.tls_bind"] = http.tls_bind
    # An operator's file does not say where the statistics are.
    named = [
        (key, bind, one.address, f"bind the port alone: ':{one.port}'")
        for key, bind in binds.items()
        for one in binds_of(f"bind {bind}")
    ]
    way_out = "leave it at 127.0.0.1, or bind every address with '*' and a password_file"
    named.append(("haproxy.stats.bind", stats, stats.strip("[]"), way_out))
    return tuple(
        Problem(key, f"{bind!r}: {reason}: {way_out}")
        for key, bind, address, way_out in named
        if (reason := absent(address))
    )


def _added(
    dirs: Dirs, settings: Settings, facts: HostFacts, model: ProcessModel, password: str | None
) -> dict[Path, str]:
    return process_files(
        model.processes,
        settings,
        dirs.run,
        is_nbproc=facts.version.has_native_nbproc,
        password=password,
        has_exporter=facts.version.has_exporter,
        threads_in=facts.version.threads_in,
    )


def _nginx_texts(dirs: Dirs, facts: HostFacts, haproxy_cfg: str) -> dict[Path, str]:
    return nginx_files(
        dirs.config,
        dirs.run,
        dirs.state,
        hostname=facts.hostname,
        node=facts.node,
        front=front_door([(bind.address, bind.port) for bind in binds_of(haproxy_cfg)]),
        has_http2=facts.nginx.has_http2,
    )


def _stats_claims(settings: Settings, model: ProcessModel) -> Iterator[Claim]:
    stats = settings.haproxy.stats.bind.removeprefix("[").removesuffix("]")
    for process in model.processes:
        yield Claim("haproxy.stats.port_base", "HAProxy", stats, process.stats_port)


def _peer_claims(settings: Settings, model: ProcessModel, haproxy: HaproxyTexts) -> Iterator[Claim]:
    """Where the processes hear of each other's stick tables, if one is copied at all."""
    if not model.peer_host or _PEERS not in haproxy.target.before:
        return
    host = "127.0.0.1" if model.peer_host == LOCAL else model.peer_host
    for process in model.processes:
        port = settings.haproxy.peers.port_base + process.number - 1
        yield Claim("haproxy.peers.port_base", "HAProxy", host, port)
