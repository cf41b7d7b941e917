"""The table of ``lbctl doctor``, and how the command ends."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from lbctl.cli.doctor_view import draw
from lbctl.cli.main import main
from lbctl.doctor.row import Row, bad, is_bad, ok, unknown, warn
from lbctl.errors import EXIT_OK, EXIT_USAGE, EXIT_VALIDATION

ROWS = [
    ok("link", "eth0 is up"),
    warn("clock", "not synchronised", "run chrony"),
    bad("ports", "80 is [bold]taken", "end nginx"),
    unknown("firewall", "nft is not installed"),
]


def drawn(rows: list[Row], width: int = 100) -> str:
    stream = io.StringIO()
    draw(rows, Console(file=stream, width=width, highlight=False))
    return stream.getvalue()


def test_each_row_is_shown_with_its_verdict_and_the_way_out() -> None:
    lines = drawn(ROWS).splitlines()

    assert any("clock" in line and "warn" in line and "run chrony" in line for line in lines)
    assert any("firewall" in line and "unknown" in line for line in lines)


def test_what_was_found_is_no_markup() -> None:
    assert "[bold]taken" in drawn(ROWS)


def test_the_last_line_counts() -> None:
    assert drawn(ROWS).strip().splitlines()[-1] == "1 ok, 1 warn, 1 bad, 1 unknown"


def test_a_narrow_page_loses_no_word() -> None:
    assert "synchronised" in drawn(ROWS, width=60).replace("\n", "")


@pytest.mark.parametrize(("rows", "verdict"), [(ROWS, True), (ROWS[:2], False), ([], False)])
def test_one_bad_row_is_enough(rows: list[Row], verdict: bool) -> None:
    assert is_bad(rows) is verdict


def directories(tmp_path: Path) -> list[str]:
    (tmp_path / "config").mkdir()
    return [f"--{name}-dir={tmp_path / name}" for name in ("config", "run", "state")]


def test_programs_get_every_row_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json", *directories(tmp_path)])
    said = json.loads(capsys.readouterr().out)
    found = {row["check"]: row["verdict"] for row in said["checks"]}

    assert code == (EXIT_VALIDATION if "bad" in said["counts"] else EXIT_OK)
    assert {"programs", "lb.yaml", "ports", "--run-dir"} <= set(found)
    assert sum(said["counts"].values()) == len(said["checks"])


def test_a_broken_lb_yaml_is_bad_and_the_rest_is_looked_at_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = directories(tmp_path)
    (tmp_path / "config/lb.yaml").write_text("ha: {enigne: native}\n")
    code = main(["doctor", "--json", *options])
    rows = {row["check"]: row for row in json.loads(capsys.readouterr().out)["checks"]}

    assert code == EXIT_VALIDATION
    assert "did you mean" in rows["lb.yaml"]["found"]
    assert rows["configuration"]["verdict"] == "unknown"
    assert "clock" in rows


def test_nothing_is_made_on_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", *directories(tmp_path)])
    capsys.readouterr()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["config"]


def test_a_password_that_looks_like_an_option_is_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "10.0.1.201", "-s3cret"]) == EXIT_USAGE
    said = "".join(capsys.readouterr())

    assert said.startswith("lbctl: error: doctor: an option is not known")
    assert "s3cret" not in said
