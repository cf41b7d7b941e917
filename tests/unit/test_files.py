"""Files: old or new, and nothing that somebody else has put in their place."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.files import read_bounded, read_private, read_regular, write_atomic, write_private

NOBODY = 65534


def test_a_file_is_replaced_with_its_mode_and_leaves_no_neighbour(tmp_path: Path) -> None:
    path = tmp_path / "file"

    assert write_atomic(path, "old", mode=0o640)
    assert write_atomic(path, "new\udcff", mode=0o600, durable=True)
    assert not write_atomic(path, "new\udcff", mode=0o600)
    assert path.read_bytes() == b"new\xff"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(IsADirectoryError) as caught:
        write_atomic(path, "new")

    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("reading", [read_regular, read_private])
def test_a_fifo_keeps_no_reader_waiting(tmp_path: Path, reading: Callable[[Path], str]) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)

    with pytest.raises(OSError, match="is no file"):
        reading(tmp_path / "fifo")


def test_what_is_written_in_private_is_read_again_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "old")
    write_private(path, "new")

    assert read_private(path) == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_gone_after_the_next_write(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_text("half")
    write_private(tmp_path / "file", "new")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_in_the_place_of_a_private_file_is_replaced_and_never_followed(
    tmp_path: Path,
) -> None:
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "file"
    elsewhere.write_text("theirs")
    path.symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links"):
        read_private(path)
    write_private(path, "ours")

    assert elsewhere.read_text() == "theirs"
    assert not path.is_symlink()


def _link(path: Path) -> None:
    path.with_name("elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.with_name("elsewhere"))


def _open_to_others(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def _of_another(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)


def _fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    ("replace", "what"),
    [
        (_link, "is no directory"),
        (_fifo, "is no directory"),
        (Path.touch, "is no directory"),
        (_open_to_others, "has mode 0777"),
        pytest.param(
            _of_another,
            f"belongs to uid {NOBODY}",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give away"),
        ),
    ],
)
def test_a_directory_that_is_not_private_is_left_alone(
    tmp_path: Path, replace: Callable[[Path], None], what: str
) -> None:
    private = tmp_path / "ha"
    replace(private)
    for attempt in (
        lambda: write_private(private / "file", "ours"),
        lambda: read_private(private / "file"),
    ):
        with pytest.raises(PermissionError, match=what):
            attempt()

    assert not list(tmp_path.glob("*/*"))


def test_a_fifo_in_the_place_of_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "lb.yaml"
    os.mkfifo(path)

    with pytest.raises(OSError, match="FIFO"):
        read_bounded(path, 100)


def test_a_file_without_an_end_is_read_up_to_the_bound() -> None:
    with pytest.raises(OSError, match="longer than 1 MB"):
        read_bounded(Path("/dev/zero"), 1 << 20)


def test_a_file_as_long_as_the_bound_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "lb.yaml"
    path.write_bytes(b"x" * 100)

    assert read_bounded(path, 100) == b"x" * 100


def test_an_empty_device_is_an_empty_file() -> None:
    assert read_bounded(Path("/dev/null"), 100) == b""


def test_a_directory_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_bounded(tmp_path, 100)
