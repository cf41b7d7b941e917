"""Which silence of vipd is a hang."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lbctl.agent.hang import SILENCES, HangWatch
from lbctl.agent.table import ProgramTable
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramState
from lbctl.spec import GroupSpec
from tests.fakes.programs import FakePrograms
from tests.fakes.vipd import FakeVipd
from tests.specs import bundle_spec

KILL = ("signal", "vipd", "KILL")


def _watch(run: RunDir, notes: list[str]) -> tuple[HangWatch, FakePrograms]:
    group = GroupSpec(
        7, "eth0", "10.0.1.11", "10.0.1.201", ("10.0.1.201/32",), "ucarp", 1, 0, 3, 2.0, ()
    )
    spec = bundle_spec(programs=("vipd",), group=group)
    table = ProgramTable(["vipd"])
    row = table.rows["vipd"]
    row.state, row.pid, row.started = ProgramState.RUNNING, 4711, -1e6
    programs = FakePrograms([Program("vipd", "vipd", ProgramState.RUNNING, 4711)])

    def note(kind: str, text: str, fields: Mapping[str, Any]) -> None:
        notes.append(f"{kind}: {text} {fields}")

    return HangWatch(spec, run, table, programs, note), programs


async def _turns(watch: HangWatch, count: int) -> None:
    for _ in range(count):
        await watch.turn()


@pytest.mark.parametrize("is_there", [False, True])
def test_vipd_that_does_not_listen_is_starting_and_left_alone(
    tmp_path: Path, is_there: bool
) -> None:
    run = RunDir(tmp_path)
    if is_there:
        with socket.socket(socket.AF_UNIX) as refusing:
            refusing.bind(str(run.vipd_socket))
    notes: list[str] = []
    watch, programs = _watch(run, notes)
    asyncio.run(_turns(watch, 3 * SILENCES))

    assert programs.calls == []
    assert notes == []


def test_vipd_that_accepts_and_does_not_answer_is_killed(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    notes: list[str] = []
    watch, programs = _watch(run, notes)

    async def live() -> None:
        async with FakeVipd(run.vipd_socket) as vipd:
            vipd.is_silent = True
            await _turns(watch, SILENCES)

    asyncio.run(live())

    assert programs.calls == [KILL]
    assert "vipd (pid 4711) did not answer" in notes[0]
