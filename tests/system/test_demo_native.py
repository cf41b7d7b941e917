"""The demo with the native engine: its bounds are for a machine that does something else too."""

from __future__ import annotations

import pytest

from lbctl.lab.story import Engine
from tests.demos import assert_is_complete, one_round
from tests.pairs import Tell

pytestmark = pytest.mark.system


def test_one_round_shows_each_step_with_its_outage_and_leaves_nothing(tell: Tell) -> None:
    assert_is_complete(one_round(f"--engine={Engine.NATIVE}"), tell)
