"""One round of the demo, as a stranger runs it, and what it leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lbctl.errors import EXIT_OK
from lbctl.lab.wait import wait_until
from tests.pairs import Tell

DEMO = (sys.executable, "-m", "lbctl", "demo")
ROUND_S = 90.0


def left_behind(pid: int) -> list[str]:
    """Namespaces and directories of labs that this process has made and that exist now."""
    mine = (f"lb{pid}x*", f"lbctl-lab-{pid}x*")
    places = (Path("/run/netns"), Path(tempfile.gettempdir()))
    return [path.name for place in places for name in mine for path in place.glob(name)]


@dataclass(frozen=True, slots=True)
class Round:
    """A demo that has ended: exit code, stdout, stderr, and what is left of its lab."""

    code: int
    said: str
    complained: str
    left: list[str]


def one_round(*argv: str, **environment: str) -> Round:
    with subprocess.Popen(
        [*DEMO, "--once", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as demo:
        wait_until(lambda: left_behind(demo.pid), 10, "its lab")
        said, complained = demo.communicate(timeout=ROUND_S)
    return Round(demo.returncode, said, complained, left_behind(demo.pid))


def assert_is_complete(shown: Round, tell: Tell) -> None:
    """Each step with its outage, and nothing left."""
    tell(shown.said)
    assert shown.code == EXIT_OK, shown.complained
    for step in ("handover", "planned stop", "host cut off", "host healed", "HAProxy killed"):
        assert re.search(rf"✓ {step}: .* client outage \d+ ms", shown.said), step
    assert shown.left == []
