"""How lines are said is known before lb.yaml is read, and when it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lbctl.settings.early import log_format


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("log: {format: json}\n", "json"),
        ("log: {format: 'json'}\n", "json"),
        ("log: # for the collector\n  format: json\n", "json"),
        ("ha: {vhid: 300}\nlog:\n  format: json # as the others\n", "json"),
        (json.dumps({"ha": {}, "log": {"format": "json"}}, indent=2), "json"),
        (json.dumps({"log": {"format": "json"}}), "text"),
        ("log: {format: json}\nha: [broken\n", "json"),
        ("log: {format: text}\n", "text"),
        ("#log: {format: json}\n", "text"),
        ("services:\n  - log: {format: json}\n", "text"),
        ("log: {format: jsonl}\n", "text"),
        ("", "text"),
        ("\x00\xff", "text"),
    ],
)
def test_the_files_word_is_found_by_its_looks(tmp_path: Path, text: str, form: str) -> None:
    path = tmp_path / "lb.yaml"
    path.write_text(text)

    assert log_format(path, {}) == form


@pytest.mark.parametrize(("word", "form"), [("json", "json"), ("text", "text"), ("", "json")])
def test_the_variable_wins_over_the_file(tmp_path: Path, word: str, form: str) -> None:
    path = tmp_path / "lb.yaml"
    path.write_text("log: {format: json}\n")

    assert log_format(path, {"LBCTL_LOG_FORMAT": word}) == form


def test_without_a_file_it_is_text(tmp_path: Path) -> None:
    assert log_format(tmp_path / "none", {}) == "text"
    assert log_format(tmp_path, {}) == "text"
