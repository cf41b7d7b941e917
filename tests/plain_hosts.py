"""
Plain Debian hosts, made by the lines of the Vagrantfile: a pair and two web servers.

The machines are fresh roots of Debian 12 and 13 with a systemd of their own; only the virtual
machine itself is not there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lbctl import __version__
from lbctl.lab.hosts import Lab
from lbctl.lab.wait import LabError, wait_until
from tests.machines import Machine, machine
from tests.vagrantfile import ROOT, Wanted, wanted_machines

#: What a wheel is made of, and the scripts beside it.
SOURCE = ("pyproject.toml", "README.md", "lbctl", "conf", "hooks")
SCRIPTS = ("deploy", "scripts", "vagrant")
#: On which host of the lab, and with which Debian: one of each in either role.
PLACES = {
    "web1": ("web1", "bookworm"),
    "web2": ("web2", "trixie"),
    "lb1": ("a", "bookworm"),
    "lb2": ("b", "trixie"),
}
CHECKOUT = "srv/lbctl"
INSTALL = f"sh /{CHECKOUT}/deploy/install"
#: Every file where something could have been changed, as it is.
SNAPSHOT = (
    "find /etc /haproxy /opt /usr/local /usr/sbin ! -type d -printf '%p %l %m %u %s %T@\\n' | sort"
)
RELEASES = "ls /opt/lbctl/releases"
#: Begins a line that another Debian would run; it ends with a quote.
OTHER_DEBIAN = (
    "echo 'ID=debian VERSION_ID=11' >/run/old && "
    "unshare -m sh -c 'mount --bind /run/old /etc/os-release"
)
UNIT = "/etc/systemd/system/lbctl.service"
NGINX = "systemctl is-active nginx; systemctl is-enabled nginx"
#: The owner that a synced folder of Vagrant has.
VAGRANT_UID = "1000:1000"


@dataclass(frozen=True, slots=True)
class Made:
    """
    The four machines, as the Vagrantfile leaves them.

    Attributes:
        said: by machine, what each of its lines said.
    """

    lab: Lab
    machines: Mapping[str, Machine]
    said: Mapping[str, list[str]]

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    @property
    def balancers(self) -> tuple[Machine, Machine]:
        return self["lb1"], self["lb2"]

    def name_of(self, node: Machine) -> str:
        return next(name for name, one in self.machines.items() if one is node)

    def master_and_backup(self) -> tuple[Machine, Machine]:
        """
        Wait for one of each.

        Raises:
            LabError: it does not come to that.
        """

        def found() -> tuple[Machine, Machine] | None:
            for one, other in (self.balancers, self.balancers[::-1]):
                if (role(one), role(other)) == ("MASTER", "BACKUP"):
                    return one, other
            return None

        answer = wait_until(found, 20.0, "one MASTER and one BACKUP", every_s=0.2)
        assert answer is not None
        return answer


@contextmanager
def made_by_vagrantfile() -> Iterator[Made]:
    """All four, with everything that their lines install."""
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        machines = {
            name: stack.enter_context(machine(lab[host], suite, name))
            for name, (host, suite) in PLACES.items()
        }
        for one in machines.values():
            copy_parts(one.root / CHECKOUT, *SOURCE, *SCRIPTS)
            sh(one, f"chown -R {VAGRANT_UID} /{CHECKOUT}")
        yield Made(lab, machines, provision(machines))


def provision(machines: Mapping[str, Machine]) -> dict[str, list[str]]:
    """Run the lines, on all machines at once; the picture last of all."""
    wanted = wanted_machines()

    def make(name: str) -> list[str]:
        # The way out is for the package managers. They wait for each other: those of one Debian
        # share the directory of what they fetch.
        return [sh(machines[name], line, online=True) for line in makers(wanted[name])]

    with ThreadPoolExecutor() as pool:
        said = dict(zip(wanted, pool.map(make, wanted), strict=True))
    last = list(wanted.values())[-1]
    said[last.name].append(sh(machines[last.name], last.lines[-1]))
    return said


def makers(wanted: Wanted) -> tuple[str, ...]:
    """The lines that make a machine; the last one of all only shows."""
    return tuple(line for line in wanted.lines if "picture" not in line)


def sh(on: Machine, line: str, *, online: bool = False) -> str:
    """
    All that a line says, errors included.

    Raises:
        LabError: it failed.
    """
    done = on.run("sh", "-c", f"exec 2>&1; {line}", online=online, check=False, timeout=300)
    if done.returncode:
        message = f"{on.host.name}: {line}: exit status {done.returncode}: {done.stdout}"
        raise LabError(message)
    return done.stdout


def refused(on: Machine, line: str, status: int = 1) -> str:
    """What a line says that ends with that exit status."""
    said = sh(on, f"set +e; ({line}); echo exit status $?")

    assert said.endswith(f"exit status {status}\n"), said
    return said


def killed(line: str, when: str) -> str:
    """A line that runs another one, and kills it with all its children when a file has come."""
    return (
        f"setsid {line} >/run/killed & "
        f"until ls {when} 2>/dev/null; do kill -0 $!; sleep 0.02; done; "
        "kill -s KILL -- -$!; ! wait $!"
    )


def role(node: Machine) -> str:
    """
    ``INIT``, ``BACKUP`` or ``MASTER``.

    Raises:
        LabError: it does not say.
    """
    said = json.loads(sh(node, "lbctl status --json"))
    return str(said["ha"]["role"]) if said["ha"] else ""


def main_pid(node: Machine) -> str:
    return sh(node, "systemctl show -P MainPID lbctl").strip()


def operators_files(node: Machine) -> dict[str, bytes]:
    """What is in each of them, by path."""
    return {
        str(path.relative_to(node.root)): path.read_bytes()
        for place in ("haproxy", "etc/lbctl")
        for path in (node.root / place).rglob("*")
        if path.is_file()
    }


def copy_parts(target: Path, *parts: str) -> None:
    """Put a part of this checkout into a directory, or write it over what is there."""
    target.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".vagrant")
            shutil.copytree(ROOT / part, target / part, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy2(ROOT / part, target / part)


def wheel_of(version: str, directory: Path) -> Path:
    """A wheel of this checkout that has another number."""
    source = directory / "source"
    copy_parts(source, *SOURCE)
    module = source / "lbctl" / "__init__.py"
    module.write_text(module.read_text().replace(__version__, version))
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(directory)]
    subprocess.run([*pip, str(source)], check=True, timeout=120)
    (wheel,) = directory.glob(f"lbctl-{version}-*.whl")
    return wheel
