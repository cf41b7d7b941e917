"""Many at vipd's door, and some who say nothing, listen to nothing or never go."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lbctl.ha.door import ASKERS_MAX, PATIENCE_S, WATCHERS_MAX, Door

pytestmark = pytest.mark.contract

LIMIT_S = 10.0
ASK = b'{"op": "status"}\n'
WATCH = b'{"op": "watch"}\n'


class Guest:
    """A connection to the door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def hears(self, question: bytes = b"") -> dict[str, Any]:
        """The next line, or {} when there is none any more."""
        self.writer.write(question)
        line = await asyncio.wait_for(self._reader.readline(), LIMIT_S)
        answer: dict[str, Any] = json.loads(line) if line else {}
        return answer

    async def goes(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class House:
    """A door whose answers are *answer*, and whose stream has one line and no end."""

    def __init__(self, path: Path, answer: Mapping[str, Any]) -> None:
        self.path = path
        self._answer = dict(answer)
        self.guests: list[Guest] = []

    async def guest(self) -> Guest:
        guest = Guest(*await asyncio.open_unix_connection(self.path, limit=1 << 23))
        self.guests.append(guest)
        return guest

    async def status(self, _word: Mapping[str, Any]) -> dict[str, Any]:
        return self._answer

    async def watch(self, _word: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield {"event": 1}
        await asyncio.Event().wait()


def at_home(
    path: Path,
    story: Callable[[House], Awaitable[None]],
    answer: Mapping[str, Any] = {"ok": True},
) -> None:
    async def live() -> None:
        house = House(path, answer)
        door = Door(path, {"status": house.status}, {"watch": house.watch})
        before = sockets()
        server = await door.open(mode=0o666, gid=-1)
        await story(house)
        server.close()
        for guest in house.guests:
            await guest.goes()
        await until(lambda: sockets() == before)

    asyncio.run(live())


def sockets() -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return found


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not claim():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_who_says_nothing_is_told_and_hung_up_on(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        guest = await house.guest()
        began = asyncio.get_running_loop().time()
        answer = await guest.hears()

        assert answer["ok"] is False
        assert "nothing was asked" in answer["error"]
        assert asyncio.get_running_loop().time() - began >= PATIENCE_S - 0.1
        assert await guest.hears() == {}

    at_home(tmp_path / "s", story)


def test_one_more_than_there_is_room_for_is_refused_and_later_let_in(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        guests = [await house.guest() for _ in range(ASKERS_MAX)]
        for guest in guests:
            assert (await guest.hears(ASK))["ok"]
        refused = await (await house.guest()).hears()
        await asyncio.gather(*(guest.goes() for guest in guests))
        later = await house.guest()
        while not (answer := await later.hears(ASK))["ok"]:
            later = await house.guest()

        assert refused["ok"] is False
        assert "64 at once" in refused["error"]
        assert answer == {"ok": True}

    at_home(tmp_path / "s", story)


def test_watchers_take_no_places_of_those_who_ask_and_give_theirs_back(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        watchers = [await house.guest() for _ in range(WATCHERS_MAX)]
        for watcher in watchers:
            assert await watcher.hears(WATCH) == {"event": 1}
        refused = await (await house.guest()).hears(WATCH)
        before = sockets()
        asking = [await house.guest() for _ in range(ASKERS_MAX)]
        asked = [await guest.hears(ASK) for guest in asking]
        await asyncio.gather(*(guest.goes() for guest in (*asking, watchers[0])))
        # Both ends of that watcher's connection.
        await until(lambda: sockets() == before - 2)

        assert f"watched by {WATCHERS_MAX} at once" in refused["error"]
        assert all(answer["ok"] for answer in asked)
        assert await (await house.guest()).hears(WATCH) == {"event": 1}

    at_home(tmp_path / "s", story)


def test_who_fetches_no_answer_is_hung_up_on(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        before = sockets()
        guest = await house.guest()
        guest.writer.transport.pause_reading()  # type: ignore[attr-defined]
        guest.writer.write(ASK)
        await until(lambda: sockets() == before + 2)
        # Its own end, and nobody at the other one.
        await until(lambda: sockets() == before + 1)

    at_home(tmp_path / "s", story, {"ok": True, "status": "x" * 5_000_000})


def test_a_slow_guest_gets_the_whole_of_a_long_answer(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        guest = await house.guest()

        assert len((await guest.hears(ASK))["status"]) == 5_000_000

    at_home(tmp_path / "s", story, {"ok": True, "status": "x" * 5_000_000})


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be had by root alone")
def test_a_crowd_of_another_user_keeps_vipds_own_from_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    script = (
        "import socket,sys\n"
        "crowd=[socket.socket(1,1) for _ in range(300)]\n"
        "for one in crowd: one.connect(sys.argv[1])\n"
        "print(sum(b'64 at once' in one.recv(999) for one in crowd),flush=True)\n"
        "sys.stdin.read()\n"
    )

    async def story(house: House) -> None:
        crowd = await asyncio.create_subprocess_exec(
            "/usr/bin/python3", "-I", "-c", script, str(house.path), user=65534,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert crowd.stdout is not None
        asked = [await (await house.guest()).hears(ASK) for _ in range(20)]
        refused = int(await asyncio.wait_for(crowd.stdout.readline(), LIMIT_S))
        await crowd.communicate(b"")

        assert all(answer["ok"] for answer in asked)
        assert refused == 300 - ASKERS_MAX

    at_home(tmp_path / "s", story)
