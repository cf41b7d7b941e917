"""
rsyslogd in the bundle: it receives what a haproxy.cfg logs by syslog to this host, and passes it on
to the bundle's log. It runs where nobody else receives it; it never makes HAProxy wait, since both
ways into it lose what it cannot take.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lbctl.errors import Problem
from lbctl.haproxy.logs import SYSLOG_PORT, log_places
from lbctl.layout import RunDir
from lbctl.settings.discovery import Syslog

PROGRAM: Final = "rsyslogd"
_PACKAGE: Final = "rsyslog"
#: Lines that wait where logd reads slowly; more are lost.
_QUEUE: Final = 10_000

_CONF: Final = """\
# Written by lbctl; the next start writes it anew.
global(net.enableDNS="off" maxMessageSize="64k" workDirectory="/")
main_queue(queue.type="LinkedList" queue.size="{queue}" queue.timeoutEnqueue="0")
template(name="line" type="string"
    string="%syslogtag%%msg:::sp-if-no-1st-sp%%msg:::drop-last-lf%\\n")
{inputs}action(type="ompipe" pipe="{fifo}" template="line"
    action.resumeInterval="1" action.resumeRetryCount="-1")
"""


@dataclass(frozen=True, slots=True)
class Receiver:
    """
    Attributes:
        places: where it receives; empty: it does not run.
        warnings: what is lost, and why.
        problems: why the bundle cannot be as lb.yaml wants it.
    """

    places: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def has_path(self) -> bool:
        """It makes a socket in a directory that is root's."""
        return any(one.startswith("/") for one in self.places)


def receiver(wanted: Syslog, text: str, running: str = "") -> Receiver:
    """
    What is to run, as far as this host lets it.

    Args:
        text: of haproxy.cfg.
        running: its configuration, where the bundle runs already: these places are its own.
    """
    if wanted.run == "no":
        return Receiver()
    places = tuple(map(_with_port, wanted.listen)) or log_places(text)
    if wanted.run == "auto":
        places = tuple(one for one in places if _input(one) in running or is_free(one))
    others = [one for one in places if _input(one) not in running]
    problems = [what for one in others if (what := _obstacle(one))]
    if places and shutil.which(PROGRAM) is None:
        problems = [f"{PROGRAM} is not installed: install the Debian package {_PACKAGE}"]
    if wanted.run == "yes":
        if not places:
            lost = "syslog.run: haproxy.cfg logs to no place on this host: set syslog.listen"
            return Receiver(warnings=(f"{lost}; {PROGRAM} does not run",))
        return Receiver(places, problems=tuple(Problem("syslog.run", one) for one in problems))
    if problems:
        lost = f"what HAProxy logs to {', '.join(places)} is lost: nobody receives it there"
        return Receiver(warnings=tuple(f"syslog: {lost}, and {one}" for one in problems))
    return Receiver(places)


def rsyslogd_conf(run: RunDir, places: tuple[str, ...]) -> str:
    """Its configuration."""
    fifo = run.log_fifo(PROGRAM)
    return _CONF.format(queue=_QUEUE, inputs="".join(_inputs(places)), fifo=fifo)


def rsyslogd_options(run: RunDir) -> tuple[str, ...]:
    """Its command line behind the program's name."""
    return ("-n", "-i", "NONE", "-f", str(run.rsyslogd_conf))


def running_conf(run: RunDir) -> str:
    """The configuration of the one that runs; empty: none does."""
    try:
        return run.rsyslogd_conf.read_text()
    except OSError:
        return ""


def is_free(place: str) -> bool:
    """Nobody receives there."""
    if place.startswith("/"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(place)
            except OSError as error:
                return error.errno in (errno.ENOENT, errno.ECONNREFUSED)
            return False
    return _bind(place) != errno.EADDRINUSE


def _inputs(places: tuple[str, ...]) -> Iterator[str]:
    if any(one.startswith("/") for one in places):
        yield 'module(load="imuxsock" SysSock.Use="off")\n'
    if any(not one.startswith("/") for one in places):
        yield 'module(load="imudp")\n'
    yield from map(_input, places)


def _input(place: str) -> str:
    if place.startswith("/"):
        return f'input(type="imuxsock" socket="{place}")\n'
    host, port = _split(place)
    return f'input(type="imudp" address="{host}" port="{port}")\n'


def _obstacle(place: str) -> str:
    """Why rsyslogd cannot receive at *place*; empty: it can."""
    if not is_free(place):
        return f"{place}: another program receives there already: end it, or set syslog.run: auto"
    if place.startswith("/"):
        home = Path(place).parent
        who = "root without its capabilities" if os.geteuid() == 0 else f"user {os.geteuid()}"
        return "" if _may_make(home) else f"{place}: {who} may not make a socket in {home}"
    code = _bind(place)
    if code in (errno.EACCES, errno.EPERM):
        return f"{place}: a port below 1024 needs the capability NET_BIND_SERVICE"
    return f"{place}: {os.strerror(code)}" if code else ""


def _may_make(home: Path) -> bool:
    try:
        found = home.stat()
    except OSError:
        return False
    if os.geteuid() != 0:
        return os.access(home, os.W_OK | os.X_OK)
    mine = stat.S_IWUSR if found.st_uid == 0 else stat.S_IWOTH
    return stat.S_ISDIR(found.st_mode) and bool(found.st_mode & mine)


def _bind(place: str) -> int:
    """The error number of receiving there, 0 when it can be."""
    host, port = _split(place)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((host, port))
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def _split(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port)


def _with_port(place: str) -> str:
    """As lb.yaml has it: a path, or an address with a port or without."""
    if place.startswith("/"):
        return place
    host, _, port = place.rpartition(":")
    if place.endswith("]") or not host or (place.count(":") > 1 and not place.startswith("[")):
        bare = place.strip("[]")
        return f"[{bare}]:{SYSLOG_PORT}" if ":" in bare else f"{bare}:{SYSLOG_PORT}"
    return f"{host}:{port}"
