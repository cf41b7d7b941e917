"""The unit's own files: what they name is known, and what the unit's document says of it holds."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from lbctl.bundle.notify import PATIENCE_S
from lbctl.errors import EXIT_CONFIG, EXIT_USAGE
from lbctl.launch.request import EXTRA_ADDRESSES, PASSWORD_FILE, read_request
from lbctl.settings.environment import read_environment

DEPLOY = Path(__file__).parents[2] / "deploy"


def unit() -> configparser.SectionProxy:
    """[Service], the last value of each name."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "lbctl.service")
    return parser["Service"]


def examples() -> dict[str, str]:
    """The variables that lbctl.env shows, as if they were set."""
    text = (DEPLOY / "lbctl.env").read_text()
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_every_variable_that_the_file_shows_is_known_and_its_value_good(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("foobar23\n")
    shown = examples()
    vip = shown.pop("LBCTL_VIP")
    environ = {PASSWORD_FILE: str(password), EXTRA_ADDRESSES: shown.pop(EXTRA_ADDRESSES)}
    layer = read_environment(shown)

    assert len(read_request([vip], environ).cidrs) == 3
    assert layer.findings == ()
    assert len(layer.given) == len(shown) == 5


def test_nothing_is_set_until_the_operator_does() -> None:
    lines = (DEPLOY / "lbctl.env").read_text().splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == []


def test_what_only_the_operator_can_mend_is_not_tried_again() -> None:
    assert unit()["RestartPreventExitStatus"] == f"{EXIT_USAGE} {EXIT_CONFIG}"


def test_a_start_that_says_how_it_goes_outlasts_the_limit_of_one_that_does_not() -> None:
    assert 1 < PATIENCE_S <= int(unit()["TimeoutStartSec"])
