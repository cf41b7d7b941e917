"""The Vagrantfile, as Vagrant itself judges it; what it makes is in the system tests."""

from __future__ import annotations

import os
import runpy
import subprocess
from pathlib import Path

import pytest

from lbctl.lab.hosts import NUMBERS
from tests.vagrantfile import VAGRANTFILE, wanted_machines

pytestmark = pytest.mark.contract


def validate(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """``vagrant validate`` of a Vagrantfile with that text; nothing is written elsewhere."""
    (directory / "Vagrantfile").write_text(text)
    environ = {
        "HOME": str(directory),
        "VAGRANT_HOME": str(directory / "home"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "PATH": os.environ["PATH"],
    }
    return subprocess.run(
        ["vagrant", "validate", "--ignore-provider"],
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_vagrant_accepts_the_vagrantfile(tmp_path: Path) -> None:
    done = validate(VAGRANTFILE.read_text(), tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "validated successfully" in done.stdout


def test_vagrant_would_refuse_a_mistake(tmp_path: Path) -> None:
    text = VAGRANTFILE.read_text()
    wrong = text.replace("machine.vm.hostname = name", "machine.vm.hostnam = name")

    assert wrong != text
    assert validate(wrong, tmp_path).returncode == 1


def test_web_servers_are_made_before_the_balancers_that_need_them() -> None:
    assert list(wanted_machines()) == ["web1", "web2", "lb1", "lb2"]


def test_addresses_are_those_of_the_demo() -> None:
    numbers = {"web1": "web1", "web2": "web2", "lb1": "a", "lb2": "b"}

    assert {name: one.address for name, one in wanted_machines().items()} == {
        name: f"10.0.1.{NUMBERS[host]}" for name, host in numbers.items()
    }


def test_the_last_thing_said_is_the_picture() -> None:
    machines = list(wanted_machines().values())

    assert "vagrant/picture 10.0.1.201 10.0.1.11 10.0.1.12" in machines[-1].lines[-1]
    assert not [one for one in machines[:-1] if "picture" in "".join(one.lines)]


def test_every_script_that_a_machine_runs_is_in_the_checkout() -> None:
    for one in wanted_machines().values():
        for line in one.lines:
            script = Path(line.split()[1])

            assert (VAGRANTFILE.parents[1] / script.relative_to("/srv/lbctl")).is_file()


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("echo '{\"ha\": {}}'", {"ha": {}}),
        ("echo '{\"ha\": '", {}),
        ("echo '[]'", {}),
        ("printf '\\377'", {}),
        ("echo '{}'; exit 1", {}),
    ],
)
def test_the_picture_waits_for_a_node_that_says_nothing_sensible(
    tmp_path: Path, program: str, status: dict[str, object]
) -> None:
    lbctl = tmp_path / "lbctl"
    lbctl.write_text(f"#!/bin/sh\n{program}\n")
    lbctl.chmod(0o755)
    picture = runpy.run_path(str(VAGRANTFILE.with_name("picture")))

    assert picture["status"](str(lbctl)) == status
    assert picture["status"](str(tmp_path / "none")) == {}
