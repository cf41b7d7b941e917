"""
What a shell asks while somebody types: names that may come next, one a line.

A program of its own, for Tab is to be quick: it loads next to nothing. Whatever goes wrong, it
says nothing. ``python -I -m lbctl.cli.names RUN_DIR services|servers PREFIX``
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Final

from lbctl.layout import RunDir

#: Whoever types does not wait longer, seconds.
ANSWER_S: Final = 0.5
_LONGEST: Final = 300


def main() -> int:
    """See the module."""
    run_dir, kind, prefix = (*sys.argv[1:], "", "", "")[:3]
    try:
        answer = json.loads(_asked(RunDir(Path(run_dir)), prefix[:_LONGEST]))
        names = [str(name) for name in answer[kind]]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    print("\n".join(names))
    return 0


def _asked(run: RunDir, prefix: str) -> bytes:
    quoted = "".join(f"%{byte:02x}" for byte in prefix.encode())
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(ANSWER_S)
        agent.connect(str(run.api_socket))
        # 1.0: the answer ends with the connection, and is in one piece.
        agent.sendall(f"GET /v1/names?prefix={quoted} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        said = b""
        while part := agent.recv(65536):
            said += part
    return said.partition(b"\r\n\r\n")[2]


if __name__ == "__main__":
    sys.exit(main())
