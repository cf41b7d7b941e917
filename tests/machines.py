"""
A Debian machine on a lab host: a fresh root file system, and systemd as its first process.

It has namespaces of its own for mounts, processes, name and control groups, and the network of its
lab host. What it lacks of a real machine is a kernel of its own and the way out to the world: for
``apt`` and ``pip`` a command is run *online*, in the network of the tests themselves.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from lbctl.lab.bundle import children_of
from lbctl.lab.hosts import Host, run
from lbctl.lab.process import Process
from lbctl.lab.wait import LabError, wait_until
from tests.podman import MOUNTED, pip_configuration

ROOT = Path(__file__).resolve().parents[1]
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_BOOT_S = 30.0
#: Read only where the machine is to reach an index.
_PIP_CONF = "root/pip.conf"

#: $0 is the new root, $1 the machine's name, $2 a directory of packages that were fetched before,
#: $3 where it sees files of this machine, and these.
_BOOT = r"""
set -e
hostname "$1"
mount --make-rprivate /
mount --bind "$0" "$0"
mount --bind "$2" "$0/var/cache/apt/archives"
mount -t proc proc "$0/proc"
mount -t sysfs -o ro sysfs "$0/sys"
mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$0/dev"
for device in null zero full random urandom tty; do
    touch "$0/dev/$device"
    mount --bind "/dev/$device" "$0/dev/$device"
done
mkdir "$0/dev/pts" "$0/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$0/dev/pts"
ln -s pts/ptmx "$0/dev/ptmx"
ln -s /proc/self/fd "$0/dev/fd"
mount -t tmpfs tmpfs "$0/run"
mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"
seen="$0$3"
shift 3
for path; do
    mkdir -p "$seen${path%/*}"
    if [ -d "$path" ]; then mkdir "$seen$path"; else touch "$seen$path"; fi
    mount --bind -o ro "$path" "$seen$path"
done
cd "$0"
pivot_root . mnt
umount -l /mnt
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
    --log-target=console --show-status=no
"""
#: Where a process enters its control group: outside, since ``ip netns exec`` mounts another /sys.
_ENTER = 'echo $$ >"$0/cgroup.procs" && exec "$@"'


@dataclass(frozen=True, slots=True)
class Machine:
    """
    Attributes:
        host: the lab host whose network it has.
        root: its root directory, seen from outside.
        boot: the process that holds its namespaces.
    """

    host: Host
    root: Path
    boot: Process

    @property
    def init(self) -> int:
        """
        Pid of its systemd, seen from outside.

        Raises:
            LabError: it does not run.
        """
        children = children_of(self.boot.pid)
        if not children:
            message = f"machine {self.host.name}: no systemd: {self.boot.text()[-2000:]}"
            raise LabError(message)
        return children[0]

    def run(
        self,
        *argv: str,
        check: bool = True,
        online: bool = False,
        input: str | None = None,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """
        Run a program on the machine to its end.

        Args:
            online: with the tests' own network, for package managers.

        Raises:
            LabError: not within *timeout* seconds, or *check* and it failed; with what it said.
        """
        spaces = ["-m", "-p", "-u", "-i", "-C", *(() if online else ("-n",))]
        environment = [
            "HOME=/root",
            "LANG=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            *(_online_environment() if online else ()),
        ]
        enter = ["nsenter", "-t", str(self.init), *spaces, "env", "-i", "-C", "/"]
        return run([*enter, *environment, *argv], check=check, input=input, timeout=timeout)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file on the machine, as an operator would."""
        place = self.root / path.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def dump(self) -> str:
        """What helps to understand a failure."""
        commands = (
            ("systemctl", "--no-pager", "--failed"),
            ("systemctl", "--no-pager", "status", "lbctl"),
            ("journalctl", "--no-pager", "-n", "200"),
        )
        parts = [f"=== machine {self.host.name}"]
        for argv in commands:
            try:
                said = self.run(*argv, check=False, timeout=10)
            except LabError as error:
                parts.append(str(error))
                continue
            parts += [f"--- {' '.join(argv)}", said.stdout, said.stderr]
        return "\n".join(parts)


