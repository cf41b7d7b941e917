"""
Servers of the operator's own haproxy.cfg whose addresses are names in a hosts file.

HAProxy asks libc for them when it loads the file, and never again; here they are kept at what the
file says since, on all processes, at run time. A server with ``resolvers`` is HAProxy's own affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from lbctl.errors import RuntimeApiError
from lbctl.follow.naming import Family, host_of, preferred
from lbctl.follow.overrides import Key
from lbctl.follow.world import World
from lbctl.haproxy.lines import Line, read
from lbctl.haproxy.plan import Plan
from lbctl.haproxy.seen import SeenServer
from lbctl.haproxy.steps import SetAddress

_FAMILIES: Mapping[str, Family] = {"ipv4@": "ipv4", "ipv6@": "ipv6"}


@dataclass(frozen=True, slots=True)
class NamedServer:
    """
    A ``server`` line.

    Attributes:
        key: backend and server.
        host: its address, a name, lower case.
        family: that the line asks for; None: it does not say.
    """

    key: Key
    host: str
    family: Family | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """
    A server that has another address from now on.

    Attributes:
        key: backend and server.
        was: IP address; empty: it had none.
        now: IP address.
    """

    key: Key
    was: str
    now: str

    def sentence(self, path: str) -> str:
        """As HAProxy says it of its own resolvers; *path* is the file."""
        who = "/".join(self.key)
        return f"{who} changed its IP from {self.was or 'none'} to {self.now} by {path}"


@dataclass(frozen=True, slots=True)
class Turn:
    """
    What was found, and done about it.

    Attributes:
        moved: each change once, however many processes it took.
        failed: what could not be done, in words.
        lacking: servers without any address, and the one that they should have: HAProxy gives them
            one only when it loads its file, and takes them for ready if it is asked at run time.
    """

    moved: tuple[Moved, ...] = ()
    failed: tuple[str, ...] = ()
    lacking: tuple[Moved, ...] = ()


def named_servers(text: str) -> tuple[NamedServer, ...]:
    """Those of a configuration that only libc has looked up."""
    found: list[NamedServer] = []
    # A default-server line of a section counts for those behind it, of defaults for all behind it.
    section, by_default, is_resolved = "", False, False
    for line in read(text):
        if line.opens_section:
            section = line.words[1] if len(line.words) > 1 else ""
            by_default = by_default and line.keyword != "defaults"
            is_resolved = by_default
        elif line.keyword == "default-server" and "resolvers" in line.words:
            is_resolved = True
            by_default = by_default or line.section == "defaults"
        elif not is_resolved and line.section in ("backend", "listen"):
            found += _server(section, line)
    return tuple(found)


def _server(section: str, line: Line) -> Iterator[NamedServer]:
    if line.keyword != "server" or len(line.words) < 3 or "resolvers" in line.words:
        return
    name, address = line.words[1:3]
    prefix = next((one for one in _FAMILIES if address.startswith(one)), "")
    address = address.removeprefix(prefix)
    host = host_of(address if ":" in address else f"{address}:0")
    if host and not any(sign in host for sign in "$@/"):
        yield NamedServer((section, name), host, _FAMILIES.get(prefix))


class HostNames:
    """Keeps them where the file says they are; asks each process, and remembers nothing of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._text: str | None = None
        self._servers: tuple[NamedServer, ...] = ()

    def read(self, text: str | None) -> None:
        """The operator's file; None: he has none."""
        if text != self._text:
            self._text = text
            self._servers = named_servers(text or "")

    async def turn(self, names: Mapping[str, Sequence[str]], prefer: Family) -> Turn:
        """
        Set right whatever differs, on all processes side by side.

        Args:
            names: addresses by host name, lower case.
            prefer: see :func:`lbctl.follow.naming.preferred`.
        """
        wanted = dict(self._wanted(names, prefer))
        if not wanted:
            return Turn()
        done = await asyncio.gather(*(self._on(n, wanted) for n in self._world.numbers))
        moved = {one.key: one for turn in done for one in turn.moved}
        lacking = {one.key: one for turn in done for one in turn.lacking}
        failed = dict.fromkeys(what for turn in done for what in turn.failed)
        return Turn(tuple(moved.values()), tuple(failed), tuple(lacking.values()))

    def _wanted(
        self, names: Mapping[str, Sequence[str]], prefer: Family
    ) -> Iterator[tuple[Key, str]]:
        for one in self._servers:
            if address := preferred(names.get(one.host, ()), one.family or prefer):
                yield one.key, address

    async def _on(self, number: int, wanted: Mapping[Key, str]) -> Turn:
        """One process: look, set, look again."""
        try:
            seen = (await self._world.look(number, {backend for backend, _ in wanted})).seen
            wrong = [
                (key, server, address)
                for key, address in wanted.items()
                if (server := seen.get(key[0], {}).get(key[1])) and not _is_at(server, address)
            ]
            lacking = tuple(Moved(key, "", to) for key, server, to in wrong if not server.address)
            steps = [SetAddress(*key, to, one.port) for key, one, to in wrong if one.address]
            if not steps:
                return Turn(lacking=lacking)
            outcome = await self._world.perform(number, Plan(tuple(steps)))
            after = (await self._world.look(number, {one.backend for one in steps})).seen
        except RuntimeApiError as error:
            return Turn(failed=(str(error),))
        moved, faults = list[Moved](), [str(one) for one in outcome.failed]
        for step in steps:
            now = after.get(step.backend, {}).get(step.server)
            if now is not None and _is_at(now, step.address):
                was = seen[step.backend][step.server].address
                moved.append(Moved((step.backend, step.server), was, step.address))
            elif not outcome.failed:
                faults.append(f"{step.describe()}: it was said, and is not so")
        return Turn(tuple(moved), tuple(faults), lacking)


def _is_at(server: SeenServer, address: str) -> bool:
    return bool(server.address) and ip_address(server.address) == ip_address(address)
