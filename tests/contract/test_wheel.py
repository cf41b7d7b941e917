"""The installed wheel: what works from the checkout must not depend on the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

import lbctl

pytestmark = [pytest.mark.contract, pytest.mark.timeout(600)]

ROOT = Path(lbctl.__file__).parents[1]
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")

IMPORT_ALL = """
import importlib, pkgutil, lbctl
found = [one.name for one in pkgutil.walk_packages(lbctl.__path__, "lbctl.")]
for name in found:
    # The one runs the program; the other is that of the extra, which is not installed.
    if name not in ("lbctl.__main__", "lbctl.registry.dynamodb"):
        importlib.import_module(name)
print(len(found))
"""

SHARED = """
import json
from lbctl.layout import share
print(json.dumps([str(share("conf")), str(share("hooks"))]))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """
    lbctl in an environment of its own.

    Attributes:
        home: an empty directory, where the programs are run.
    """

    wheel: Path
    environment: Path
    home: Path

    def run(self, program: str, *argv: str) -> str:
        """What one of the environment's programs prints; a failure shows all that it said."""
        return run([str(self.environment / "bin" / program), *argv], self.home)


def run(argv: Sequence[str], directory: Path) -> str:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("LBCTL_")}
    done = subprocess.run(
        argv,
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", name="installed")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    directory = tmp_path_factory.mktemp("wheel")
    environment, home = directory / "environment", directory / "home"
    home.mkdir()
    run([sys.executable, *PIP, "wheel", "--no-deps", f"--wheel-dir={directory}", str(ROOT)], home)
    (wheel,) = directory.glob("lbctl-*.whl")
    run(["/usr/bin/python3", "-m", "venv", str(environment)], home)
    run([str(environment / "bin" / "python"), *PIP, "install", str(wheel)], home)
    return Installed(wheel, environment, home)


def shipped_files() -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for part in ("conf", "hooks")
        for path in (ROOT / part).rglob("*")
        if path.is_file()
    }


def test_it_tells_its_version(installed: Installed) -> None:
    assert installed.run("lbctl", "--version") == f"lbctl {lbctl.__version__}\n"


def test_it_prints_what_is_in_force(installed: Installed) -> None:
    said = installed.run("lbctl", "config", "--json", f"--config-dir={installed.home}")

    assert json.loads(said)["haproxy"]["stats"]["port_base"] == 8001


def test_every_module_finds_what_it_imports(installed: Installed) -> None:
    """A package that only the tests need would be missing here."""
    with ZipFile(installed.wheel) as wheel:
        files = [name for name in wheel.namelist() if name.endswith(".py")]

    said = installed.run("python", "-I", "-c", IMPORT_ALL)

    assert int(said) == len(files) - len(["lbctl/__init__.py"])


def test_conf_and_hooks_are_in_it_whole(installed: Installed) -> None:
    with ZipFile(installed.wheel) as wheel:
        names = {name.removeprefix("lbctl/_share/") for name in wheel.namelist()}

    assert shipped_files()
    assert shipped_files() <= names


def test_the_page_is_in_it_whole(installed: Installed) -> None:
    page = ROOT / "lbctl" / "api" / "page"
    files = [one for part in ("templates", "static") for one in (page / part).iterdir()]
    with ZipFile(installed.wheel) as wheel:
        names = set(wheel.namelist())

    assert len(files) > 10
    assert {str(path.relative_to(ROOT)) for path in files} <= names


def test_the_installed_hooks_can_be_run(installed: Installed) -> None:
    conf, hooks = (Path(one) for one in json.loads(installed.run("python", "-I", "-c", SHARED)))

    assert conf.is_relative_to(installed.environment)
    for name in ("vip-up", "vip-down"):
        run([str(hooks / name), "--self-test"], installed.home)
