"""What holds for the whole suite: nothing is skipped in CI, nothing is left behind."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from lbctl.lab.hosts import Lab
from tests.pairs import Tell, write_out

NAMESPACES = Path("/run/netns")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="a skipped test is a failure: CI has every tool"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _forbid_skip(report, item.config)
    if report.failed and call.when != "teardown":
        _add_what_the_lab_knows(report, item)
    return report


def _add_what_the_lab_knows(report: pytest.TestReport, item: pytest.Item) -> None:
    """While the lab is still there."""
    lab = getattr(item, "funcargs", {}).get("lab")
    if isinstance(lab, Lab) and lab.is_up:
        report.sections.append(("lab", lab.dump()))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Whole modules can be skipped too."""
    report = yield
    _forbid_skip(report, collector.config)
    return report


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    if report.skipped and config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and --no-skips forbids that"


def _namespaces() -> set[str]:
    """Those that this run may have made: their names hold its pid."""
    if not NAMESPACES.is_dir():
        return set()
    return {path.name for path in NAMESPACES.iterdir() if str(os.getpid()) in path.name}


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """The suite ends with the network namespaces it found."""
    before = _namespaces()
    yield
    left = _namespaces() - before

    assert not left, f"network namespaces left behind: {sorted(left)}"


@pytest.fixture(name="tell")
def _tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Puts a figure into the log of the run, where CI shows it."""

    def tell(text: str) -> None:
        with capsys.disabled():
            write_out(text)

    return tell
