"""
Sources of services, as far as this host lets them be asked: the rights that it takes, and warnings
where they are not to be had. Whether a source answers is seen when it is asked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lbctl.launch.privileges import Kind, Privileges, may
from lbctl.settings.discovery import IN_CLUSTER, SERVICE_ACCOUNT
from lbctl.settings.model import Settings

_UNIX: Final = "unix://"
_DOCKER: Final = "discovery.docker.url"


def socket_gid(settings: Settings) -> int | None:
    """The group that may use the socket of Docker; None: there is none, or none is needed."""
    path = _path_of(settings.discovery.docker.url)
    try:
        found = path and path.stat()
    except OSError:
        return None
    if not found or not stat.S_ISSOCK(found.st_mode) or found.st_mode & stat.S_IWOTH:
        return None
    return found.st_gid if found.st_mode & stat.S_IWGRP else None


def source_warnings(settings: Settings, privileges: Privileges) -> Iterator[str]:
    """What of the sources cannot work on this host as it is now."""
    discovery = settings.discovery
    yield from _socket_warnings(_DOCKER, discovery.docker.url, privileges)
    yield from _socket_warnings("discovery.consul.url", discovery.consul.url, privileges)
    yield from _token_warnings(settings, privileges)
    hosts = discovery.hosts.path
    if hosts is not None and not os.path.lexists(hosts):
        yield f"discovery.hosts.path: {hosts} is not there: it is read when it is"
    elif hosts is not None and not may(privileges, Kind.FINDER, "-r", hosts):
        who = privileges.account.name
        yield f"discovery.hosts.path: {hosts}: user {who} may not read it: chmod o+r {hosts}"


def _token_warnings(settings: Settings, privileges: Privileges) -> Iterator[str]:
    """A pod's token is another one every hour: whoever asks must read it himself."""
    kubernetes = settings.discovery.kubernetes
    default = f"{SERVICE_ACCOUNT}/token" if kubernetes.url == IN_CLUSTER else None
    path = kubernetes.token_file or default
    if kubernetes.url is None or path is None or not os.path.lexists(path):
        return
    if not may(privileges, Kind.FINDER, "-r", path):
        who = privileges.account.name
        what = f"user {who} may not read it: a token that is replaced there counts after a reload"
        yield f"discovery.kubernetes.token_file: {path}: {what}"


def _path_of(url: str | None) -> Path | None:
    is_unix = url is not None and url.startswith(_UNIX)
    return Path(url.removeprefix(_UNIX)) if url is not None and is_unix else None


def _socket_warnings(key: str, url: str | None, privileges: Privileges) -> Iterator[str]:
    path = _path_of(url)
    if path is None:
        return
    if not path.exists():
        again = "; its group's rights come with the next start of lbctl" if key == _DOCKER else ""
        yield f"{key}: {path} is not there: it is asked when it is{again}"
    elif not may(privileges, Kind.FINDER, "-w", str(path)):
        who = privileges.account.name
        yield f"{key}: {path}: user {who} may not use it, and finds nothing there: {_way_out(path)}"


def _way_out(path: Path) -> str:
    """Root's own sockets are for root; a group would do."""
    if "podman" in path.parts:
        return (
            "give it a group (SocketGroup= and SocketMode=0660 in podman.socket, and a directory "
            "that others may enter), or put a proxy in front that lets GET through"
        )
    return (
        "give it a group that may write (srw-rw----), in directories that others may enter, or put "
        "a proxy in front that lets GET through"
    )
