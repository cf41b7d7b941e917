"""The role file between hooks and vipd."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha.role import NO_ROLE, Role, RoleFile, RoleName

UP = Role(RoleName.MASTER, at_ns=20, since=1.0, ucarp_pid=7, ucarp_start=9, why="silent")


def test_what_was_recorded_is_read_back(tmp_path: Path) -> None:
    roles = RoleFile(tmp_path / "role.json")
    with roles.locked():
        assert roles.record(UP)

    assert RoleFile(tmp_path / "role.json").read() == UP
    assert (tmp_path / "role.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("at_ns", [19, 20])
def test_an_older_word_never_replaces_a_newer_one(tmp_path: Path, at_ns: int) -> None:
    roles = RoleFile(tmp_path / "role.json")
    roles.record(UP)

    assert not roles.record(Role(RoleName.BACKUP, at_ns=at_ns, since=2.0))
    assert roles.read() == UP


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": "KING"}', '{"name": "MASTER"}', '{"name": "MASTER", "x": 1}']
)
def test_a_file_that_cannot_be_understood_is_no_role(tmp_path: Path, text: str) -> None:
    (tmp_path / "role.json").write_text(text)

    assert RoleFile(tmp_path / "role.json").read() == NO_ROLE


def test_a_lock_that_is_never_given_back_is_an_error_not_a_hang(tmp_path: Path) -> None:
    roles = RoleFile(tmp_path / "role.json")
    hold = (
        "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.flock(f,2); print(1,flush=True); input()"
    )
    argv = [sys.executable, "-c", hold, str(tmp_path / "role.lock")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(NetlinkError, match="held by another process"), roles.locked():
            pass
        holder.communicate(b"\n")


def test_a_role_that_cannot_be_written_is_remembered(tmp_path: Path) -> None:
    """On a file system that takes nothing; the lease, not the file, bounds what goes wrong."""
    directory = tmp_path / "ha"
    directory.mkdir()
    roles = RoleFile(directory / "role.json")
    with roles.locked():
        roles.record(Role(RoleName.BACKUP, at_ns=1, since=0.0))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", directory], check=True)
    try:
        assert roles.record(UP)
        assert roles.read() == UP
        assert not roles.record(Role(RoleName.BACKUP, at_ns=19, since=2.0))
    finally:
        subprocess.run(["umount", directory], check=True)
