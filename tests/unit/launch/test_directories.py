"""Locks, trees, identities: what a start makes on disk, here as the user of the tests."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from lbctl.errors import ValidationError
from lbctl.ha.vhid import derived, free
from lbctl.launch import identity, locks, tree
from lbctl.launch.configuration import Dirs
from lbctl.launch.host import own_account
from lbctl.layout import SOCKET_PATH_MAX_BYTES, RunDir, StateDir


def test_lock_names_its_holder_and_ends_with_its_last_descriptor(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    descriptor = locks.take(lock, where="--run-dir")
    inherited = os.dup(descriptor)
    locks.release([descriptor])
    with pytest.raises(ValidationError, match=f"pid {os.getpid()}"):
        locks.take(lock, where="--run-dir")
    locks.release([inherited])

    locks.release([locks.take(lock, where="--run-dir")])


def test_directory_that_is_not_lbctls_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "passwd").touch()
    with pytest.raises(ValidationError, match="passwd"):
        locks.make_directory(tmp_path, where="--run-dir", marker="lock")
    (tmp_path / "lock").touch()

    locks.make_directory(tmp_path, where="--run-dir", marker="lock")


def test_tree_begins_empty_and_keeps_the_lock(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.lock.touch()
    for _ in range(2):
        tree.clear(run)
        tree.make(run, own_account(), ("haproxy-01", "logd"), own=("logd",))
        run.role.touch()
        run.spec.touch()
    tree.clear(run)

    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_tree_has_the_modes_that_the_layout_promises(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    tree.make(run, own_account(), ("nginx",), own=())
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (run.haproxy, run.nginx, run.api, run.ha, run.log)
    }

    assert modes == {"haproxy": 0o750, "nginx": 0o750, "api": 0o750, "ha": 0o700, "log": 0o755}
    assert stat.S_ISFIFO(run.log_fifo("nginx").stat().st_mode)


def test_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValidationError):
        tree.write([tree.File(tmp_path / "file", b"secret", 0o600)])

    assert not (tmp_path / "elsewhere").exists()


def test_longest_socket_decides_about_the_run_dir() -> None:
    fits = Path("/" + "x" * (SOCKET_PATH_MAX_BYTES - 1 - len("/haproxy/master-01.sock")))

    assert tree.path_problems(RunDir(fits)) == []
    (problem,) = tree.path_problems(RunDir(fits.with_name(fits.name + "x")))
    assert f"at most {len(str(fits))}" in problem.what


@pytest.mark.parametrize("odd", ["a b", "a;b", "a#b", "a%b", "a'b", "a$b", "a\nb"])
def test_path_that_a_file_would_read_otherwise_is_refused(odd: str) -> None:
    assert Dirs.at(Path("/haproxy"), Path(f"/run/{odd}"), Path("/state")).problems()


def test_directories_are_three() -> None:
    assert Dirs.at(Path("/haproxy"), Path("/same"), Path("/same")).problems()


def test_identity_is_made_once(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    made = identity.node_id(state)

    assert len(made) == 16
    assert identity.node_id(state) == made
    state.node_id.write_text("garbled\n")
    assert identity.node_id(state) != made


def test_certificate_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    state = StateDir(tmp_path)

    assert identity.ensure_self_signed(state, own_account(), "host1")
    pair = state.self_signed.read_bytes()
    assert not identity.ensure_self_signed(state, own_account(), "host2")
    assert state.self_signed.read_bytes() == pair
    assert stat.S_IMODE(state.self_signed.stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate(pair)
    assert certificate.subject.rfc4514_string() == "CN=host1"
    valid = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert valid.days == 3651


@pytest.mark.parametrize("hostname", ["", "x" * 100, "häst", "a_b.example"])
def test_any_hostname_gets_a_certificate(hostname: str) -> None:
    x509.load_pem_x509_certificate(identity.make_pair(hostname).encode())


def test_id_derived_from_the_vip_is_the_same_on_both_hosts_and_in_range() -> None:
    found = {derived(f"10.0.{a}.{b}") for a in range(4) for b in range(256)}

    assert derived("10.0.1.201") == 178
    assert min(found) >= 1
    assert max(found) <= 255
    assert len(found) > 200


def test_free_id_is_the_next_one_not_taken() -> None:
    assert free({7, 8}, 7) == 9
    assert free({255}, 255) == 1
    assert free(range(1, 256), 7) is None


def test_the_private_part_of_the_state_dir_is_closed_again(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.ha.mkdir()
    state.ha.chmod(0o777)
    tree.own_state(state, own_account())

    assert stat.S_IMODE(state.ha.stat().st_mode) == 0o700


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.with_name("elsewhere").mkdir()
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("replace", [_fifo, _link, Path.touch])
def test_what_stands_in_its_place_is_refused_with_the_way_out(
    tmp_path: Path, replace: Callable[[Path], None]
) -> None:
    state = StateDir(tmp_path)
    replace(state.ha)

    with pytest.raises(ValidationError, match=r"ha is no directory, .* remove it, and the next"):
        tree.own_state(state, own_account())


def test_a_fifo_in_the_place_of_the_node_id_keeps_no_start_waiting(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    os.mkfifo(state.node_id)

    assert identity.node_id(state) == identity.node_id(state)
    assert state.node_id.is_file()


def test_what_is_tried_out_can_be_read_and_not_changed_by_its_judges(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "trial")
    files = [
        tree.File(path, b"x", 0o600, own_account())
        for path in (run.haproxy_cfg, run.certs / "a.pem", run.nginx_page)
    ]
    tree.lay_out(run, files, own_account())
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }

    assert {mode for path, mode in modes.items() if "." in path} == {0o640}
    assert {mode for path, mode in modes.items() if "." not in path} == {0o750}
    tree.remove(run)
    assert not run.root.exists()
    tree.remove(run)


def test_a_trial_begins_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "trial").symlink_to(tmp_path / "elsewhere")
    run = RunDir(tmp_path / "trial")
    with pytest.raises(ValidationError, match="File exists"):
        tree.lay_out(run, [tree.File(run.haproxy_cfg, b"x", 0o600)], own_account())

    assert not list((tmp_path / "elsewhere").iterdir())
