"""
``lbctl check`` and ``lbctl render``: the same configuration as ``lbctl run``, and nothing starts.

The run dir is only looked at. Where programs must read files these are in a directory that is gone
afterwards, and a certificate made for the occasion stands in for the node's own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lbctl.errors import LbctlError, Problem
from lbctl.haproxy.cfg import nothing_is_absent
from lbctl.launch import host, identity, tree
from lbctl.launch.absent import not_on_this_host, only_on_the_master
from lbctl.launch.collect import Collector
from lbctl.launch.configuration import Configuration, Dirs, HostFacts, Place, configure
from lbctl.launch.hooks_d import hook_programs, hooks_d_problems, hooks_d_warnings
from lbctl.launch.judge import Host, judge_host
from lbctl.launch.looks import look_problems, look_warnings
from lbctl.launch.ports import clashes
from lbctl.launch.programs import program_names
from lbctl.launch.request import Request
from lbctl.launch.start import supervisor_text
from lbctl.launch.verify import files_of, nginx_claims, verify
from lbctl.layout import RunDir, StateDir
from lbctl.settings.load import load
from lbctl.settings.model import Settings
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
    with _stage(dirs, fit_host) as staged:
        facts = _facts(fit_host, _ANY_NODE)
        configuration = configure(staged, settings, facts, _place(dirs, fit_host))
        account = fit_host.privileges.account
        tree.make(staged.run, account, (), own=())
        tree.write(files_of(configuration, fit_host.privileges))
        accepted, said = verify(
            staged,
            configuration,
            fit_host.privileges,
            fit_host.binaries,
            fit_host.nginx.options,
            may_bind=fit_host.privileges.may_bind,
        )
        collector.add(clashes([*configuration.claims, *nginx_claims(staged, accepted)]))
    looks, doubts = _look(dirs, settings, configuration, fit_host)
    collector.add(looks)
    collector.add(hooks_d_problems(dirs.config, fit_host.privileges))
    collector.raise_if_any()
    return _what_is_right(dirs, configuration, fit_host), [
        *warnings,
        *doubts,
        *hooks_d_warnings(dirs.config),
        *configuration.warnings,
        *accepted.warnings,
        *said,
    ]


def _look(
    dirs: Dirs, settings: Settings, configuration: Configuration, fit_host: Host
) -> tuple[list[Problem], list[str]]:
    """What ``ha.track`` asks for and is not here: wrong where the bundle runs, else a warning."""
    spec = _running(dirs.run)
    names = program_names(configuration.model, settings.ha.engine)
    groups = spec.groups if spec else ()
    found = list(look_problems(fit_host.checks, fit_host.privileges, names, groups))
    if spec is not None:
        return found, list(look_warnings(fit_host.checks))
    return [], [f"{problem}; another host may have it" for problem in found]


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


def texts(dirs: Dirs, environ: Mapping[str, str]) -> tuple[dict[Path, str], tuple[str, ...]]:
    """
    What ``lbctl run`` would write into the run dir, by path, and the secrets in it.

    With a bundle's run dir the virtual addresses are the ones it was started with.

    Raises:
        ConfigError, ValidationError: with every problem.
    """
    host.widen_path()
    settings = load(dirs.config, environ=environ)
    collector = Collector()
    collector.add(dirs.problems())
    fit_host = collector.attempt(lambda: judge_host(Request(), settings, lambda _: None))
    collector.raise_if_any()
    assert fit_host is not None
    spec = _running(dirs.run)
    fit_host = replace(fit_host, groups=spec.groups if spec else ())
    facts = _facts(fit_host, identity.read_node_id(dirs.state) or _ANY_NODE)
    configuration = configure(dirs, settings, facts, _place(dirs, fit_host))
    written = {
        **configuration.texts,
        dirs.run.supervisord_conf: supervisor_text(dirs, configuration, fit_host),
    }
    return written, (configuration.password,) if configuration.password else ()


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
def _stage(dirs: Dirs, fit_host: Host) -> Iterator[Dirs]:
    room = _room(dirs.run)
    with tree.writing("TMPDIR", room):
        root = Path(tempfile.mkdtemp(prefix="lbctl-check-", dir=room))
    try:
        # The unprivileged user must get through; what is secret has modes of its own.
        root.chmod(0o755)
        staged = replace(dirs, run=RunDir(root / "run"), state=StateDir(root / "state"))
        staged.run.root.mkdir(mode=0o755)
        staged.state.root.mkdir(mode=0o755)
        account = fit_host.privileges.account
        identity.ensure_self_signed(staged.state, account, os.uname().nodename)
        yield staged
    finally:
        shutil.rmtree(root, ignore_errors=True)
