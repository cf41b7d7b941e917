"""Supervisor's events, parsed, and acknowledged whether or not anybody handles them."""

from __future__ import annotations

import asyncio

import pytest

from lbctl.bundle.events import ACKNOWLEDGED, READY, listen, parse_event
from lbctl.errors import InvariantError
from lbctl.programs import ProgramEvent, ProgramState


def message(name: str, payload: str) -> bytes:
    header = f"ver:3.0 server:s serial:1 pool:p poolserial:1 eventname:{name} len:{len(payload)}\n"
    return (header + payload).encode()


RUNNING = "processname:haproxy-01 groupname:haproxy from_state:STARTING pid:7"


@pytest.mark.parametrize(
    ("name", "payload", "event"),
    [
        (
            "PROCESS_STATE_RUNNING",
            RUNNING,
            ProgramEvent("haproxy-01", "haproxy", ProgramState.RUNNING, ProgramState.STARTING, 7),
        ),
        (
            "PROCESS_STATE_BACKOFF",
            "processname:nginx groupname:nginx from_state:STARTING tries:2",
            ProgramEvent("nginx", "nginx", ProgramState.BACKOFF, ProgramState.STARTING),
        ),
        (
            "PROCESS_STATE_EXITED",
            "processname:ucarp groupname:ucarp from_state:RUNNING expected:0 pid:9",
            ProgramEvent("ucarp", "ucarp", ProgramState.EXITED, ProgramState.RUNNING, 9),
        ),
        (
            "PROCESS_STATE_EXITED",
            "processname:ucarp groupname:ucarp from_state:RUNNING expected:1 pid:9",
            ProgramEvent(
                "ucarp", "ucarp", ProgramState.EXITED, ProgramState.RUNNING, 9, expected=True
            ),
        ),
        (
            "PROCESS_STATE_FATAL",
            "processname:a groupname:a from_state:BACKOFF",
            ProgramEvent("a", "a", ProgramState.FATAL, ProgramState.BACKOFF),
        ),
        ("SUPERVISOR_STATE_CHANGE_STOPPING", "", ProgramEvent("", "", ProgramState.STOPPING)),
        ("SUPERVISOR_STATE_CHANGE_RUNNING", "", None),
        ("TICK_5", "when:1201063880", None),
    ],
)
def test_events_are_parsed(name: str, payload: str, event: ProgramEvent | None) -> None:
    assert parse_event(name, payload) == event


def test_only_the_event_without_a_program_stops_the_bundle() -> None:
    bundle = parse_event("SUPERVISOR_STATE_CHANGE_STOPPING", "")
    program = parse_event("PROCESS_STATE_STOPPING", RUNNING)

    assert bundle is not None
    assert bundle.is_bundle_stopping
    assert program is not None
    assert not program.is_bundle_stopping


async def heard(data: bytes) -> tuple[list[ProgramEvent], bytes]:
    reader, answers = asyncio.StreamReader(), bytearray()
    reader.feed_data(data)
    reader.feed_eof()
    return [event async for event in listen(reader, answers.extend)], bytes(answers)


def test_each_event_is_acknowledged_and_those_of_interest_are_yielded() -> None:
    data = (
        message("PROCESS_STATE_RUNNING", RUNNING)
        + message("TICK_5", "when:1")
        + message("SUPERVISOR_STATE_CHANGE_STOPPING", "")
    )
    events, answers = asyncio.run(heard(data))

    assert [event.state for event in events] == [ProgramState.RUNNING, ProgramState.STOPPING]
    assert answers == READY + 3 * (ACKNOWLEDGED + READY)


def test_a_consumer_that_handles_nothing_does_not_hold_the_answers_up() -> None:
    async def answers_while_the_first_is_handled() -> int:
        reader, answers = asyncio.StreamReader(), bytearray()
        events = listen(reader, answers.extend)
        reader.feed_data(3 * message("PROCESS_STATE_RUNNING", RUNNING))
        await anext(events)
        for _ in range(10):
            await asyncio.sleep(0)
        return answers.count(ACKNOWLEDGED)

    assert asyncio.run(answers_while_the_first_is_handled()) == 3


def test_the_stream_ends_where_the_input_ends_even_within_an_event() -> None:
    events, _ = asyncio.run(heard(message("PROCESS_STATE_RUNNING", RUNNING)[:-3]))

    assert events == []


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\n",
        b"eventname:TICK_5 len:x\n",
        message("PROCESS_STATE_RUNNING", "processname:a"),
        message("PROCESS_STATE_DANCING", RUNNING),
    ],
)
def test_another_protocol_is_an_error(data: bytes) -> None:
    with pytest.raises(InvariantError, match="supervisord's events"):
        asyncio.run(heard(data))
