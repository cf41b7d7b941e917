"""
``lbctl check`` and ``lbctl render``: the same configuration as ``lbctl run``, and nothing starts.

The run dir is only looked at. Where programs must read files these are in a directory that is gone
afterwards, and a certificate made for the occasion stands in for the node's own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lbctl.errors import LbctlError, Problem, ValidationError
from lbctl.haproxy.cfg import nothing_is_absent
from lbctl.launch import host, identity, tree
from lbctl.launch.absent import not_on_this_host, only_on_the_master
from lbctl.launch.apart import apart
from lbctl.launch.collect import Collector
from lbctl.launch.configuration import Configuration, Dirs, HostFacts, Place, configure
from lbctl.launch.hooks_d import hook_programs
from lbctl.launch.inputs import Inputs, read_inputs
from lbctl.launch.judge import Host, judge_host
from lbctl.launch.known import with_saved, with_snapshots
from lbctl.launch.request import Request
from lbctl.launch.start import supervisor_text
from lbctl.launch.trial import Trial, tried
from lbctl.layout import RunDir, StateDir
from lbctl.model.service import Snapshot
from lbctl.settings.load import load
from lbctl.settings.model import Settings
from lbctl.settings.transfer import keeping, restart_keys
from lbctl.spec import BundleSpec, read_spec

_MASK = "***"
_ANY_NODE = "0" * 16


def rehearse(dirs: Dirs, environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """
    Judge lb.yaml, haproxy.cfg and nginx.d as a start would, but for the network and the ports.

    Returns:
        What is right, a line for each part, and warnings.

    Raises:
        ConfigError, ValidationError: with every problem.
    """
    host.widen_path()
    settings = load(dirs.config, environ=environ)
    warnings: list[str] = []
    collector = Collector()
    collector.add((*dirs.problems(), *tree.path_problems(dirs.run)))
    fit_host = collector.attempt(lambda: judge_host(Request(), settings, warnings.append))
    collector.raise_if_any()
    assert fit_host is not None
    with _room_for(dirs, fit_host) as elsewhere:
        trial = Trial(
            elsewhere,
            dirs.run,
            settings,
            fit_host,
            _facts(fit_host, _ANY_NODE),
            _place(dirs, fit_host),
            _running(dirs.run),
        )
        inputs = read_inputs(dirs.config, settings)
        configuration, said = _tried(trial, with_saved(settings, dirs.state), inputs)
    return _what_is_right(dirs, configuration, fit_host), [*warnings, *said]


def _tried(trial: Trial, known: Settings, inputs: Inputs) -> tuple[Configuration, tuple[str, ...]]:
    """With what sources of services said last, which the operator does not answer for."""
    if known is trial.settings:
        return tried(trial, inputs)
    try:
        return tried(replace(trial, settings=known), inputs)
    except ValidationError as error:
        configuration, said = tried(trial, inputs)
        doubts = (f"{one}; it is about services that were found" for one in error.problems)
        return configuration, (*said, *doubts)


def _what_is_right(dirs: Dirs, configuration: Configuration, fit_host: Host) -> list[str]:
    has_settings = dirs.config.settings.exists()
    source = configuration.source or "haproxy.cfg (generated)"
    count = len(configuration.model.processes)
    sites = len(list(dirs.config.nginx_d.glob("*.conf")))
    hooks = len(hook_programs(dirs.config))
    return [
        f"{dirs.config.settings}{'' if has_settings else ' (none: defaults)'}",
        f"{source}: HAProxy {fit_host.version}, {count} process{'' if count == 1 else 'es'}",
        f"{dirs.config.nginx_d}/*.conf: {sites} file{'' if sites == 1 else 's'}",
        *([f"{dirs.config.hooks_d}: {hooks} program{'' if hooks == 1 else 's'}"] if hooks else []),
    ]


@dataclass(frozen=True, slots=True)
class Texts:
    """
    Attributes:
        by_path: every file.
        place: the one among them that holds services.
        secrets: what of it must not be shown.
        refused: services that are not in it, and why.
    """

    by_path: Mapping[Path, str] = field(repr=False)
    place: Path
    secrets: tuple[str, ...] = field(repr=False)
    refused: tuple[str, ...]


def texts(
    dirs: Dirs,
    environ: Mapping[str, str],
    snapshots: Sequence[Snapshot] = (),
    running: Settings | None = None,
) -> Texts:
    """
    What ``lbctl run`` would write into the run dir.

    With a bundle's run dir the virtual addresses are the ones it was started with.

    Args:
        snapshots: what sources of services said.
        running: settings whose keys that only a start can change count; None: those on disk.

    Raises:
        ConfigError, ValidationError: with every problem.
    """
    host.widen_path()
    settings = load(dirs.config, environ=environ)
    if running is not None:
        settings = keeping(running, settings, restart_keys(running, settings))
    collector = Collector()
    collector.add(dirs.problems())
    fit_host = collector.attempt(lambda: judge_host(Request(), settings, lambda _: None))
    collector.raise_if_any()
    assert fit_host is not None
    spec = _running(dirs.run)
    fit_host = replace(fit_host, groups=spec.groups if spec else ())
    facts = _facts(fit_host, identity.read_node_id(dirs.state) or _ANY_NODE)
    place = _place(dirs, fit_host)
    known = with_snapshots(settings, snapshots)
    if known is settings:
        refused: tuple[Problem, ...] = ()
        configuration = configure(dirs, settings, facts, place)
    else:
        configuration, refused = apart(
            settings, lambda some: configure(dirs, some, facts, place), with_known=known
        )
    configuration = configuration.with_states(dirs.state)
    written = {
        **configuration.texts,
        dirs.run.supervisord_conf: supervisor_text(dirs, configuration, fit_host),
    }
    secrets = (configuration.password,) if configuration.password else ()
    return Texts(written, configuration.haproxy.place, secrets, tuple(map(str, refused)))


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """*text* without what must not be shown, in the form in which HAProxy's files have it too."""
    for secret in secrets:
        quoted = "".join(f"\\{sign}" if sign in '\\"$' else sign for sign in secret)
        text = text.replace(quoted, _MASK).replace(secret, _MASK)
    return text


