from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.runtime import UnixRuntime, _translated
from tests.fakes.haproxy_runtime import UNKNOWN, raw_server, runtime_server


def asked(path: Path | str, command: str, timeout_s: float = 2.0) -> str:
    return asyncio.run(UnixRuntime(str(path), timeout_s).ask(command))


@pytest.fixture
def path() -> Iterator[Path]:
    """Short enough for a socket."""
    with TemporaryDirectory(prefix="lbctl-rt-") as directory:
        yield Path(directory) / "01.sock"


@pytest.mark.parametrize(
    "foreign",
    [
        TimeoutError(),
        PermissionError(13, "Permission denied"),
        FileNotFoundError(2, "No such file or directory"),
        ConnectionRefusedError(111, "Connection refused"),
        ConnectionResetError(104, "Connection reset by peer"),
        BrokenPipeError(32, "Broken pipe"),
        asyncio.IncompleteReadError(b"", None),
        asyncio.LimitOverrunError("too long", 1),
        BlockingIOError(11, "Resource temporarily unavailable"),
        OSError("AF_UNIX path too long"),
        ValueError("embedded null byte"),
        UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates not allowed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_foreign_exception_gets_through(foreign: Exception) -> None:
    with (
        pytest.raises(RuntimeApiError, match=r"/x\.sock: 'show info': .+; .+") as caught,
        _translated(UnixRuntime("/x.sock"), "show info"),
    ):
        raise foreign

    assert caught.value.__cause__ is foreign


@pytest.mark.parametrize("command", ["", " ", "a;b", "a\nb", "a\rb", "a\0b"])
def test_what_is_not_one_command_is_not_sent(command: str) -> None:
    with pytest.raises(RuntimeApiError, match="was not sent"):
        asked("/nowhere", command)


def test_a_socket_that_is_not_there(path: Path) -> None:
    with pytest.raises(RuntimeApiError, match="does not run"):
        asked(path, "show info")


def test_a_socket_without_a_listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))

    with pytest.raises(RuntimeApiError, match="refused; the process does not run"):
        asked(path, "show info")


def test_paths_that_no_socket_has(path: Path) -> None:
    for impossible in (path.parent, path.parent / ("x" * 120), f"{path}\0"):
        with pytest.raises(RuntimeApiError):
            asked(impossible, "show info")


def test_a_silent_process_costs_the_deadline_and_no_more(path: Path) -> None:
    with raw_server(path, None), pytest.raises(RuntimeApiError, match=r"no whole answer in 0\.1 s"):
        asked(path, "show info", timeout_s=0.1)


@pytest.mark.parametrize(
    "reply", [b"", b"\n", b"\nName: HAPr", b"\nName: HAProxy\n", b"\n[6]: Server", b"x\n\n"]
)
def test_a_cut_off_answer_is_no_answer(path: Path, reply: bytes) -> None:
    with raw_server(path, reply), pytest.raises(RuntimeApiError, match="cut off"):
        asked(path, "show info")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"\n\n", ""),
        (b"\nName: HAProxy\n\n", "Name: HAProxy\n"),
        (b"\n[6]: New server registered.\n\n", "New server registered.\n"),
        (b"\n[4]: no need to change the addr\n\n", "no need to change the addr\n"),
        (b"\nb,s1,\xff\n\n", "b,s1,\\xff\n"),
        (b"\n[6]: Server deleted.\n", "Server deleted.\n"),  # 2.6
    ],
)
def test_answers_come_without_framing(path: Path, reply: bytes, expected: str) -> None:
    with raw_server(path, reply):
        assert asked(path, "show info") == expected


@pytest.mark.parametrize(
    "reply", [b"\n[3]: No such server.\n\n", b"\n[6]: Unknown command, but\n  show\n\n"]
)
def test_a_refusal_is_an_error_with_haproxys_reason(path: Path, reply: bytes) -> None:
    with (
        raw_server(path, reply),
        pytest.raises(RuntimeApiError, match=r"refused: (No such server\.|Unknown command, but)$"),
    ):
        asked(path, "set weight b/s 1")


def test_commands_may_be_asked_side_by_side(path: Path) -> None:
    async def many() -> list[str]:
        runtime = UnixRuntime(str(path))
        return await asyncio.gather(*(runtime.ask(f"echo {n}") for n in range(64)))

    with runtime_server(path, lambda command: f"{command}\n"):
        assert asyncio.run(many()) == [f"echo {n}\n" for n in range(64)]


def test_many_commands_have_a_verdict_each(path: Path) -> None:
    answers = {"set weight b/s 1": "", "set weight b/n 1": "[3]: No such server.\n"}
    commands = [*answers, "dance", "show info"]

    def answer(command: str) -> str:
        return answers.get(command, "Name: HAProxy\n" if command == "show info" else UNKNOWN)

    with runtime_server(path, answer):
        said = asyncio.run(UnixRuntime(str(path)).ask_all(commands))

    assert [(one.command, one.text, one.refusal, one.is_done) for one in said] == [
        ("set weight b/s 1", "", "", True),
        ("set weight b/n 1", "", "No such server.", False),
        ("dance", "", UNKNOWN.strip(), False),
        ("show info", "Name: HAProxy\n", "", True),
    ]


def test_nothing_to_ask_is_not_asked(path: Path) -> None:
    assert asyncio.run(UnixRuntime(str(path)).ask_all([])) == ()


def test_among_many_what_is_not_one_command_keeps_all_from_being_sent() -> None:
    with pytest.raises(RuntimeApiError, match="was not sent"):
        asyncio.run(UnixRuntime("/nowhere").ask_all(["show info", "a;b"]))


def test_a_connection_that_ends_leaves_the_rest_without_an_answer(path: Path) -> None:
    with raw_server(path, b"\n\n> \n> [3]: No such server.\n\n> Nam"):
        first, second, *rest = asyncio.run(
            UnixRuntime(str(path)).ask_all([f"set weight b/s {n}" for n in range(4)])
        )

    assert (first.is_done, second.refusal) == (True, "No such server.")
    assert [
        "its effect is unknown" in one.failure or "the effect is unknown" in one.failure
        for one in rest
    ] == [True, True]


def test_a_process_that_falls_silent_is_waited_for_once(path: Path) -> None:
    with raw_server(path, None), pytest.raises(RuntimeApiError, match=r"no whole answer in 0\.1 s"):
        asyncio.run(UnixRuntime(str(path), 0.1).ask_all(["show info"] * 50))


def test_a_payload_goes_with_its_command_and_is_in_no_error(path: Path) -> None:
    heard: list[str] = []
    with (
        raw_server(path, b"\n[3]: No.\n\n", heard.append),
        pytest.raises(RuntimeApiError) as caught,
    ):
        asyncio.run(UnixRuntime(str(path)).ask("set x", payload="secret\nmore\n"))

    assert heard == ["set severity-output number;set x <<\nsecret\nmore\n\n"]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("payload", ["", "a\n\nb", "\n", "a\n\n"])
def test_a_payload_with_an_empty_line_is_not_sent(payload: str) -> None:
    with pytest.raises(RuntimeApiError, match="an empty line would end its payload"):
        asyncio.run(UnixRuntime("/nowhere").ask("set x", payload=payload))
