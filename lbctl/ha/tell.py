"""One word to vipd, and its answer, for programs that have nothing else to do meanwhile."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path

_PATIENCE_S = 2.0


def tell_vipd(path: Path, word: Mapping[str, object]) -> None:
    """
    Say *word* to the vipd that listens on *path*.

    Raises:
        OSError: nobody listens, there was no answer in 2 s, or it was no.
    """
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_PATIENCE_S)
            line.connect(str(path))
            line.sendall(json.dumps(word).encode() + b"\n")
            with line.makefile("rb") as lines:
                answer = json.loads(lines.readline())
    except (OSError, ValueError) as error:
        message = f"{path}: {word['op']}: {error}"
        raise OSError(message) from error
    if not isinstance(answer, dict) or not answer.get("ok"):
        message = f"{path}: {word['op']}: refused: {answer!r:.200}"
        raise OSError(message)