def _facts(fit_host: Host, node: str) -> HostFacts:
    return HostFacts.here(fit_host.version, node, fit_host.nginx)


def _place(dirs: Dirs, fit_host: Host) -> Place:
    """Where a bundle runs, this host with its VIP; else any host, and nobody says with which."""
    spec = _running(dirs.run)
    virtual = [address for group in spec.groups for address in group.addresses] if spec else []
    absent = only_on_the_master(virtual) if virtual else not_on_this_host
    if host.binds_nonlocal():
        absent = nothing_is_absent
    runs_as = host.names_of(fit_host.privileges.account)
    return Place(absent, is_any_host=spec is None, runs_as=runs_as)


def _running(run: RunDir) -> BundleSpec | None:
    try:
        return read_spec(run.spec)
    except LbctlError:
        return None


def _room(run: RunDir) -> Path:
    """
    Where files may lie for a moment: a container with a read-only root has /run and no /tmp.

    Never the current directory, :mod:`tempfile`'s last resort: that is the operator's, and a key is
    among the files.
    """
    named = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    for one in (*named, "/tmp", "/var/tmp"):
        if one and os.access(one, os.W_OK | os.X_OK):
            return Path(one).absolute()
    return run.root.parent


@contextmanager
def _room_for(dirs: Dirs, fit_host: Host) -> Iterator[Dirs]:
    room = _room(dirs.run)
    with tree.writing("TMPDIR", room):
        root = Path(tempfile.mkdtemp(prefix="lbctl-check-", dir=room))
    try:
        # The unprivileged user must get through; what is secret has modes of its own.
        root.chmod(0o755)
        elsewhere = replace(dirs, run=RunDir(root / "run"), state=StateDir(root / "state"))
        elsewhere.state.root.mkdir(mode=0o755)
        account = fit_host.privileges.account
        identity.ensure_self_signed(elsewhere.state, account, os.uname().nodename)
        yield elsewhere
    finally:
        shutil.rmtree(root, ignore_errors=True)
