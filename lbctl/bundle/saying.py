"""
How the bundle's own programs say things on stderr: sentences, or objects that logd passes on.

``log.info("%s: %s", kind, text, extra={"kind": kind, "text": text, "fields": fields})`` is a
sentence with its kind in the one form, and in the other the kind, the text and the fields by
themselves. Everything else that is logged has a level and a text.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from lbctl.bundle.lines import CUT_MARK, LINE_MAX_BYTES
from lbctl.bundle.objects import MARK, stamp

Form = Literal["text", "json"]

_LEVELS = {"CRITICAL": "error", "ERROR": "error", "WARNING": "warning", "DEBUG": "debug"}
#: Events that nobody expects.
_ODD = frozenset({"foreign", "full", "hang"})
#: A character is twelve bytes at most, as ``\\ud83d\\ude00``; the rest is for the other keys.
_TEXT_MAX_CHARS = LINE_MAX_BYTES // 16
_TRACE_MAX_CHARS = LINE_MAX_BYTES // 8


def speak(spec: Path) -> None:
    """
    Log to stderr from now on, in the form that this bundle speaks.

    Args:
        spec: its ``bundle.json``; where that says nothing of it, in sentences.
    """
    begin(form_of(spec))


def begin(form: Form) -> None:
    """The same, in *form*."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Objects() if form == "json" else logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    if form == "json":
        sys.excepthook = _on_end


def form_of(spec: Path) -> Form:
    """What ``bundle.json`` says; whatever is wrong with it is for others to tell."""
    try:
        raw = json.loads(spec.read_bytes())
        return "json" if raw.get("log_format") == "json" else "text"
    except (OSError, ValueError, AttributeError):
        return "text"


class Objects(logging.Formatter):
    """A record as an object behind the mark, in one line of logd's length."""

    def format(self, record: logging.LogRecord) -> str:
        text = str(getattr(record, "text", None) or record.getMessage())
        fields = dict(getattr(record, "fields", None) or {})
        kind = str(getattr(record, "kind", ""))
        if record.exc_info:
            trace = "".join(traceback.format_exception(*record.exc_info))
            fields["trace"] = trace[-_TRACE_MAX_CHARS:]
        told: dict[str, Any] = {
            "at": stamp(float(getattr(record, "at", None) or record.created)),
            "level": _LEVELS.get(record.levelname) or _level_of(kind, fields),
            "kind": kind,
            "text": text,
            "fields": fields,
        }
        line = json.dumps(told, default=str)
        if len(line) >= LINE_MAX_BYTES:
            cut = text if len(text) <= _TEXT_MAX_CHARS else _shortened(text)
            line = json.dumps({**told, "text": cut, "fields": {"left_out": sorted(fields)[:20]}})
        return MARK + line


def _level_of(kind: str, fields: Mapping[str, Any]) -> str:
    """What is to be looked at stands out among what happens."""
    if fields.get("did") == "failed" or fields.get("state") in ("FATAL", "BACKOFF"):
        return "error"
    is_odd = (
        kind in _ODD
        or bool(kind == "fault" and fields.get("faults"))
        or bool(fields.get("problems"))
        or fields.get("finding_state") == "begun"
        or fields.get("is_well") is False
        or fields.get("state") == "EXITED"
    )
    return "warning" if is_odd else "info"


def _shortened(text: str) -> str:
    return text[:_TEXT_MAX_CHARS] + CUT_MARK.decode()


def _on_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody caught, in one line and not in one for each of its calls."""
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger(__name__).critical("%r", error, exc_info=(kind, error, trace))
