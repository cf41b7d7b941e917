"""Events as Docker 20.10 and Podman 4.3 send them, and who was told to stop."""

from __future__ import annotations

from typing import Any

import pytest

from lbctl.discovery.docker_events import GRACE_S, Event, Leaving, read_event
from lbctl.discovery.docker_read import Container

ONE = Container(id="one", name="w1", stop_timeout_s=10.0)


def event(action: str, *, kind: str = "container", actor: str = "one", **said: str) -> Any:
    return {"Type": kind, "Action": action, "Actor": {"ID": actor, "Attributes": said}}


@pytest.mark.parametrize(
    ("plain", "read"),
    [
        (event("kill", signal="15"), Event("one", "told", 15)),
        (event("kill", signal="SIGTERM"), Event("one", "told", 15)),
        (event("die", exitCode="0"), Event("one", "gone")),
        (event("destroy"), Event("one", "gone")),
        (event("start"), Event("one", "started")),
        (event("restart"), Event("one", "look")),
        (event("rename", oldName="/w1"), Event("one", "look")),
        (event("health_status: healthy"), Event("one", "look")),
        (event("connect", kind="network", actor="net", container="one"), Event("one", "look")),
        (event("create", kind="network", actor="net"), None),
        (event("exec_create: /bin/sh -c true"), None),
        (event("create"), None),
        ({"Type": "image", "Action": "pull", "Actor": {"ID": ""}}, None),
        ({"Type": "container", "Action": "die", "Actor": None}, None),
        ([], None),
    ],
)
def test_an_event_of_docker(plain: object, read: Event | None) -> None:
    assert read_event(plain, is_podman=False) == read


@pytest.mark.parametrize(
    ("plain", "read"),
    [
        # It does not say which signal: a HUP must not drain.
        (event("kill", containerExitCode="0"), Event("one", "look")),
        # Before it, where Docker says so after it.
        (event("restart"), Event("one", "told")),
        (event("died"), Event("one", "gone")),
        (event("remove"), Event("one", "gone")),
        (event("connect", kind="network", actor="one"), Event("one", "look")),
        (event("health_status"), Event("one", "look")),
        (event("cleanup"), None),
    ],
)
def test_an_event_of_podman(plain: object, read: Event | None) -> None:
    assert read_event(plain, is_podman=True) == read


@pytest.mark.parametrize(
    ("signal", "is_leaving"),
    [(15, True), (3, True), (9, True), (28, True), (1, False), (10, False)],
)
def test_a_signal_that_stops_means_that_it_leaves(signal: int, is_leaving: bool) -> None:
    leaving = Leaving()
    container = Container(id="one", name="httpd", stop_signal=28)
    leaving.take(Event("one", "told", signal), container, 100.0)

    assert ("one" in leaving.containers) is is_leaving


@pytest.mark.parametrize("kind", ["gone", "started"])
def test_who_is_gone_or_started_again_does_not_leave_any_more(kind: Any) -> None:
    leaving = Leaving()
    leaving.take(Event("one", "told", 15), ONE, 100.0)
    leaving.take(Event("one", kind), ONE, 101.0)

    assert not leaving.containers


def test_who_still_runs_some_seconds_after_it_should_be_killed_stays() -> None:
    leaving = Leaving()
    leaving.take(Event("one", "told", 15), ONE, 100.0)
    # SIGKILL at the end is no new time of grace.
    leaving.take(Event("one", "told", 9), ONE, 109.0)
    end = leaving.next_end
    leaving.expire(109.9)
    before = leaving.containers
    leaving.expire(100.0 + 10.0 + GRACE_S)

    assert end == 100.0 + 10.0 + GRACE_S
    assert before == {"one"}
    assert not leaving.containers
    assert leaving.next_end is None


def test_nobody_knows_when_a_container_that_is_not_known_stops() -> None:
    leaving = Leaving()
    leaving.take(Event("other", "told", 15), None, 100.0)

    assert not leaving.containers
