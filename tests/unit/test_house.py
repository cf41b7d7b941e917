"""The rules of the house that no linter knows: sizes, names, what a daemon may import."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from lbctl import errors
from lbctl.cli import options
from lbctl.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PYTHON = sorted(
    [
        *(path for part in ("lbctl", "tests") for path in (ROOT / part).rglob("*.py")),
        ROOT / "hooks" / "vip-up",
        *(ROOT / "bench" / name for name in ("processes", "hook", "footprint", "logd")),
        *(ROOT / "bench" / name for name in ("failover", "chaos", "reloads", "certificate")),
        ROOT / "vagrant" / "picture",
    ]
)
PACKAGE = [path for path in PYTHON if path.is_relative_to(ROOT / "lbctl")]

MODULE_MAX_LINES = 400
FUNCTION_MAX_LINES = 40
CONTRIBUTING_MAX_LINES = 110

#: Names that say nothing of what is inside.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "data", "info", "misc", "common"}

#: What costs a daemon memory, or the start of one time.
HEAVY = {"jinja2", "prometheus_client", "rich", "supervisor", "typer", "yaml"}

#: A hook that imports more than built-in modules takes more than twice as long.
HOOK_IMPORTS = {"_signal", "_socket", "os", "sys", "time"}

#: The demo makes directories of its own for each of its hosts; the registrator keeps nothing.
WITHOUT_DIRECTORIES = {"demo", "registrator"}

DISTRIBUTION_OF = {
    "yaml": "pyyaml",
    "annotated_types": "annotated-types",
    # boto3's own, which nobody installs alone.
    "botocore": "boto3",
}

CHANGELOG_HEADINGS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, the docstring left out: telling more is no fault."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def imported(tree: ast.AST) -> set[str]:
    """First names of all absolute imports, wherever they stand."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_a_module_and_its_functions_can_be_read_at_a_sitting(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    module_lines = text.count("\n")
    long = {
        function.name: lines
        for function in functions(ast.parse(text))
        if (lines := body_lines(function)) > FUNCTION_MAX_LINES
    }

    assert module_lines <= MODULE_MAX_LINES
    assert not long


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_a_module_is_named_after_what_it_owns_and_says_what_that_is(path: Path) -> None:
    assert path.stem not in EMPTY_NAMES
    if path.name != "__init__.py":
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in WITHOUT_DIRECTORIES])
def test_every_command_takes_the_three_directories(command: str) -> None:
    module, function = COMMANDS[command]
    parameters = inspect.signature(getattr(import_module(module), function), eval_str=True)
    taken = {one.name: one.annotation for one in parameters.parameters.values()}

    assert taken.get("config_dir") == options.ConfigDirOption
    assert taken.get("run_dir") == options.RunDirOption
    assert taken.get("state_dir") == options.StateDirOption


@pytest.mark.parametrize("daemon", ["vipd", "agent", "logd", "certs", "discovery", "scrape"])
def test_a_daemon_loads_nothing_heavy(daemon: str) -> None:
    code = f"import sys, lbctl.daemons.{daemon}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True, timeout=20
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}

    assert f"lbctl.daemons.{daemon}" in done.stdout.split()
    assert not loaded & HEAVY


def test_a_hook_imports_built_in_modules_alone() -> None:
    text = (ROOT / "hooks" / "vip-up").read_text(encoding="utf-8")

    assert imported(ast.parse(text)) <= HOOK_IMPORTS


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    declared = {line.partition(">")[0] for line in lines}
    used = set().union(*(imported(ast.parse(path.read_text("utf-8"))) for path in PACKAGE))
    foreign = used - set(sys.stdlib_module_names) - {"lbctl"}

    assert {DISTRIBUTION_OF.get(name, name) for name in foreign} == declared


def test_the_picture_of_the_error_tree_shows_every_class_with_its_exit_code() -> None:
    drawn: dict[str, int] = {}
    code = errors.EXIT_OK
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("│", " ").strip("├└─ ").split()
        if words and words[0].endswith(("Error", "Timeout")):
            # A class without a number has that of the class above it.
            code = int(words[1]) if words[1].isdecimal() else code
            drawn[words[0]] = code
    written = {
        name: one.exit_code
        for name, one in vars(errors).items()
        if inspect.isclass(one) and issubclass(one, errors.LbctlError)
    }
    # Only a base: it carries several problems, and is not raised itself.
    del written["ProblemsError"]

    assert drawn == written


def test_the_changelog_opens_with_what_is_not_released_yet() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    versions = [line for line in lines if line.startswith("## ")]

    assert versions[0] == "## [Unreleased]"
    assert {line[4:] for line in lines if line.startswith("### ")} <= CHANGELOG_HEADINGS


def test_contributing_stays_short() -> None:
    lines = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= CONTRIBUTING_MAX_LINES
