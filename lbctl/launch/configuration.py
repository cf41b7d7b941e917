"""
The configuration that is to run: the operator's files and lb.yaml become the text of every file
that HAProxy and nginx load. It reads the config dir and writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lbctl.errors import Problem, RenderError, ValidationError
from lbctl.haproxy.cfg import Absent, binds_of, nothing_is_absent, problems_of
from lbctl.haproxy.cpus import Cpus, usable_cpus
from lbctl.haproxy.processes import ProcessModel, plan_processes
from lbctl.haproxy.version import HaproxyVersion
from lbctl.launch.collect import Collector
from lbctl.launch.ports import Claim
from lbctl.layout import ConfigDir, RunDir, StateDir
from lbctl.nginx.check import Dialect
from lbctl.render.haproxy import generated_cfg, process_files
from lbctl.render.nginx import front_door, nginx_files
from lbctl.settings.model import Settings

#: A path with one of these would mean something else in one of the files that name it.
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@=,:~")


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
        model: HAProxy's processes.
        source: the operator's file that HAProxy's configuration comes from; None: generated.
        texts: every file by path, all for the unprivileged user; process files hold a password.
        certs: by path in the run dir, what ``certs/*.pem`` hold.
        claims: the ports that HAProxy is to listen on.
        binds: of the generated frontend; empty with the operator's own file.
        password: of the stats listeners.
        warnings: what works, and is worth a thought.
    """

    model: ProcessModel
    source: Path | None
    texts: Mapping[Path, str]
    certs: Mapping[Path, bytes]
    claims: tuple[Claim, ...]
    binds: tuple[str, ...]
    password: str | None
    warnings: tuple[str, ...]


def configure(
    dirs: Dirs, settings: Settings, facts: HostFacts, place: Place = HERE
) -> Configuration:
    """
    Read and render everything.

    Raises:
        ValidationError, ConfigError: with every problem.
    """
    collector = Collector()
    model = collector.attempt(
        lambda: plan_processes(settings.haproxy, dirs.run, facts.cpus, facts.version)
    )
    certs = collector.attempt(lambda: _read_certs(dirs))
    password = collector.attempt(lambda: read_stats_password(settings))
    sourced = collector.attempt(lambda: _haproxy_text(dirs, settings, has_certs=bool(certs)))
    if model is not None and sourced is not None:
        processes = place.processes(settings, len(model.processes))
        collector.add(_own_problems(sourced, place, processes, facts))
        collector.add(_bind_problems(settings, sourced, place.absent, has_certs=bool(certs)))
    collector.raise_if_any()
    assert model is not None
    assert certs is not None
    assert sourced is not None
    text, source = sourced.text, sourced.path
    tls = (settings.http.tls_bind,) if certs else ()
    return Configuration(
        model=model,
        source=source,
        texts={
            dirs.run.haproxy_cfg: text,
            **_process_texts(dirs, settings, facts, model, password),
            **_nginx_texts(dirs, facts, text),
        },
        certs=certs,
        claims=_claims(text, source, settings, model),
        binds=(settings.http.bind, *tls) if source is None else (),
        password=password,
        warnings=model.warnings,
    )


def _own_problems(
    sourced: _Sourced, place: Place, processes: int, facts: HostFacts
) -> tuple[Problem, ...]:
    """What HAProxy may accept in the operator's file, and this bundle cannot run."""
    if sourced.path is None:
        return ()
    return problems_of(
        sourced.text,
        absent=place.absent,
        processes=processes,
        runs_as=place.runs_as,
        is_nbproc=facts.version.has_native_nbproc,
        threads_in=facts.version.threads_in,
        name=str(sourced.path),
    )


def _bind_problems(
    settings: Settings, sourced: _Sourced, absent: Absent, *, has_certs: bool
) -> tuple[Problem, ...]:
    """Keys that would have HAProxy bind an address that is not there."""
    http, stats = settings.http, settings.haproxy.stats.bind
    binds = {}
    if sourced.path is None:
        binds["http.bind"] = http.bind
        if has_certs:
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


def _process_texts(
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


@dataclass(frozen=True, slots=True)
class _Sourced:
    """HAProxy's configuration, and the operator's file it comes from."""

    text: str
    path: Path | None


def _haproxy_text(dirs: Dirs, settings: Settings, *, has_certs: bool) -> _Sourced:
    own, template = dirs.config.haproxy_cfg, dirs.config.haproxy_template
    has_own, has_template = _exists(own), _exists(template)
    if has_own and has_template:
        what = f"there is also {template.name}, and only one of them can run: remove one"
        raise ValidationError([Problem(str(own), what)])
    if has_own:
        return _Sourced(_read(own).decode("utf-8", "surrogateescape"), own)
    path = template if has_template else None
    text = generated_cfg(settings, dirs.run, has_certs=has_certs, template=path)
    return _Sourced(text, path)


def _exists(path: Path) -> bool:
    """A link that leads nowhere counts: it is meant to be there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ValidationError([Problem(str(path), f"cannot be read: {error.strerror}")]) from error
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError as error:
        what = "it is a directory; a file to mount that is missing becomes one"
        raise ValidationError([Problem(str(path), what)]) from error
    except OSError as error:
        raise ValidationError([Problem(str(path), f"cannot be read: {error.strerror}")]) from error


def _read_certs(dirs: Dirs) -> dict[Path, bytes]:
    try:
        paths = sorted(dirs.config.certs.glob("*.pem"))
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise ValidationError([Problem(str(dirs.config.certs), what)]) from error
    return {dirs.run.certs / path.name: _read(path) for path in paths}


def read_stats_password(settings: Settings) -> str | None:
    """
    The password of the stats listeners, without its trailing newline; None: none is asked for.

    Raises:
        ValidationError: its file cannot be read.
    """
    name = settings.haproxy.stats.password_file
    if name is None:
        return None
    try:
        return _read(Path(name)).decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise RenderError([Problem(name, "the stats password is not UTF-8")]) from error


def _claims(
    text: str, source: Path | None, settings: Settings, model: ProcessModel
) -> tuple[Claim, ...]:
    name = "http.bind" if source is None else str(source)
    stats = settings.haproxy.stats.bind.removeprefix("[").removesuffix("]")
    return (
        *(
            Claim(name if source is None else f"{name}:{b.line}", "HAProxy", b.address, b.port)
            for b in binds_of(text)
        ),
        *(
            Claim("haproxy.stats.port_base", "HAProxy", stats, process.stats_port)
            for process in model.processes
        ),
    )
