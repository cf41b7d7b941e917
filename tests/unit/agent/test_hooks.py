"""The operator's programs: in what order they run, how long, and what is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from lbctl.agent.hooks import HookRunner
from lbctl.agent.vipd import VipdClient
from lbctl.layout import ConfigDir
from tests.fakes.vipd import FakeVipd
from tests.loops import until
from tests.transitions import AT, fault, role, spec


class Stage:
    """A config dir with programs, a vipd, and the runner between them."""

    def __init__(self, root: Path, limit_s: float = 5.0) -> None:
        self.root = root
        self.said = root / "said"
        self.said.touch()
        self.notes: list[tuple[str, Mapping[str, Any]]] = []
        self.vipd = FakeVipd(root / "s")
        self.runner = HookRunner(spec(root), VipdClient(root / "s"), self._note, limit_s=limit_s)

    def _note(self, kind: str, text: str, fields: Mapping[str, Any]) -> None:
        assert kind == "hook"
        self.notes.append((text.removeprefix(f"{self.root}/hooks.d/"), fields))

    def put(self, name: str, script: str = "", mode: int = 0o755) -> None:
        """A program that says its name, event and role, then does *script*."""
        path = self.root / "hooks.d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        line = f'echo "{name} $LBCTL_EVENT $LBCTL_VHID $LBCTL_ROLE" >>{self.said}'
        path.write_text(f"#!/bin/sh\n{line}\n{script}\n")
        path.chmod(mode)

    def lines(self) -> list[str]:
        return self.said.read_text().splitlines()

    def live(self, use: Callable[[], Awaitable[None]]) -> None:
        """*use*, then stop the runner as a stop of the bundle does."""

        async def both() -> None:
            async with self.vipd:
                life = asyncio.create_task(self.runner.run())
                try:
                    await use()
                finally:
                    life.cancel()
                    await asyncio.gather(life, return_exceptions=True)

        asyncio.run(both())

    async def until_said(self, *lines: str) -> None:
        await until(lambda: len(self.lines()) >= len(lines), f"{lines} are said")
        assert self.lines() == list(lines)

    async def until_noted(self, count: int) -> None:
        await until(lambda: len(self.notes) >= count, f"{count} programs have ended")


def test_hooks_of_a_directory_run_in_order_one_after_the_other(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("up/20-second")
    stage.put("up/10-first", "sleep 0.1")
    stage.put("up/.hidden")
    stage.put("down")

    async def use() -> None:
        stage.runner.offer(role("MASTER"))
        await stage.until_said("up/10-first up 7 MASTER", "up/20-second up 7 MASTER")
        await stage.until_noted(2)

    stage.live(use)

    assert [fields["left"] for _, fields in stage.notes] == [1, 0]
    assert [text.split(" (")[0] for text, _ in stage.notes] == [
        "up/10-first: exit 0",
        "up/20-second: exit 0",
    ]


def test_while_one_runs_only_the_newest_role_is_kept(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    go_on = tmp_path / "go-on"
    stage.put("up", f"while ! test -e {go_on}; do sleep 0.01; done")
    stage.put("down")

    async def use() -> None:
        stage.runner.offer(role("MASTER"))
        await stage.until_said("up up 7 MASTER")
        for n in range(9):
            stage.vipd.role = "BACKUP" if n % 2 == 0 else "MASTER"
            stage.runner.offer(role(stage.vipd.role, AT + 1 + n))
        go_on.touch()
        await stage.until_said("up up 7 MASTER", "down down 7 BACKUP")
        await stage.until_noted(2)

    stage.live(use)

    assert stage.notes[-1][1]["of_at"] == AT + 9


def test_a_transition_that_is_over_is_left_to_the_event_about_the_newer_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("up")
    stage.put("down")

    async def use() -> None:
        stage.vipd.role = "BACKUP"
        stage.runner.offer(role("MASTER"))
        await asyncio.sleep(0)
        stage.runner.offer(role("BACKUP", AT + 1))
        await stage.until_said("down down 7 BACKUP")

    stage.live(use)


def test_a_move_and_back_while_vipd_is_asked_runs_the_last_one_alone(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("up")

    async def use() -> None:
        stage.vipd.is_silent = True
        stage.runner.offer(role("MASTER"))
        await asyncio.sleep(0)
        stage.runner.offer(role("MASTER", AT + 2))
        stage.vipd.is_silent = False
        await stage.until_noted(1)

    stage.live(use)

    assert [fields["of_at"] for _, fields in stage.notes] == [AT + 2]


def test_equal_faults_of_two_groups_run_the_programs_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("fault")
    stage.put("up")

    async def use() -> None:
        stage.runner.offer(fault("nginx is FATAL"))
        await stage.until_noted(1)
        stage.runner.offer(fault("nginx is FATAL", at=AT + 1))
        stage.runner.offer(role("MASTER", AT + 2))
        await stage.until_noted(2)
        stage.runner.offer(fault(at=AT + 3))
        await stage.until_noted(3)

    stage.live(use)

    assert [fields["of_at"] for _, fields in stage.notes] == [AT, AT + 2, AT + 3]


def test_one_groups_transition_does_not_replace_the_others(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("up")

    async def use() -> None:
        stage.runner.offer(role("MASTER"))
        stage.runner.offer(role("MASTER", vhid=8))
        await stage.until_said("up up 7 MASTER", "up up 8 MASTER")

    stage.live(use)


def test_without_an_answer_of_vipd_they_run_all_the_same(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("down")

    async def use() -> None:
        stage.vipd.raw = b"garbled\n"
        stage.runner.offer(role("BACKUP"))
        await stage.until_said("down down 7 BACKUP")

    stage.live(use)


def test_one_that_takes_too_long_is_killed_and_the_next_one_runs(tmp_path: Path) -> None:
    stage = Stage(tmp_path, limit_s=0.3)
    stage.put("up/1", "echo why; sleep 60")
    stage.put("up/2")

    async def use() -> None:
        stage.runner.offer(role("MASTER"))
        await stage.until_noted(2)

    stage.live(use)

    text, fields = stage.notes[0]
    assert text.startswith("up/1: killed: took longer than 0.3 s: why")
    assert (fields["code"], fields["output"]) == (None, "why\n")
    assert stage.lines()[-1] == "up/2 up 7 MASTER"


def test_one_that_fails_says_so_and_only_its_first_kilobyte_is_kept(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("fault", "echo no mail server; head -c 5000 /dev/zero | tr '\\0' x; exit 4")

    async def use() -> None:
        stage.runner.offer(fault("nginx is BACKOFF"))
        await stage.until_noted(1)

    stage.live(use)

    text, fields = stage.notes[0]
    assert text.startswith("fault: exit 4: no mail server")
    assert (fields["code"], len(fields["output"])) == (4, 1024)


def test_one_that_cannot_be_executed_says_so(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("up", mode=0o644)
    (tmp_path / "hooks.d" / "up").chmod(0o644)

    async def use() -> None:
        stage.runner.offer(role("MASTER"))
        await stage.until_noted(1)

    stage.live(use)

    assert stage.notes[0][0] == "up: not run: this user cannot execute it"


def test_what_runs_when_the_bundle_stops_has_a_moment_left(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("down", "sleep 0.2; echo bye")

    async def use() -> None:
        stage.runner.offer(role("BACKUP"))
        stage.vipd.role = "BACKUP"
        await stage.until_said("down down 7 BACKUP")

    stage.live(use)

    assert stage.notes[0][0].startswith("down: exit 0: bye")


def test_one_that_is_cut_off_by_a_stop_is_not_done(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("up", "sleep 60")

    async def use() -> None:
        stage.runner.offer(role("MASTER"))
        await stage.until_said("up up 7 MASTER")

    stage.live(use)

    text, fields = stage.notes[0]
    assert (text, fields["left"]) == ("up: killed: the agent stops", 1)


def test_what_an_earlier_life_left_undone_runs_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("up")
    stage.put("down")
    stage.runner.resume([role("BACKUP", AT), role("MASTER", AT + 1)])

    async def use() -> None:
        await stage.until_said("up up 7 MASTER")
        await stage.until_noted(1)

    stage.live(use)

    assert stage.lines() == ["up up 7 MASTER"]


def test_where_there_are_no_programs_nothing_happens(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("down")

    async def use() -> None:
        stage.runner.offer(role("MASTER"))
        stage.runner.offer(role("BACKUP", AT + 1))
        stage.vipd.role = "BACKUP"
        await stage.until_said("down down 7 BACKUP")

    stage.live(use)

    assert len(stage.notes) == 1
    assert ConfigDir(tmp_path).hooks("up") == ()
