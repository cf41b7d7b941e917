"""What our own programs log is a sentence, or what they know of it in one line of logd's length."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from lbctl.bundle.lines import LINE_MAX_BYTES
from lbctl.bundle.objects import MARK
from lbctl.bundle.saying import Objects, form_of


def record(said: str, *, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("x").makeRecord("x", level, "f", 1, said, (), None, extra=extra)


def told(line: str) -> dict[str, Any]:
    assert line.startswith(MARK)
    assert len(line.encode()) < LINE_MAX_BYTES
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line[1:])
    return found


def test_an_event_has_its_kind_and_its_fields_apart_from_its_text() -> None:
    extra: dict[str, Any] = {"at": 0.5, "kind": "role", "text": "a\nb", "fields": {"vhid": 7}}

    assert told(Objects().format(record("role: a\nb", **extra))) == {
        "at": "1970-01-01T00:00:00.500Z",
        "level": "info",
        "kind": "role",
        "text": "a\nb",
        "fields": {"vhid": 7},
    }


def test_a_plain_line_has_its_level() -> None:
    one = told(Objects().format(record("%s", level=logging.WARNING)))

    assert (one["level"], one["kind"], one["text"]) == ("warning", "", "%s")


def test_a_trace_is_one_line_with_the_words_before_it() -> None:
    try:
        raise ValueError("odd " * 3000)
    except ValueError:
        one = record("unexpected", level=logging.ERROR)
        one.exc_info = sys.exc_info()
    found = told(Objects().format(one))

    assert found["text"] == "unexpected"
    assert found["fields"]["trace"].endswith("odd \n")


@pytest.mark.parametrize(
    "text", ["x" * LINE_MAX_BYTES, "\0" * LINE_MAX_BYTES, "ü" * 9000, "\U0001f600" * 9000]
)
def test_a_text_beyond_measure_is_cut_and_stays_an_object(text: str) -> None:
    found = told(Objects().format(record(text, fields={"a": 1})))

    assert found["text"] == text[:1024] + " [cut]"
    assert found["fields"] == {"left_out": ["a"]}


def test_fields_beyond_measure_leave_the_text_whole() -> None:
    found = told(Objects().format(record("short", fields={"many": ["x" * 99] * 400, "b": 1})))

    assert (found["text"], found["fields"]) == ("short", {"left_out": ["b", "many"]})


def test_a_field_that_json_does_not_know_is_told_in_words() -> None:
    found = told(Objects().format(record("a", fields={"path": Path("/x")})))

    assert found["fields"] == {"path": "/x"}


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"log_format": "json"}', "json"),
        ('{"log_format": "text"}', "text"),
        ('{"log_format": "xml"}', "text"),
        ("{}", "text"),
        ("[]", "text"),
        ("{torn", "text"),
        (None, "text"),
    ],
)
def test_the_form_is_the_bundles_and_in_doubt_text(
    tmp_path: Path, text: str | None, form: str
) -> None:
    path = tmp_path / "bundle.json"
    if text is not None:
        path.write_text(text)

    assert form_of(path) == form
