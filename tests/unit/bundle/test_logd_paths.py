"""logd does not import the layout, for its memory's sake; here it is held to it."""

from __future__ import annotations

from pathlib import Path

from lbctl.bundle import logd
from lbctl.layout import RunDir


def test_logd_and_the_layout_mean_the_same_files() -> None:
    run_dir = RunDir(Path("/run/lbctl"))

    assert logd.spec_path("/run/lbctl") == str(run_dir.spec)
    assert logd.fifo_path("/run/lbctl", "nginx") == str(run_dir.log_fifo("nginx"))
    assert logd.counters_path("/run/lbctl") == str(run_dir.log_counters)
