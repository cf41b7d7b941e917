"""
What must be known before lb.yaml is read: how to say that it cannot be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from lbctl.files import read_bounded

#: Enough of a file to find a section at its top level; all of it is read soon.
_LOOKED_AT_BYTES: Final = 1 << 20
_VARIABLE: Final = "LBCTL_LOG_FORMAT"
_SECTION: Final = re.compile(
    r"""^(?:log|\s*"log")\s*:\s*(?:\#.*)?\{?\s*"?format"?\s*:\s*["']?(json|text)\b""", re.MULTILINE
)


def log_format(settings: Path, environ: Mapping[str, str]) -> Literal["text", "json"]:
    """
    ``log.format`` by its looks, since the file may be what is wrong; in doubt ``text``.

    Args:
        settings: lb.yaml.
        environ: ``os.environ``.
    """
    found = environ.get(_VARIABLE, "").strip() or _in_file(settings)
    return "json" if found == "json" else "text"


def _in_file(settings: Path) -> str:
    try:
        text = read_bounded(settings, _LOOKED_AT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    match = _SECTION.search(text)
    return match[1] if match else ""
