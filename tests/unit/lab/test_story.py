"""The demo's story under each engine, and what its command refuses."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lbctl.cli.main import main
from lbctl.errors import EXIT_USAGE
from lbctl.lab.pair import Pair
from lbctl.lab.story import Engine, steps


class FakePair:
    """Two nodes that settle at once, and what they were started with."""

    vip = "10.0.1.201"

    def __init__(self) -> None:
        self.settings: Mapping[str, Any] = {}

    def start(self, *, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def wait_settled(self, _within_s: float) -> tuple[SimpleNamespace, SimpleNamespace]:
        return SimpleNamespace(name="a"), SimpleNamespace(name="b")


@pytest.mark.parametrize(
    ("engine", "ha"),
    [(Engine.UCARP, {}), (Engine.NATIVE, {"engine": "native", "advbase_ms": 50})],
)
def test_both_nodes_start_with_the_engine_asked_for(engine: Engine, ha: dict[str, Any]) -> None:
    pair = FakePair()
    said = steps(engine)[0].act(cast("Pair", pair))

    assert pair.settings.get("ha", {}) == ha
    assert "a MASTER, b BACKUP" in said


def test_the_native_engine_plays_the_same_story_under_tighter_bounds() -> None:
    ucarp, native = steps(Engine.UCARP), steps(Engine.NATIVE)

    assert [one.title for one in native] == [one.title for one in ucarp]
    assert all(a.bound_ms < b.bound_ms / 5 for a, b in zip(native[1:], ucarp[1:], strict=True))


def test_an_engine_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--engine=keepalived"]) == EXIT_USAGE
    assert "'ucarp', 'native'" in capsys.readouterr().err
