"""A host for the follower: files in memory, HAProxy processes that are models, a judge by rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from lbctl.errors import RuntimeApiError
from lbctl.follow.apply import Compiled
from lbctl.follow.isolate import Refusal
from lbctl.follow.world import Loaded, Look, Wanted
from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.perform import Outcome, perform
from lbctl.haproxy.plan import Plan
from lbctl.haproxy.seen import read_seen
from lbctl.model.names import backend_name, server_ids, server_name
from lbctl.model.service import Server, Service
from lbctl.model.target import Target, TargetBackend, TargetServer
from tests.fakes.haproxy_servers import HaproxyServers

_pids = itertools.count(100)


@dataclass(slots=True)
class Life:
    """A worker: what it has loaded, and the servers that it has now."""

    wanted: Wanted
    servers: HaproxyServers
    pid: int
    is_silent: bool = False


class FakeWorld:
    """
    Obeys; a test sets what is to go wrong.

    Attributes:
        disk: what the files say.
        lives: by process.
        reloads: the programs of each reload.
        writes: what was written, in order.
        judged: how often HAProxy was asked.
        refuses: by service's backend, its words; those are in the judge's answer.
        refuses_all: words against any configuration that is not the first one.
        fails: programs whose reload fails.
        full: no room on the disk.
    """

    def __init__(self, version: tuple[int, int] = (3, 0), processes: int = 2) -> None:
        self.version = version
        self.abilities = Abilities(version >= (2, 6), version >= (3, 0), "3.0.0")
        self.disk = Wanted(Target("global\n", {}))
        self.lives = {n: self._born(self.disk) for n in range(1, processes + 1)}
        self.reloads: list[tuple[str, ...]] = []
        self.writes: list[Wanted] = []
        self.judged = 0
        self.refuses: dict[str, str] = {}
        self.refuses_all = ""
        self.names_lines = True
        self.fails: set[str] = set()
        self.full = False
        self.on_perform: Callable[[int], None] = lambda _: None

    @property
    def numbers(self) -> Sequence[int]:
        return tuple(self.lives)

    def program(self, number: int) -> str:
        return f"haproxy-{number:02d}"

    def read(self) -> Wanted:
        return self.disk

    async def write(self, wanted: Wanted, before: Wanted) -> None:
        assert before == self.disk
        if self.full:
            raise OSError(28, "No space left on device")
        self.disk = wanted
        self.writes.append(wanted)

    def restore(self, wanted: Wanted) -> tuple[str, ...]:
        if self.disk == wanted:
            return ()
        self.disk = wanted
        return ("haproxy.cfg",)

    def tidy(self, wanted: Wanted) -> None:
        """Nothing is left in memory."""

    async def judge(self, wanted: Wanted) -> tuple[Refusal, ...]:
        self.judged += 1
        if self.refuses_all:
            return (Refusal(self.refuses_all),)
        found = [
            Refusal(what, name if self.names_lines else "")
            for name, what in self.refuses.items()
            if name in wanted.target.backends
        ]
        return tuple(found)

    async def look(
        self, number: int, backends: Collection[str] | None, *, in_full: bool = False
    ) -> Look:
        life = self._answering(number)
        seen = await read_seen(life.servers, backends, in_full=in_full)
        return Look(life.pid, life.wanted.token, seen)

    async def perform(self, number: int, plan: Plan) -> Outcome:
        self.on_perform(number)
        return await perform(self._answering(number).servers, plan)

    async def reload(self, programs: Collection[str]) -> Sequence[Loaded]:
        self.reloads.append(tuple(sorted(programs)))
        done: list[Loaded] = []
        for number in self.numbers:
            name = self.program(number)
            if name not in programs:
                continue
            is_ok = name not in self.fails and (not done or done[0].is_ok)
            if is_ok:
                self.begin_anew(number)
            done.append(Loaded(name, is_ok, "" if is_ok else "cannot bind :80"))
        return done

    async def workers(self) -> list[dict[str, object]]:
        return []

    async def restart(self, program: str) -> None:
        self.begin_anew(int(program.rpartition("-")[2]))

    def begin_anew(self, number: int) -> None:
        """The process begins anew with what the files say."""
        self.lives[number] = self._born(self.disk)

    def servers(self, number: int, backend: str) -> dict[str, str]:
        """Name -> state of a process's servers."""
        held = self.lives[number].servers.backends[backend]
        return {name: one.admin for name, one in held.servers.items()}

    def _born(self, wanted: Wanted) -> Life:
        servers = HaproxyServers.loaded(wanted.target, self.version)
        return Life(wanted, servers, next(_pids))

    def _answering(self, number: int) -> Life:
        life = self.lives[number]
        if life.is_silent:
            message = f"{number:02d}.sock: no whole answer in 2 s"
            raise RuntimeApiError(message)
        return life


def service(name: str, *addresses: str, balance: str | None = None) -> Service:
    """One with servers at *addresses*."""
    return Service(name=name, balance=balance, servers=tuple(Server(address=a) for a in addresses))


def compile_services(services: Sequence[Service]) -> Compiled:
    """Services as the tests want them: the algorithm is the frame, the servers are the servers."""
    backends = {}
    problems = {}
    for one in sorted(services, key=lambda each: each.name):
        name = backend_name(one.name)
        if one.balance == "impossible":
            problems[one.name] = "no such balance"
            continue
        ids = server_ids(server.key for server in one.servers)
        servers = tuple(
            TargetServer(server_name(s.key), ids[s.key], s.address, s.weight) for s in one.servers
        )
        head = f"backend {name}\n    balance {one.balance or 'roundrobin'}\n"
        backends[name] = TargetBackend(name, head, "", servers)
    routes = "".join(f"# route {name}\n" for name in backends)
    target = Target("global\n", backends, files={"routes.map": routes})
    return Compiled(Wanted(target), problems)


def with_more(wanted: Wanted, **texts: str) -> Wanted:
    """*wanted* with other files beside it."""
    return replace(wanted, more={**wanted.more, **texts})
