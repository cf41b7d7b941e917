"""docs/getting-started.md, typed by a new user who is not root: each command does what it shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from lbctl.lab.hosts import Host, Lab
from lbctl.lab.process import Process
from tests.walkthrough import Step, answers, script, steps

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "getting-started.md"
STEPS = steps(DOCUMENT)
#: The directory that the document plays in.
PLAYED_IN = "/tmp/lbctl-start"
LIMIT_S = 60.0
USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--reset-env")

Answers = Sequence[tuple[str, int]]


def typed(host: Host, directory: Path, played: tuple[Step, ...]) -> Process:
    """Bash in a session of its own, in the clone."""
    text = script(played).replace(PLAYED_IN, str(directory / "start"))
    # Whoever types ``cd`` or ``PATH=`` does it in the shell of all that follows.
    argv = host.argv(["env", "-C", str(ROOT), *USER, "bash", "-c", text])
    return Process.start(argv, directory / "said.txt", None)


@pytest.fixture(name="said", scope="module")
def _said() -> Iterator[Answers]:
    """What each step printed, and its exit status."""
    directory = Path(tempfile.mkdtemp(prefix="lbctl-start-"))
    os.chown(directory, 65534, 65534)
    try:
        with Lab(("a",)) as lab:
            process = typed(lab["a"], directory, STEPS)
            # The lab ends what it has started.
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(LIMIT_S)
            process.popen.kill()
            process.popen.wait()
            yield answers(process.text().replace(str(directory / "start"), PLAYED_IN))
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize("number", range(len(STEPS)), ids=[str(one) for one in STEPS])
def test_a_command_prints_what_the_document_shows(said: Answers, number: int) -> None:
    assert number < len(said), f"not reached in {LIMIT_S:g} s: a command before it does not end"

    printed, status = said[number]

    assert STEPS[number].is_met(printed), printed
    assert status == 0, printed


def test_every_command_of_the_document_is_run_but_those_that_change_the_machine() -> None:
    text = DOCUMENT.read_text("utf-8")
    plain = text.split("```")[1::2]
    others = [one.removeprefix("\n").splitlines() for one in plain if not one.startswith("console")]

    assert [line.strip() for one in others for line in one if line.strip()] == [
        "sudo make setup",
        "lbctl run 10.0.1.201 foobar23",
        "sudo make demo",
    ]
