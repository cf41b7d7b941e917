"""``lbctl render --once``: who cannot be asked without a bundle has said something all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from lbctl.discovery.saved import write_snapshot
from lbctl.launch.asking import asked
from lbctl.layout import StateDir
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import Registry
from lbctl.settings.model import Settings


@pytest.mark.parametrize("store", ["sqlite", "consul", "dynamodb"])
def test_what_the_registry_was_told_last_is_there_whatever_keeps_it(
    tmp_path: Path, store: Literal["sqlite", "consul", "dynamodb"]
) -> None:
    state = StateDir(tmp_path)
    state.registry.touch()
    told = Snapshot("registry", (), 1.0, ("it was told",))
    write_snapshot(state, told)
    write_snapshot(state, Snapshot("docker", (), 1.0))

    assert asyncio.run(asked(Settings(registry=Registry(store=store)), {}, state)) == [told]
