"""``lbctl history`` over the files that a bundle left; nothing runs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lbctl.agent.eventlog import EventLog
from lbctl.cli.main import main
from lbctl.errors import EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE
from lbctl.layout import StateDir

DAY_S = 86400.0


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> Path:
    """A month: a start, two roles, a change of the configuration, and chatter."""
    state, now = StateDir(tmp_path), time.time()
    log = EventLog(state.events, "n", history=state.history)
    log.append("bundle", "lbctl 1 starts", {"version": "1"}, now - 30 * DAY_S)
    log.append("role", "INIT -> BACKUP: listens", {"role": "BACKUP"}, now - 29 * DAY_S)
    log.append("role", "BACKUP -> MASTER: b resigned", {"role": "MASTER"}, now - 25.5 * DAY_S)
    log.append("program", "nginx ended", {}, now - 4 * DAY_S)
    log.append("config", "changed: certs", {"parts": ["certs"]}, now - 3 * DAY_S)
    return tmp_path


def _lines(
    state: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, list[str], str]:
    argv = ["history", f"--state-dir={state}", f"--run-dir={state}", *options]
    code = main(argv)
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


def test_moves_and_changes_are_told_and_chatter_is_not(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines, _ = _lines(state, capsys)

    assert code == EXIT_OK
    assert [line[24:] for line in lines] == [
        "bundle    lbctl 1 starts",
        "role      INIT -> BACKUP: listens (BACKUP for 3 d 12 h)",
        "role      BACKUP -> MASTER: b resigned",
        "config    changed: certs",
    ]


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (["--since=7d"], ["config"]),
        (["--limit=2"], ["role", "config"]),
        (["--kind=program"], ["program"]),
        (["--kind=role, config", "--limit=2"], ["role", "config"]),
        (["--since=26d", "--kind=role"], ["role"]),
    ],
)
def test_what_is_wanted_can_be_chosen(
    state: Path, capsys: pytest.CaptureFixture[str], options: list[str], kinds: list[str]
) -> None:
    _, lines, _ = _lines(state, capsys, "--json", *options)

    assert [json.loads(line)["kind"] for line in lines] == kinds


def test_json_says_how_long_a_role_lasted(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = _lines(state, capsys, "--json", "--kind=role")
    lasted = [json.loads(line)["lasted"] for line in lines]

    assert lasted[0] == {"role": "BACKUP", "seconds": pytest.approx(3.5 * DAY_S), "end": "known"}
    assert lasted[1] is None


def test_garbage_is_left_out_and_counted(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (state / "events.jsonl").open("ab") as stream:
        stream.write(b"\x00\xff torn\nnull\n")

    code, lines, errors = _lines(state, capsys)

    assert (code, len(lines)) == (EXIT_OK, 4)
    assert "warning: 2 lines of" in errors


@pytest.mark.parametrize("option", ["--since=soon", "--kind=rôle", "--limit=0"])
def test_a_wrong_question_is_refused(
    state: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert _lines(state, capsys, option)[0] == EXIT_USAGE


def test_no_state_dir_is_told_and_an_empty_one_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _lines(tmp_path / "none", capsys)[0] == EXIT_UNREACHABLE
    assert _lines(tmp_path, capsys)[1] == ["nothing on record yet"]
