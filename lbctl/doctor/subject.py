"""
Whom the doctor looks at: the directories, the settings, and the group that is to run here, or runs.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lbctl.errors import LbctlError, Problem, ProblemsError
from lbctl.ha.carp import Password
from lbctl.ha.interfaces import Interface
from lbctl.launch import host
from lbctl.launch.configuration import Dirs
from lbctl.launch.group import group_specs
from lbctl.launch.request import Request, read_request
from lbctl.layout import RunDir
from lbctl.settings.load import load
from lbctl.settings.model import Settings
from lbctl.spec import GroupSpec, read_spec

_CONNECT_S = 1.0


@dataclass(frozen=True, slots=True)
class Subject:
    """
    Attributes:
        request: addresses and password; a running bundle's where nobody gave any.
        settings: the defaults where lb.yaml cannot be used.
        settings_problems: why it cannot.
        is_running: a bundle runs on this run dir.
        pid: of its supervisord; None: not known.
        groups: each with its interface; empty: without a VIP, or one has no interface here.
        group_problems: why there are none.
    """

    dirs: Dirs
    request: Request
    settings: Settings = field(default_factory=Settings)
    settings_problems: tuple[Problem, ...] = ()
    is_running: bool = False
    pid: int | None = None
    groups: tuple[tuple[GroupSpec, Interface], ...] = ()
    group_problems: tuple[Problem, ...] = ()

    @property
    def has_group(self) -> bool:
        return bool(self.request.cidrs)

    @property
    def is_native(self) -> bool:
        return self.has_group and self.settings.ha.engine == "native"


def read_subject(arguments: Sequence[str], dirs: Dirs, environ: Mapping[str, str]) -> Subject:
    """
    Take in arguments, environment, lb.yaml and bundle.json.

    Raises:
        UsageError, ConfigError: the arguments or their kin in the environment are wrong.
    """
    host.widen_path()
    request = read_request(arguments, environ)
    is_running = runs(dirs.run)
    if not arguments and is_running:
        request = _of_bundle(dirs.run)
    settings, settings_problems = Settings(), tuple[Problem, ...]()
    try:
        settings = load(dirs.config, environ=environ)
    except ProblemsError as error:
        settings_problems = error.problems
    groups, group_problems = tuple[tuple[GroupSpec, Interface], ...](), tuple[Problem, ...]()
    if request.cidrs:
        try:
            groups = group_specs(request, settings.ha)
        except ProblemsError as error:
            group_problems = error.problems
        except LbctlError as error:
            group_problems = (Problem("interface", str(error)),)
    return Subject(
        dirs=dirs,
        request=request,
        settings=settings,
        settings_problems=settings_problems,
        is_running=is_running,
        pid=_pid(dirs.run) if is_running else None,
        groups=groups,
        group_problems=group_problems,
    )


def runs(run: RunDir) -> bool:
    """Whether a supervisord listens there; the lock is left alone, since a start might want it."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_CONNECT_S)
            sock.connect(os.fspath(run.supervisor_socket))
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _of_bundle(run: RunDir) -> Request:
    try:
        group = read_spec(run.spec).group
    except LbctlError:
        return Request()
    if group is None:
        return Request()
    try:
        password = Password.read(Path(run.password))
    except ProblemsError:
        password = None
    return Request(group.addresses, password)


def _pid(run: RunDir) -> int | None:
    try:
        return int(run.supervisord_pid.read_text())
    except (OSError, ValueError):
        return None
