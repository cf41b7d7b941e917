"""
A configuration on disk, judged by the programs that are to run it, as the user that will run them.

The same for ``lbctl run``, in the run dir itself, and for ``lbctl check``, in a directory that is
gone afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lbctl.errors import CheckError
from lbctl.haproxy.check import check_configuration
from lbctl.launch.collect import Collector
from lbctl.launch.configuration import Configuration, Dirs
from lbctl.launch.ports import Claim
from lbctl.launch.privileges import Kind, Privileges
from lbctl.launch.tree import File
from lbctl.nginx.check import Accepted, check


def files_of(configuration: Configuration, privileges: Privileges) -> Iterator[File]:
    """Everything that the unprivileged user's programs load; some of it is secret."""
    for path, text in configuration.texts.items():
        content = text.encode("utf-8", "surrogateescape")
        yield File(path, content, 0o600, privileges.account)
    for path, pem in configuration.certs.items():
        yield File(path, pem, 0o600, privileges.account)


def verify(
    dirs: Dirs,
    configuration: Configuration,
    privileges: Privileges,
    binaries: Mapping[str, str],
    nginx_options: Iterable[str],
    *,
    may_bind: bool = True,
) -> tuple[Accepted, tuple[str, ...]]:
    """
    Ask HAProxy and nginx.

    Args:
        dirs: the run dir holds the files already.
        binaries: paths of haproxy and nginx.
        nginx_options: see :class:`lbctl.nginx.check.Dialect`.
        may_bind: ports below 1024 can be bound here.

    Returns:
        nginx's verdict, and HAProxy's warnings.

    Raises:
        ValidationError: one of them refused; every message of both.
    """
    collector = Collector()
    nginx = (binaries["nginx"], *nginx_options, "-c", str(dirs.run.nginx_conf))
    accepted = collector.attempt(
        lambda: check((*privileges.prefix(Kind.SERVER), *nginx), may_bind=may_bind)
    )
    with _inside(working_directory(dirs)):
        warnings = collector.attempt(
            lambda: _ask_haproxy(dirs, configuration, privileges, binaries["haproxy"])
        )
    collector.raise_if_any()
    assert accepted is not None
    assert warnings is not None
    return accepted, warnings


def working_directory(dirs: Dirs) -> Path:
    """Where HAProxy runs: the operator's files name others relative to their own directory."""
    return dirs.config.root if dirs.config.root.is_dir() else dirs.run.root


def nginx_claims(dirs: Dirs, accepted: Accepted) -> Iterator[Claim]:
    """The ports that nginx is to listen on."""
    for address, port in accepted.listens:
        yield Claim(f"{dirs.config.nginx_d}/*.conf", "nginx", address, port)


def _ask_haproxy(
    dirs: Dirs, configuration: Configuration, privileges: Privileges, binary: str
) -> tuple[str, ...]:
    # The programs' files differ in nothing but numbers: one verdict is everybody's.
    first = configuration.model.programs[0]
    try:
        said = check_configuration(
            binary,
            configuration.model.files(first, dirs.run),
            run_as=privileges.account.name if privileges.is_root else None,
            shown=configuration.haproxy.shown,
            peer=configuration.model.peer(first),
        )
    except CheckError as error:
        known = [replace(one, what=_as_known(one.what, dirs)) for one in error.problems]
        raise CheckError(map(configuration.haproxy.of_service, known)) from error
    return tuple(_as_known(one, dirs) for one in said)


def _as_known(said: str, dirs: Dirs) -> str:
    """With certificates called what the operator calls them, who may have no run dir yet."""
    return said.replace(f"{dirs.run.certs}/", f"{dirs.config.certs}/")


@contextmanager
def _inside(directory: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)
