"""What ``lbctl`` prints and returns when a command cannot be called or fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.cli.main import main
from lbctl.errors import EXIT_UNEXPECTED, EXIT_USAGE


@pytest.mark.parametrize("option", ["--s3cret", "-s3cret", "--s3cret=x", "-x", "--run-di"])
def test_run_does_not_repeat_an_option_that_may_be_a_password(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "10.0.1.201", option]) == EXIT_USAGE
    said = "".join(capsys.readouterr())

    assert f"{option} " not in said
    assert "s3cret" not in said
    assert said.startswith("lbctl: error: run: an option is not known")
    assert "'--'" in said
    assert "LBCTL_PASSWORD_FILE" in said


def test_other_commands_name_an_unknown_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--jsn"]) == EXIT_USAGE
    assert "--jsn" in capsys.readouterr().err


def test_password_after_two_dashes_is_one() -> None:
    argv = [sys.executable, "-m", "lbctl", "run", "--", "127.0.0.1", "-s3cret"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)

    assert done.returncode == EXIT_USAGE
    assert "loopback" in done.stderr
    assert "s3cret" not in done.stderr


def test_error_of_the_system_is_one_line(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "lbctl", "config", f"--config-dir={tmp_path}"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)

    assert done.returncode == EXIT_UNEXPECTED
    assert done.stderr.startswith("lbctl: error: ")
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_in_the_place_of_the_vip_is_that_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["run", "config", f"--config-dir={tmp_path}"]) == 0
    assert capsys.readouterr().out.startswith(f"# {tmp_path}/lb.yaml")
