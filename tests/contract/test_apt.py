"""What the scripts make of apt and dpkg, as these are, with directories of the test's own."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lbctl.lab.wait import wait_until

pytestmark = pytest.mark.contract

SCRIPTS = Path(__file__).parents[2] / "scripts"
PACKAGE = """\
Package: nothing
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.com>
Description: none
Filename: nothing.deb
Size: 1

"""
SOURCE = """\
Types: deb
URIs: {uri}
Suites: stable
Components: main
Architectures: amd64
Trusted: yes
"""


def apt(directory: Path, uri: str) -> dict[str, str]:
    """An environment in which apt knows a single archive, and keeps to *directory*."""
    for name in ("lists/partial", "cache", "parts"):
        (directory / name).mkdir(parents=True)
    (directory / "debian.sources").write_text(SOURCE.format(uri=uri))
    (directory / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{directory}/debian.sources";\n'
        f'Dir::Etc::sourceparts "{directory}/parts";\n'
        f'Dir::State::Lists "{directory}/lists";\n'
        f'Dir::Cache "{directory}/cache";\n'
        'APT::Sandbox::User "root";\n'
    )
    return {"PATH": os.environ["PATH"], "APT_CONFIG": str(directory / "apt.conf")}


def archive(directory: Path) -> str:
    """The URI of a new archive of Debian with one package."""
    index = directory / "dists/stable/main/binary-amd64/Packages"
    index.parent.mkdir(parents=True)
    index.write_text(PACKAGE)
    digest = hashlib.sha256(PACKAGE.encode()).hexdigest()
    (directory / "dists/stable/Release").write_text(
        "Origin: Debian\nCodename: stable\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
        "Components: main\nArchitectures: amd64\n"
        f"SHA256:\n {digest} {len(PACKAGE)} main/binary-amd64/Packages\n"
    )
    return f"file:{directory}"


def mirror(environ: Mapping[str, str]) -> str:
    subprocess.run(["apt-get", "-q", "update"], env=environ, check=True, timeout=60)
    argv = [SCRIPTS / "debian-mirror"]
    return subprocess.run(
        argv, env=environ, check=True, text=True, stdout=subprocess.PIPE, timeout=60
    ).stdout


def test_the_mirror_is_the_archive_that_apt_uses(tmp_path: Path) -> None:
    uri = archive(tmp_path / "archive")

    assert mirror(apt(tmp_path, uri)) == f"{uri}/\n"


def test_of_a_list_of_mirrors_it_is_the_first(tmp_path: Path) -> None:
    """Debian's images for clouds come with such a list."""
    uri = archive(tmp_path / "archive")
    listed = tmp_path / "debian.list"
    listed.write_text(f"# Two of them.\n\n{uri}\tpriority:1\nfile:/nowhere\n")

    assert mirror(apt(tmp_path, f"mirror+file://{listed}")) == f"{uri}\n"


def patiently(directory: Path, environ: Mapping[str, str], line: str) -> subprocess.Popen[str]:
    """That line, for as long as somebody has a lock and not longer than 3 s."""
    words = (
        f'. {SCRIPTS}/apt-locks; say() {{ echo "$@"; }}; locks_patience_s=3; '
        f'patiently {directory}/log {line} || echo "failed"'
    )
    return subprocess.Popen(["sh", "-euc", words], env=environ, text=True, stdout=subprocess.PIPE)


@pytest.mark.parametrize(
    ("lock", "line"),
    [
        ("lists/lock", "apt-get update"),
        ("dpkg/lock-frontend", "dpkg --admindir={directory}/dpkg --configure -a"),
        ("dpkg/lock", "env DPKG_FRONTEND_LOCKED=1 dpkg --admindir={directory}/dpkg --configure -a"),
    ],
)
def test_a_lock_of_somebody_else_is_waited_for(tmp_path: Path, lock: str, line: str) -> None:
    environ = apt(tmp_path, archive(tmp_path / "archive"))
    for name in ("updates", "info"):
        (tmp_path / "dpkg" / name).mkdir(parents=True)
    (tmp_path / "dpkg/status").touch()
    with (tmp_path / lock).open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        running = patiently(tmp_path, environ, line.format(directory=tmp_path))
        log = tmp_path / "log"
        wait_until(lambda: log.exists() and "lock" in log.read_text(), 5.0, "the lock to be named")
        assert running.poll() is None
    said, _ = running.communicate(timeout=10)

    assert running.returncode == 0
    assert "failed" not in said
    assert "waiting up to 3 s for another package manager" in said
    assert "lock" in said.partition("manager: ")[2]


def test_another_failure_is_not_tried_again(tmp_path: Path) -> None:
    environ = apt(tmp_path, archive(tmp_path / "archive"))
    said, _ = patiently(tmp_path, environ, "sh -c 'echo x; exit 1'").communicate(timeout=3)

    assert said == "failed\n"


def test_patience_ends(tmp_path: Path) -> None:
    environ = apt(tmp_path, archive(tmp_path / "archive"))
    with (tmp_path / "lists/lock").open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        said, _ = patiently(tmp_path, environ, "apt-get update").communicate(timeout=20)

    assert said.endswith("failed\n")
