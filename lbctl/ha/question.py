"""
Asking the link who is there, on a host that does not take part: for ``lbctl doctor``.

A vipd answers a signed question by unicast and tells how the question came. Meanwhile the greetings
that it sends to everybody show whether its multicast arrives here.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lbctl.errors import NetlinkError
from lbctl.ha.carp import GROUP, Password
from lbctl.ha.greeting import Claim, Greeting, GroupFacts, Key, Kind, Rejection, decode, encode
from lbctl.ha.greeting_socket import TTL, Datagram, GreetingSocket
from lbctl.ha.neighbour import Neighbour, neighbour_of
from lbctl.spec import GroupSpec

#: When the question is sent, seconds: one may get lost, and an answer may have to wait its turn.
_SENT_AT_S = (0.0, 0.3, 0.7)


@dataclass(frozen=True, slots=True)
class Answered:
    """
    One node that is there.

    Attributes:
        neighbour: what it says of itself.
        question_by: how the question reached it: ``multicast`` or ``unicast``; empty: it greets,
            and has not answered.
        is_heard_by_multicast: what it sends to everybody arrives here.
    """

    neighbour: Neighbour
    question_by: str
    is_heard_by_multicast: bool


@dataclass(frozen=True, slots=True)
class Round:
    """
    Attributes:
        answers: nodes with our password, by address.
        strangers: who greets with another one.
    """

    answers: tuple[Answered, ...] = ()
    strangers: tuple[Claim, ...] = ()


async def ask_round(
    group: GroupSpec, password: Password, *, node: str = "", within_s: float = 1.5
) -> Round:
    """
    Ask everybody on the group's link, or its ``peers``, and wait *within_s* in any case.

    Args:
        node: this host's own identity, if it has one.

    Raises:
        NetlinkError: no such interface, it is down, or NET_RAW is missing.
    """
    asker = _Asker(group, password, node)
    try:
        await asker.ask(within_s)
    except OSError as error:
        port = group.greeting_port
        reason = error.strerror or error
        message = f"asking who greets on {group.interface}, UDP port {port}: {reason}"
        raise NetlinkError(message) from error
    return asker.round()


class _Asker:
    """One round."""

    def __init__(self, group: GroupSpec, password: Password, node: str) -> None:
        self._group = group
        self._key = Key(password)
        facts = GroupFacts(group.vhid, group.vip, "INIT", can_serve=False)
        self._question = Greeting(
            kind=Kind.QUESTION,
            node=node,
            session=secrets.token_hex(8),
            sequence=0,
            challenge=secrets.token_hex(8),
            groups=(facts,),
        )
        self._answered: dict[str, Answered] = {}
        self._greets: dict[str, Neighbour] = {}
        self._strangers: dict[str, Claim] = {}

    async def ask(self, within_s: float) -> None:
        """Send, hear."""
        group, loop = self._group, asyncio.get_running_loop()
        sockets = [GreetingSocket(group.interface, group.source, 0, multicast=False)]
        try:
            if not group.peers:
                # Beside a running bundle: nothing that is meant for it may end up here.
                port = group.greeting_port
                sockets.append(
                    GreetingSocket(
                        group.interface, group.source, port, multicast=True, only_group=True
                    )
                )
            for one in sockets:
                loop.add_reader(one, self._reader(one))
            begun = time.monotonic()
            for at_s in _SENT_AT_S:
                await asyncio.sleep(max(0.0, begun + min(at_s, within_s) - time.monotonic()))
                self._send(sockets[0])
            await asyncio.sleep(max(0.0, begun + within_s - time.monotonic()))
        finally:
            for one in sockets:
                loop.remove_reader(one)
                one.close()

    def round(self) -> Round:
        """What has come of it."""
        silent = {
            source: Answered(neighbour, "", is_heard_by_multicast=True)
            for source, neighbour in self._greets.items()
            if source not in self._answered
        }
        answers = [
            replace(one, is_heard_by_multicast=source in self._greets)
            for source, one in sorted({**self._answered, **silent}.items())
        ]
        known = {one.neighbour.address for one in answers}
        strangers = [one for source, one in sorted(self._strangers.items()) if source not in known]
        return Round(tuple(answers), tuple(strangers))

    def _send(self, sender: GreetingSocket) -> None:
        self._question = replace(
            self._question, sequence=self._question.sequence + 1, at=time.time()
        )
        for address in self._group.peers or (GROUP,):
            question = replace(self._question, by_multicast=address == GROUP)
            sender.send(encode(question, self._key), address, self._group.greeting_port)

    def _reader(self, opened: GreetingSocket) -> Callable[[], None]:
        def read() -> None:
            for datagram in opened.read():
                self._take(datagram)

        return read

    def _take(self, datagram: Datagram) -> None:
        is_near = datagram.ttl == TTL or datagram.source in self._group.peers
        read = decode(datagram.content, self._key) if is_near else Rejection.NOT_ON_LINK
        if isinstance(read, Claim):
            self._strangers[datagram.source] = replace(read, source=datagram.source)
        if not isinstance(read, Greeting) or read.kind is Kind.QUESTION:
            return
        neighbour = neighbour_of(read, datagram.source, now=time.monotonic(), wall=time.time())
        is_answer = read.answers.get(self._question.session) == self._question.challenge
        if is_answer and not datagram.by_multicast:
            self._answered[datagram.source] = Answered(
                neighbour, read.question_by, is_heard_by_multicast=False
            )
        elif datagram.by_multicast:
            # It may be somebody's recording; it shows that multicast arrives all the same.
            self._greets[datagram.source] = replace(neighbour, is_fresh=False)
