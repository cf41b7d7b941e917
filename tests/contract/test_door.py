"""vipd's socket: who may say what, and what a garbled word gets."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lbctl.errors import NotMasterError
from lbctl.ha.door import LINE_MAX_BYTES, Door

pytestmark = pytest.mark.contract


async def _echo(word: Mapping[str, Any]) -> dict[str, Any]:
    return {"ok": True, "said": dict(word)}


async def _refuse(word: Mapping[str, Any]) -> dict[str, Any]:
    message = "this node is BACKUP"
    raise NotMasterError(message)


async def _needs_a_key(word: Mapping[str, Any]) -> dict[str, Any]:
    return {"ok": True, "key": word["key"]}


async def _count(word: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for number in range(int(word.get("since", 0)), 3):
        yield {"event": {"id": number}}


async def _talk(path: Path, data: bytes, answers: int) -> list[dict[str, Any]]:
    asks = {"status": _echo, "role": _echo, "handover": _refuse, "need": _needs_a_key}
    door = Door(path, asks, {"watch": _count})
    server = await door.open(mode=0o660, gid=-1)
    async with server:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(data)
        lines = [await asyncio.wait_for(reader.readline(), 2) for _ in range(answers)]
        writer.close()
        await writer.wait_closed()
    return [json.loads(line) if line else {} for line in lines]


def talk(path: Path, data: bytes, answers: int = 1) -> list[dict[str, Any]]:
    return asyncio.run(_talk(path, data, answers))


def test_each_line_gets_an_answer(tmp_path: Path) -> None:
    answers = talk(tmp_path / "s", b'{"op": "status"}\n{"op": "role", "role": "MASTER"}\n', 2)

    assert [a["ok"] for a in answers] == [True, True]


def test_an_error_keeps_its_exit_code(tmp_path: Path) -> None:
    answer = talk(tmp_path / "s", b'{"op": "handover"}\n')[0]

    assert answer == {"ok": False, "error": "this node is BACKUP", "code": 15}


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{\n",
        b"[]\n",
        b'"x"\n',
        b"{}\n",
        b"\xff\xfe\n",
        b"[" * 60_000 + b"\n",
        b'{"op": []}\n',
        b'{"op": {}}\n',
        b'{"op": null}\n',
        b'{"op": "sing"}\n',
        b'{"op": "need"}\n',
        b'{"op": "watch", "since": Infinity}\n',
        b'{"op": "watch", "since": null}\n',
        b'{"op": "watch", "since": [1]}\n',
        b'{"op": "watch", "since": "x"}\n',
    ],
    ids=lambda line: line[:40].decode(errors="replace").strip(),
)
def test_a_garbled_word_is_refused_in_words(tmp_path: Path, line: bytes) -> None:
    answer = talk(tmp_path / "s", line)[0]

    assert answer["ok"] is False
    assert answer["error"]


def test_a_line_without_end_ends_the_conversation(tmp_path: Path) -> None:
    refusal, end = talk(tmp_path / "s", b"x" * (LINE_MAX_BYTES + 1), 2)

    assert "at most 65536 bytes" in refusal["error"]
    assert end == {}


def test_a_stream_goes_on(tmp_path: Path) -> None:
    answers = talk(tmp_path / "s", b'{"op": "watch"}\n', 3)

    assert [a["event"]["id"] for a in answers] == [0, 1, 2]


def test_the_socket_is_closed_to_others(tmp_path: Path) -> None:
    talk(tmp_path / "s", b'{"op": "status"}\n')

    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be had by root alone")
@pytest.mark.parametrize("op", ["role", "digests"])
def test_another_user_may_ask_and_may_not_say_what_is(tmp_path: Path, op: str) -> None:
    """Asked from a process of another user, as the agent would."""
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)

    async def run() -> list[dict[str, Any]]:
        door = Door(tmp_path / "s", {"status": _echo, op: _echo}, {})
        async with await door.open(mode=0o666, gid=-1):
            script = (
                "import socket,sys;s=socket.socket(1,1);s.connect(sys.argv[1]);"
                "f=s.makefile('rw');"
                f'f.write(\'{{"op":"status"}}\\n{{"op":"{op}"}}\\n\');f.flush();'
                "print(f.readline()+f.readline())"
            )
            asker = await asyncio.create_subprocess_exec(
                "/usr/bin/python3", "-I", "-c", script, str(tmp_path / "s"),
                user=65534, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert asker.stdout is not None
            text = await asyncio.wait_for(asker.stdout.read(), 5)
            await asker.wait()
        return [json.loads(line) for line in text.splitlines() if line]

    status, refused = asyncio.run(run())

    assert status["ok"] is True
    assert refused["ok"] is False
    assert "uid 65534" in refused["error"]
