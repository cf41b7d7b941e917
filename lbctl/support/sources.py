"""What is asked for help with, and where it stands on this host. No secret's own file is in it."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from lbctl import __version__
from lbctl.agent.eventlog import older
from lbctl.layout import ConfigDir, RunDir, StateDir
from lbctl.spec import TASKS
from lbctl.support import host
from lbctl.support.certificates import describe
from lbctl.support.gather import Source, call, command, file

#: The doctor listens for three seconds, and asks for more.
DOCTOR_S: Final = 9.0
_FILES_MAX: Final = 300
#: Other files of the operator's may be anything: they are listed, and stay.
_TEXTS: Final = (".cfg", ".j2", ".conf", ".yaml", ".yml", ".example")
_RENDERED: Final = (".cfg", ".conf", ".json", ".sh", ".html")
_COMMANDS: Final = {
    "host/ip-addr.txt": ("ip", "-d", "-s", "addr"),
    "host/ip-route.txt": ("ip", "route", "show", "table", "all"),
    "host/ip-rule.txt": ("ip", "rule"),
    "host/ip-neigh.txt": ("ip", "neigh"),
    "host/ip-maddr.txt": ("ip", "maddr"),
    "host/bridge.txt": ("bridge", "-d", "link"),
    "host/sockets.txt": ("ss", "-lntup"),
    "host/nft.txt": ("nft", "list", "ruleset"),
    "host/uname.txt": ("uname", "-a"),
    "host/haproxy.txt": ("haproxy", "-vv"),
    "host/nginx.txt": ("nginx", "-V"),
    "host/journal.txt": (
        "journalctl",
        "-u",
        "lbctl",
        "-n",
        "3000",
        "--no-pager",
        "-o",
        "short-iso",
    ),
    "host/kernel.txt": ("journalctl", "-k", "-n", "500", "--no-pager", "-o", "short-iso"),
}
_OF_THE_KERNEL: Final = (
    "meminfo",
    "loadavg",
    "uptime",
    "net/dev",
    "net/igmp",
    "net/snmp",
    "net/netstat",
)

Ask = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Places:
    """
    Where to look.

    Attributes:
        ask: the agent's API: path -> JSON; raises LbctlError.
        has_doctor: whether this lbctl has the command.
    """

    config: ConfigDir
    run: RunDir
    state: StateDir
    ask: Ask
    has_doctor: bool


def sources(places: Places) -> tuple[Source, ...]:
    """All of them, the most telling first: where the archive would get too big, the last stay."""
    return (
        *_of_the_bundle(places),
        *_of_the_operator(places.config),
        *_of_the_run_dir(places.run),
        *_of_the_host(places),
    )


def secrets(run: RunDir, environ: Mapping[str, str]) -> tuple[list[str], str | None]:
    """The CARP password as far as it can be known; and why not, where it cannot."""
    found, failure = [], None
    given = environ.get("LBCTL_PASSWORD_FILE")
    for path in (run.password, *([Path(given)] if given else [])):
        try:
            found.append(path.read_text(errors="replace").removesuffix("\n"))
        except FileNotFoundError:
            continue
        except OSError as error:
            failure = f"{path}: {error.strerror}"
    found += [environ[name] for name in ("PASSWORD", "LBCTL_PASSWORD") if environ.get(name)]
    return found, failure if not found else None


def _of_the_bundle(places: Places) -> Iterator[Source]:
    for path in ("status", "stats", "events"):
        yield call(f"api/{path}.json", partial(_asked, places.ask, f"/v1/{path}"))
    yield call("api/readyz.json", partial(_asked, places.ask, "/readyz"))
    state = places.state
    for one in (state.history, state.events):
        yield file(f"state/{one.name}", one, is_tail=True)
        if _is_there(older(one)):
            yield file(f"state/{one.stem}-older{one.suffix}", older(one), is_tail=True)
    for one in (state.pause, state.carp):
        if _is_there(one):
            yield file(f"state/{one.name}", one)
    yield call("state/LISTING.txt", partial(listing, state.root))
    yield file("run/supervisord.log", places.run.supervisord_log, is_tail=True)


def _of_the_operator(config: ConfigDir) -> Iterator[Source]:
    yield call("config/LISTING.txt", partial(listing, config.root))
    for path in _files(config.root):
        is_private = path.is_relative_to(config.certs) or path.is_relative_to(config.hooks_d)
        if path.suffix in _TEXTS and not is_private:
            yield file(f"config/{path.relative_to(config.root)}", path)


def _of_the_run_dir(run: RunDir) -> Iterator[Source]:
    yield call("run/LISTING.txt", partial(listing, run.root))
    for path in _files(run.root):
        # A generation holds keys; what was said of one does not.
        is_verdict = path in (run.verdict(task) for task in TASKS)
        places = (run.certs, run.trial, *(() if is_verdict else (run.inputs,)))
        is_private = path == run.password or any(map(path.is_relative_to, places))
        if path.suffix in _RENDERED and not is_private:
            yield file(f"run/{path.relative_to(run.root)}", path)


def _of_the_host(places: Places) -> Iterator[Source]:
    yield call("host/versions.txt", _versions)
    yield call("host/sysctls.txt", host.sysctls)
    yield call("host/cgroup.txt", host.cgroup)
    yield call("host/own-rights.txt", host.own_rights)
    yield call("host/processes.txt", partial(host.processes, places.run))
    pems = [*_files(places.config.certs), *_files(places.run.certs), places.state.self_signed]
    yield call("host/certificates.txt", partial(describe, pems))
    for name in _OF_THE_KERNEL:
        yield file(f"host/{name.replace('/', '-')}.txt", Path("/proc") / name)
    yield file("host/os-release.txt", Path("/etc/os-release"))
    for name, argv in _COMMANDS.items():
        yield command(name, argv)
    if places.has_doctor:
        yield command("host/doctor.json", _doctor(places), limit_s=DOCTOR_S)


def _doctor(places: Places) -> list[str]:
    return [
        *(sys.executable, "-m", "lbctl", "doctor", "--json"),
        f"--config-dir={places.config.root}",
        f"--run-dir={places.run.root}",
        f"--state-dir={places.state.root}",
    ]


def _asked(ask: Ask, path: str) -> str:
    return json.dumps(ask(path))


def _versions() -> str:
    words = os.uname()
    return (
        f"lbctl {__version__}\npython {sys.version.split()[0]} at {sys.executable}\n"
        f"kernel {words.release} {words.machine}\ntime {time.strftime('%Y-%m-%d %H:%M:%S %z')}\n"
    )


def listing(root: Path) -> str:
    """
    Mode, owner, size, time and name of everything in *root*.

    Raises:
        OSError: it is not there, or cannot be entered.
    """
    root.stat()
    lines = [_entry(path, root) for path in (root, *_walk(root))]
    return "\n".join(lines) + "\n"


def _entry(path: Path, root: Path) -> str:
    try:
        status = path.lstat()
    except OSError as error:
        return f"? {path.relative_to(root)}: {error.strerror}"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.st_mtime))
    to = f" -> {path.readlink()}" if path.is_symlink() else ""
    return (
        f"{status.st_mode:06o} {status.st_uid}:{status.st_gid} {status.st_size:>9} {when} "
        f"{path.relative_to(root)}{to}"
    )


def _files(root: Path) -> Iterator[Path]:
    return (path for path in _walk(root) if _is_there(path, is_file=True))


def _is_there(path: Path, *, is_file: bool = False) -> bool:
    """What is in a closed directory is: reading it says why it cannot be had."""
    try:
        status = path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) or not is_file


def _walk(root: Path) -> Iterator[Path]:
    """What is beneath *root*, sorted, some hundreds at most; links to directories not followed."""
    count = 0
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *names)):
            count += 1
            if count > _FILES_MAX:
                return
            yield Path(folder) / name
