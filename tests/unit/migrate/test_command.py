"""``lbctl migrate``: what is written where, what is printed, and with which exit code it ends."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from lbctl.cli.main import main

OLD = "global\n  nbproc 2\n  daemon\n"
NEW = "global\n  daemon\n"
BAD = "global\n  nbproc 2\npeers p\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LBCTL_CONFIG_DIR", str(tmp_path / "config"))
    path = tmp_path / "haproxy.cfg"
    path.write_text(OLD)
    path.chmod(0o640)
    return path


def test_by_default_the_difference_is_printed_and_nothing_is_written(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["migrate", str(file)])
    said = capsys.readouterr().out

    assert code == 0
    assert "-   nbproc 2\n#   lbctl runs the processes itself" in said
    assert "processes: 2" in said
    assert "1 of 3 lines changed; nothing was written" in said
    assert "\x1b" not in said
    assert file.read_text() == OLD
    assert list(file.parent.iterdir()) == [file]


def test_output_is_the_whole_new_file_as_readable_as_the_old_one(file: Path) -> None:
    path = file.with_name("new.cfg")

    assert main(["migrate", str(file), "--output", str(path)]) == 0
    assert path.read_text() == NEW
    assert path.stat().st_mode & 0o777 == 0o640


def test_bytes_that_are_no_text_and_line_ends_survive_the_way_into_a_file(file: Path) -> None:
    file.write_bytes(b"# caf\xe9\r\nglobal\r\n  nbproc 2\r\n  daemon\r\n")

    assert main(["migrate", str(file), "--in-place"]) == 0
    assert file.read_bytes() == b"# caf\xe9\r\nglobal\r\n  daemon\r\n"


def test_output_to_stdout_is_the_file_alone(
    file: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = main(["migrate", str(file), "--output", "-"])
    said = capfdbinary.readouterr()

    assert code == 0
    assert said.out == NEW.encode()
    assert b"nbproc 2" in said.err


def test_in_place_keeps_the_old_file_its_mode_and_its_owner(file: Path) -> None:
    status = file.stat()
    before = file.with_name("haproxy.cfg.before-migrate")

    assert main(["migrate", str(file), "--in-place"]) == 0
    assert (file.read_text(), before.read_text()) == (NEW, OLD)
    assert (file.stat().st_mode, file.stat().st_uid) == (status.st_mode, status.st_uid)
    assert before.stat().st_ino == status.st_ino


def test_in_place_follows_a_link(file: Path) -> None:
    link = file.with_name("link.cfg")
    link.symlink_to(file)

    assert main(["migrate", str(link), "--in-place"]) == 0
    assert link.is_symlink()
    assert file.read_text() == NEW


def test_in_place_a_second_time_changes_nothing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["migrate", str(file), "--in-place"])
    capsys.readouterr()

    assert main(["migrate", str(file), "--in-place"]) == 0
    assert "nothing had to change" in capsys.readouterr().out


def test_in_place_never_overwrites_an_older_original(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.with_name("haproxy.cfg.before-migrate")
    before.write_text("precious")

    assert main(["migrate", str(file), "--in-place"]) == 11
    assert "move it away" in capsys.readouterr().err
    assert (before.read_text(), file.read_text()) == ("precious", OLD)


@pytest.mark.parametrize("options", [[], ["--in-place"], ["--output", "new.cfg"]])
def test_a_refusal_still_shows_the_difference_and_writes_nothing(
    file: Path,
    options: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(file.parent)
    file.write_text(BAD)
    code = main(["migrate", str(file), *options])
    said = capsys.readouterr()

    assert code == 13
    assert "-   nbproc 2" in said.out
    assert f"{file}:3: section 'peers'" in said.err
    assert file.read_text() == BAD
    assert list(file.parent.iterdir()) == [file]


def test_one_process_in_lb_yaml_lets_peers_stay(file: Path) -> None:
    config = file.parent / "config"
    config.mkdir()
    (config / "lb.yaml").write_text("haproxy: {processes: 1}\n")
    file.write_text(BAD)

    assert main(["migrate", str(file)]) == 0


def test_standard_input_is_read(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"global\n debug\n \xff\n")))

    assert main(["migrate", "-"]) == 0
    assert "standard input: 1 of 3 lines changed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/nowhere/x"], "/nowhere/x: cannot be read: No such file"),
        (["/"], "/: cannot be read: Is a directory"),
        (["/dev/zero"], "longer than 16 MiB"),
        (["-", "--in-place"], "standard input is no file"),
        (["x", "--in-place", "--output", "y"], "one of the two"),
    ],
)
def test_a_command_line_that_asks_for_what_cannot_be_ends_with_11(
    arguments: list[str], said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", *arguments]) == 11
    assert said in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_named(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", str(file), "--output", "/proc/nowhere/x"]) == 11
    assert "/proc/nowhere/x: cannot be written" in capsys.readouterr().err


def test_a_file_without_a_listener_of_its_own_is_no_warning(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", str(file)]) == 0
    assert capsys.readouterr().err == ""


def test_a_key_that_was_given_by_mistake_is_not_shown(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBg\n-----END PRIVATE KEY-----\n")
    code = main(["migrate", str(file)])
    said = capsys.readouterr()

    assert code == 13
    assert "no configuration of HAProxy" in said.err
    assert "MIIE" not in said.out + said.err


def test_haproxys_messages_are_counted_where_there_are_too_many(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("global\n" + "no-such-word\n" * 25)
    main(["migrate", str(file)])
    said = capsys.readouterr().err.splitlines()

    assert len(said) == 21
    assert said[-1].endswith("and 5 messages more")


def test_a_sign_that_the_outputs_encoding_lacks_is_shown_as_another(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding="latin-1"))
    file.write_text("global\n  nbproc 2 # \u2603\n")

    assert main(["migrate", str(file)]) == 0
    sys.stdout.flush()
    assert b"-   nbproc 2 # ?" in shown.getvalue()


def test_a_device_as_output_is_never_replaced_by_a_file(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)

    assert main(["migrate", str(file), "--output", str(pipe)]) == 11
    assert "is no regular file" in capsys.readouterr().err
    assert pipe.is_fifo()


def test_output_on_file_itself_would_lose_the_old_one_and_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", str(file), "--output", str(file)]) == 11
    assert "--in-place" in capsys.readouterr().err
    assert file.read_text() == OLD


def test_a_difference_on_a_terminal_is_coloured(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    main(["migrate", str(file)])

    assert "\x1b[31m-   nbproc 2" in capsys.readouterr().out


def test_what_haproxy_says_of_the_result_is_passed_on_without_failing(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = file.parent / "bin"
    programs.mkdir()
    script = programs / "haproxy"
    script.write_text(
        "#!/bin/sh\ncase $1 in -vv) echo 'HAProxy version 9.9.9 x';; *)\n"
        'echo "[ALERT]    (1) : config : parsing [$3:2] : no ca.pem" >&2; exit 1;; esac\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    assert main(["migrate", str(file)]) == 0
    assert (
        f"HAProxy 9.9.9 says of the result: {file} (migrated):2: no ca.pem"
        in capsys.readouterr().err
    )
