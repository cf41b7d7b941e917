"""The operator's programs in hooks.d, judged before they are needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lbctl.launch.hooks_d import hook_programs, hooks_d_problems, hooks_d_warnings
from lbctl.launch.host import Account
from lbctl.launch.privileges import Privileges
from lbctl.layout import ConfigDir


def put(root: Path, name: str, text: str = "#!/bin/sh\n", mode: int = 0o755) -> Path:
    path = root / "hooks.d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def problems(root: Path) -> list[str]:
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    own = Privileges(setpriv, Account("me", os.geteuid(), os.getegid()), is_root=False)
    return [str(problem) for problem in hooks_d_problems(ConfigDir(root), own)]


def warnings(root: Path) -> list[str]:
    return list(hooks_d_warnings(ConfigDir(root)))


def test_without_hooks_d_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert (problems(tmp_path), warnings(tmp_path)) == ([], [])
    assert hook_programs(ConfigDir(tmp_path)) == ()


def test_good_programs_are_good(tmp_path: Path) -> None:
    up = [put(tmp_path, f"up/{name}") for name in ("10-route", "20-mail")]
    fault = put(tmp_path, "fault")

    assert (problems(tmp_path), warnings(tmp_path)) == ([], [])
    assert hook_programs(ConfigDir(tmp_path)) == (*up, fault)


@pytest.mark.parametrize("name", ["up", "down/10-route"])
def test_one_that_is_not_executable_is_a_problem(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name, mode=0o644)

    assert problems(tmp_path) == [
        f"{path}: is no file that user me may run, as whom the agent runs it: chmod 755?"
    ]


def test_a_link_that_leads_nowhere_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "hooks.d").mkdir()
    (tmp_path / "hooks.d" / "up").symlink_to("/nonexistent")

    assert len(problems(tmp_path)) == 1


@pytest.mark.parametrize(
    ("first", "named"),
    [("#!/bin/nosuchshell -e", "'/bin/nosuchshell'"), ("#! /bin/sh\r", "'/bin/sh\\r'")],
)
def test_an_interpreter_that_is_not_here_is_a_problem(
    tmp_path: Path, first: str, named: str
) -> None:
    put(tmp_path, "up", f"{first}\ntrue\n")

    assert [found.partition(": ")[2] for found in problems(tmp_path)] == [
        f"its first line names {named}, which is not here"
    ]


def test_a_program_without_a_first_line_for_people_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "up", "\x7fELF")

    assert problems(tmp_path) == []


def test_what_everybody_may_change_is_a_warning(tmp_path: Path) -> None:
    one = put(tmp_path, "up/1", mode=0o757)
    one.parent.chmod(0o777)

    assert warnings(tmp_path) == [
        f"{path}: every user of this host can change what runs: chmod o-w"
        for path in (one.parent, one)
    ]


def test_what_is_never_run_is_a_warning(tmp_path: Path) -> None:
    path = put(tmp_path, "notify")
    put(tmp_path, ".gitkeep")

    assert warnings(tmp_path) == [f"{path}: never run: only up, down, fault are"]
