"""A short walk through the chaos of ``bench/chaos``: whatever happens, one node serves in time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lbctl.lab.backend import serve
from lbctl.lab.hosts import Lab
from lbctl.lab.probe import RapidProbe
from lbctl.lab.wait import wait_until
from tests.pairs import Tell

pytestmark = pytest.mark.system

CHAOS = Path(__file__).parents[2] / "bench" / "chaos"
SEED = 4
STEPS = 12


def test_a_random_sequence_of_faults_leaves_one_node_that_serves(tell: Tell) -> None:
    argv = [str(CHAOS), f"--seed={SEED}", f"--steps={STEPS}", "--engine=native", "--json"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=170)
    tell(done.stderr.replace("\n", "\n  "))

    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["steps"] == STEPS
    assert summary["moves"] > 0


def test_rapid_client_asks_every_millisecond_and_sees_an_outage_to_the_millisecond(
    lab: Lab,
) -> None:
    client, web = lab["client"], lab["web1"]
    serve(web)
    with RapidProbe(client, web.address) as probe:
        probe.wait_answers(500, 5)
        assert probe.reasons() == {}
        lab.cut(web)
        cut = probe.mark()
        wait_until(lambda: probe.failures(cut), 3, "the outage")
        healed = probe.mark()
        lab.heal(web)
        probe.wait_answers(400, 5)
        records = probe.records(cut)

    outage_ms = probe.outage_ms(cut)
    lasted_ms = (healed - cut) / 1e6
    assert lasted_ms - 5 <= outage_ms <= lasted_ms + 50
    assert probe.reasons(cut).keys() == {"timeout"}
    asked = [record for record in records if record.start_ns <= healed]
    assert len(asked) > lasted_ms / 2
