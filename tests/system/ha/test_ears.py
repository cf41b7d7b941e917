"""On a real interface a master's usual words wait, and everything else is heard at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from lbctl.ha import carp
from lbctl.ha.announce import Sender
from lbctl.ha.capture import Seen
from lbctl.ha.carp import Advertisement, Password
from lbctl.ha.ears import Ears
from lbctl.ha.election_words import Heard
from tests.fakes.netns import Host

pytestmark = pytest.mark.system

VIP, VHID = "10.0.1.201", 7
PASSWORD = Password(b"foobar23")
#: One turn of the loop and the wire; a usual word would wait for ever here.
AT_ONCE_S = 0.1
Hosts = tuple[Host, ...]


class Listening:
    """Ears on one host that expect the usual words of another, and a mouth on that."""

    def __init__(self, hosts: Hosts) -> None:
        self._master = hosts[0]
        self.heard: list[Seen] = []
        self._news = asyncio.Event()
        self._ears = Ears("eth0")
        with hosts[1].entered():
            self._ears.open(VHID, self._hear)
        with hosts[0].entered():
            self._sender = Sender("eth0")
        usual = Heard(self._master.address, 1, 20, False, True, 0.05, 0.0)
        self._ears.expect(VHID, usual)

    def say(self, *, advbase: int = 1, advskew: int = 20, vhid: int = VHID) -> None:
        said = Advertisement(vhid, advbase, advskew, 1)
        source = self._master.address
        self._sender.send([carp.frame(said, source=source, vip=VIP, password=PASSWORD)])

    async def hears(self, count: int) -> bool:
        """Whether so many come by themselves."""
        try:
            async with asyncio.timeout(AT_ONCE_S):
                while len(self.heard) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _hear(self, seen: Seen) -> None:
        self.heard.append(seen)
        self._news.set()

    def read(self) -> None:
        self._ears.read()

    def close(self) -> None:
        self._ears.close()
        self._sender.close()

    def expect_nothing(self) -> None:
        self._ears.expect(VHID, None)

    async def settle(self) -> None:
        """The one look that follows a new expectation is over."""
        await self.hears(1)


def run(listen: Callable[[Listening], Awaitable[object]], hosts: Hosts) -> list[Seen]:
    """What is heard by the end of *listen*."""

    async def live() -> list[Seen]:
        one = Listening(hosts)
        await one.settle()
        await listen(one)
        one.close()
        return one.heard

    return asyncio.run(live())


def test_usual_words_wait_and_keep_the_time_of_their_arrival(hosts: Hosts) -> None:
    came: list[bool] = []
    sent_at: list[float] = []

    async def listen(one: Listening) -> None:
        sent_at.append(time.monotonic())
        one.say()
        came.append(await one.hears(1))
        one.read()

    heard = run(listen, hosts)

    assert came == [False]
    assert [seen.at - sent_at[0] < AT_ONCE_S / 2 for seen in heard] == [True]


@pytest.mark.parametrize(
    ("advbase", "advskew", "vhid"), [(255, 0, VHID), (1, 0, VHID), (1, 240, VHID), (1, 20, 9)]
)
def test_anything_else_is_heard_at_once_with_what_waits_before_it(
    hosts: Hosts, advbase: int, advskew: int, vhid: int
) -> None:
    async def listen(one: Listening) -> None:
        one.say()
        one.say(advbase=advbase, advskew=advskew, vhid=vhid)
        await one.hears(2)

    assert [seen.packet[22] for seen in run(listen, hosts)] == [20, advskew]


def test_with_nothing_expected_every_word_is_heard_at_once(hosts: Hosts) -> None:
    async def listen(one: Listening) -> None:
        one.expect_nothing()
        await one.settle()
        one.say()
        await one.hears(1)

    assert len(run(listen, hosts)) == 1