@contextmanager
def machine(host: Host, suite: str, name: str = "") -> Iterator[Machine]:
    """
    A fresh Debian on *host*, booted.

    Args:
        suite: ``bookworm`` or ``trixie``.
        name: its hostname; by default that of the lab host.

    Raises:
        LabError: it does not come up.
    """
    root = host.directory / "root"
    unpack(suite, root)
    name = name or host.name
    (root / "etc/hostname").write_text(f"{name}\n")
    group = _control_group(host)
    try:
        booted = Machine(host, root, _start(host, root, group, name, suite))
        wait_until(
            lambda: (
                booted.run("systemctl", "is-system-running", check=False).stdout.strip()
                in ("running", "degraded")
            ),
            _BOOT_S,
            f"machine {host.name} to be up",
            seen=booted.dump,
        )
        yield booted
    finally:
        _end(group)
        shutil.rmtree(root, ignore_errors=True)


def unpack(suite: str, root: Path) -> None:
    """A fresh Debian in *root*, which can reach what this machine reaches."""
    made = run([str(ROOT / "scripts/debian-root"), suite, "machine"], timeout=600)
    root.mkdir(mode=0o755)
    run(["tar", "-C", str(root), "-xf", made.stdout.strip()], timeout=120)
    # A mirror's certificate may be signed by somebody whom only this machine knows.
    shutil.copy(CA_BUNDLE, root / "etc/ssl/certs/ca-certificates.crt")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc", name), root / "etc" / name)
    # Packages are kept for the next machine.
    (root / "etc/apt/apt.conf.d/99keep").write_text(
        'Binary::apt::APT::Keep-Downloaded-Packages "true";\n'
        'APT::Keep-Downloaded-Packages "true";\n' + _apt_proxies()
    )
    # No test pulls the plug of a whole machine: dpkg need not wait for the disk.
    (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
    (root / _PIP_CONF).write_text(_pip_configuration()[0])


@functools.cache
def _pip_configuration() -> tuple[str, tuple[Path, ...]]:
    return pip_configuration()


def _apt_proxies() -> str:
    """How this machine's apt is told where to go, as lines of a configuration."""
    names = [f"Acquire::{scheme}::Proxy" for scheme in ("http", "https")]
    return run(["apt-config", "dump", *names]).stdout


def packages(suite: str) -> Path:
    """The directory in which the machines of a suite keep the packages that they fetched."""
    directory = cache() / f"packages-{suite}"
    (directory / "partial").mkdir(parents=True, exist_ok=True)
    return directory


def cache() -> Path:
    """What outlives a checkout; as ``scripts/debian-root`` has it."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("LBCTL_CACHE") or f"{base}/lbctl")


def _online_environment() -> list[str]:
    """How pip and others are told where to go; offline nothing of that is known."""
    proxies = {"http_proxy", "https_proxy", "no_proxy"}
    given = [f"{name}={text}" for name, text in os.environ.items() if name.lower() in proxies]
    return [*given, f"PIP_CONFIG_FILE=/{_PIP_CONF}", f"SSL_CERT_FILE={CA_BUNDLE}"]


def _start(host: Host, root: Path, group: Path, name: str, suite: str) -> Process:
    namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup"]
    inside = ["unshare", *namespaces, "sh", "-c", _BOOT, str(root), name]
    files = [str(path) for path in _pip_configuration()[1]]
    inside += [str(packages(suite)), MOUNTED, *files]
    argv = ["sh", "-c", _ENTER, str(group), *host.argv(inside)]
    process = Process.start(argv, host.directory / "machine.log", None)
    host.processes.append(process)
    return process


def _control_group(host: Host) -> Path:
    """A new group in the unified hierarchy, wherever this machine has it."""
    unified = Path("/sys/fs/cgroup/unified")
    base = unified if unified.is_dir() else Path("/sys/fs/cgroup")
    group = base / f"lbctl-{host.ns}"
    group.mkdir()
    return group


def _end(group: Path) -> None:
    """Kill all that is in the group, and remove it."""

    def removed() -> bool:
        for processes in group.rglob("cgroup.procs"):
            for pid in processes.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), SIGKILL)
        deepest_first = sorted(
            (path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)
        )
        with contextlib.suppress(OSError):
            for directory in (*deepest_first, group):
                directory.rmdir()
        return not group.exists()

    wait_until(removed, 10.0, f"{group} to be empty and gone")


def copy_of_checkout(machine: Machine, *paths: str, to: str) -> None:
    """Put files of this checkout on the machine."""
    for path in paths:
        target = machine.root / to.removeprefix("/") / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, target, symlinks=True)
        else:
            shutil.copy2(ROOT / path, target)
