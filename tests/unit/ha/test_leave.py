"""Leaving on purpose: the order of the steps, and what happens when nobody takes over."""

from __future__ import annotations

import asyncio

import pytest

from lbctl.ha.leave import RESIGNATIONS, Report, leave


class RecordedScene:
    """Writes down what is asked of it."""

    def __init__(self, *, connections: int = 0, successor: str | None = "10.0.1.12") -> None:
        self.steps: list[str] = []
        self._connections = connections
        self._successor = successor

    async def reload_haproxy(self) -> None:
        self.steps.append("reload")

    async def connections(self) -> frozenset[object]:
        left = self._connections
        self._connections = max(0, left - 1)
        return frozenset(range(left))

    def silence(self) -> None:
        self.steps.append("silence")

    def resume(self) -> None:
        self.steps.append("resume")

    def resign(self) -> None:
        self.steps.append("resign")

    async def successor(self, since: float, within_s: float) -> str | None:
        if self.steps.count("resign") == RESIGNATIONS and self._successor:
            return self._successor
        await asyncio.sleep(within_s)
        return None

    def destroy(self) -> int:
        self.steps.append("destroy")
        return 2

    def addresses_off(self, why: str) -> None:
        self.steps.append("off")

    def end_speaker(self) -> None:
        self.steps.append("end")


def go(scene: RecordedScene, *, must: bool = False, drain_s: float = 1.0) -> Report:
    return asyncio.run(leave(scene, "handover", drain_s=drain_s, must=must))


def test_the_order_is_drain_silence_resign_destroy_off_end() -> None:
    scene = RecordedScene(connections=10)
    report = go(scene)

    assert scene.steps == [
        "reload", "silence", "resign", "resign", "resign", "destroy", "off", "end",
    ]  # fmt: skip
    assert report.left
    assert report.taken_over_by == "10.0.1.12"
    assert report.undrained == 0
    assert report.destroyed == 2


def test_without_connections_there_is_nothing_to_drain() -> None:
    scene = RecordedScene()

    assert go(scene).drained_s == 0.0
    assert "reload" not in scene.steps


def test_connections_that_are_over_in_a_moment_need_no_reload() -> None:
    scene = RecordedScene(connections=3)
    report = go(scene)

    assert "reload" not in scene.steps
    assert report.drained_s > 0
    assert report.undrained == 0


def test_draining_ends_after_its_time() -> None:
    scene = RecordedScene(connections=10_000)
    report = go(scene, drain_s=0.1)

    assert 0.1 <= report.drained_s < 0.5
    assert report.undrained > 0
    assert report.left


def test_when_nobody_takes_over_the_node_goes_on() -> None:
    scene = RecordedScene(successor=None)
    report = go(scene)

    assert not report.left
    assert scene.steps[-1] == "resume"
    assert not {"destroy", "off", "end"} & set(scene.steps)
    assert "keeps the addresses" in report.sentence()


def test_a_must_leaves_even_when_nobody_takes_over() -> None:
    scene = RecordedScene(successor=None)

    assert go(scene, must=True).left
    assert scene.steps[-3:] == ["destroy", "off", "end"]


@pytest.mark.parametrize("successor", ["10.0.1.12", None])
def test_it_resigns_three_times(successor: str | None) -> None:
    scene = RecordedScene(successor=successor)
    go(scene)

    assert scene.steps.count("resign") == RESIGNATIONS
