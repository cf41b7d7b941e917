"""Handover, pause, resume and status as commands, against an agent and a fake vipd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli.client import ApiClient
from lbctl.cli.main import main
from lbctl.cli.pause import where
from lbctl.errors import EXIT_NOT_MASTER, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, UnreachableError
from tests.unit.agent.test_agent import new_agent
from tests.unit.api.test_server import served

REFUSAL = {"ok": False, "code": 14, "error": "no healthy peer is known: lb2 has been silent; "}
NOBODY = {**REFUSAL, "report": {"left": False, "drained_s": 2.0, "undrained": 1, "destroyed": 0}}


def _ran(root: Path, *argv: str, role: str | None = "MASTER", answer: Any = None) -> int:
    """The exit code of a command asked of an agent that is served."""
    raw = None if answer is None else json.dumps(answer).encode() + b"\n"

    def use(_client: ApiClient) -> int:
        return main([*argv, f"--run-dir={root}"])

    code: int = served(new_agent(root), use, role, raw)
    return code


def test_a_handover_shows_its_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _ran(tmp_path, "handover") == EXIT_OK
    assert "10.0.1.12 has the addresses" in capsys.readouterr().out


def test_a_handover_for_programs_is_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ran(tmp_path, "handover", "--json", "--force") == EXIT_OK
    assert json.loads(capsys.readouterr().out) == {"left": True, "taken_over_by": "10.0.1.12"}


def test_a_refused_handover_gives_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ran(tmp_path, "handover", answer=REFUSAL) == EXIT_UNREACHABLE
    said = capsys.readouterr()

    assert "no healthy peer is known: lb2 has been silent" in said.err
    assert said.out == ""


def test_a_handover_that_nobody_took_shows_how_far_it_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ran(tmp_path, "handover", answer=NOBODY) == EXIT_UNREACHABLE
    said = capsys.readouterr()

    assert "this node keeps the addresses" in said.out
    assert "--force gives them away all the same" in said.err


def test_a_refusal_for_programs_has_its_code_and_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ran(tmp_path, "handover", "--json", answer=NOBODY) == EXIT_UNREACHABLE
    told = json.loads(capsys.readouterr().out)

    assert (told["code"], told["report"]["undrained"]) == (EXIT_UNREACHABLE, 1)


def test_a_backup_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _ran(tmp_path, "handover", "--json", role="BACKUP") == EXIT_NOT_MASTER
    assert json.loads(capsys.readouterr().out)["code"] == EXIT_NOT_MASTER


def test_a_pause_says_who_what_and_what_it_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbctl.cli.pause.TOLD_S", 0.2)
    assert _ran(tmp_path, "pause", "--for=2h", "new", "disks") == EXIT_OK
    said = capsys.readouterr().out

    assert ": new disks\n" in said
    assert "it holds on: a (this node)" in said
    assert "no other host is heard" in said
    assert "a master that dies is NOT replaced" in said


def test_a_resume_without_a_pause_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbctl.cli.pause.TOLD_S", 0.2)
    assert _ran(tmp_path, "resume") == EXIT_OK
    assert "this node knew of no pause" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--for=soon", "--for=0s", "--for=400d"])
def test_a_pause_of_no_length_is_refused(tmp_path: Path, option: str) -> None:
    assert _ran(tmp_path, "pause", option) == EXIT_USAGE


def test_status_is_drawn_from_a_real_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ran(tmp_path, "status") == EXIT_OK
    assert "MASTER since" in capsys.readouterr().out


class Answers:
    """Statuses one after the other, and a clock that goes on with each wait."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = list(answers)
        self.now = 0.0

    def ask(self) -> dict[str, Any]:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def wait(self, seconds: float) -> None:
        self.now += seconds


def _told(*answers: dict[str, Any], is_paused: bool = True) -> tuple[list[str], float]:
    script = Answers(*answers)
    lines = where(
        script.ask, is_paused=is_paused, limit_s=3.0, clock=lambda: script.now, wait=script.wait
    )
    return lines, script.now


def _status(here: bool, *there: bool) -> dict[str, Any]:
    peers = [
        {"hostname": f"b{number}", "pause": {"is_on": is_on, "serial": 1}}
        for number, is_on in enumerate(there)
    ]
    paused = {"by": "root@a"} if here else None
    return {"hostname": "a", "ha": {"paused": paused, "peers": peers}}


def test_a_pause_is_told_of_when_every_host_confirms_it() -> None:
    lines, after_s = _told(_status(True, False), _status(True, False), _status(True, True))

    assert lines == ["it holds on: a (this node), b0"]
    assert after_s == pytest.approx(0.2)


def test_a_host_that_does_not_confirm_is_named_after_the_limit() -> None:
    lines, after_s = _told(_status(True, True, False))

    assert lines[0] == "it holds on: a (this node), b0"
    assert lines[1].startswith("! b1 has not confirmed within 3 s")
    assert after_s == pytest.approx(3.0, abs=0.2)


def test_a_resume_is_over_everywhere() -> None:
    assert _told(_status(False, False), is_paused=False)[0] == ["it is over on: a (this node), b0"]


def test_this_node_itself_may_be_late() -> None:
    assert _told(_status(False, True))[0][1].startswith("! this node does not show it yet")


def test_a_vipd_that_went_away_is_told() -> None:
    with pytest.raises(UnreachableError, match="vipd is gone; whether it holds is open"):
        _told({"hostname": "a", "ha": None, "ha_error": "vipd is gone"})
