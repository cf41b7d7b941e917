"""
A HAProxy process's servers, without the process: what `show servers state` says, and what
`add server`, `del server`, `set server` and their like change or refuse.

It speaks in memory, as one version; the contract tests hold it to the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.runtime import Answer
from lbctl.model.address import split_address
from lbctl.model.target import Admin, Target, TargetBackend, TargetServer

STATE_HEADER = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health "
    "srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord"
)
_ADMIN_FLAGS = {"ready": 0, "drain": 8, "maint": 1}


class RefusedError(Exception):
    """HAProxy's own words."""


class DiedError(Exception):
    """Whoever asked has died; HAProxy goes on with what it was told."""


def _refuse(reason: str) -> NoReturn:
    raise RefusedError(reason)


@dataclass(slots=True)
class Held:
    """One server, as HAProxy holds it."""

    name: str
    id: int
    address: str
    port: int
    admin: Admin = "ready"
    weight: int = 1
    initial: int = 1
    maxconn: int = 0
    cookie: str = ""
    is_backup: bool = False
    has_check: bool = False
    checks: bool = False
    is_in_use: bool = False


@dataclass(slots=True)
class HeldBackend:
    """One backend; *is_static*: its algorithm takes no new server and no new weight."""

    servers: dict[str, Held] = field(default_factory=dict)
    is_static: bool = False


class HaproxyServers:
    """
    A Runtime API over backends held in memory.

    Attributes:
        backends: by name.
        told: every command that was done or refused.
        survives: commands after which whoever asks dies; None: lives.
        watch: called after each command with this.
    """

    def __init__(self, version: tuple[int, int] = (3, 0)) -> None:
        self.version = version
        self.backends: dict[str, HeldBackend] = {}
        self.told: list[str] = []
        self.survives: int | None = None
        self.watch: Callable[[HaproxyServers], None] = lambda _: None

    @classmethod
    def loaded(cls, target: Target, version: tuple[int, int] = (3, 0)) -> HaproxyServers:
        """As it is after a start with *target*."""
        process = cls(version)
        for backend in target.backends.values():
            process.backends[backend.name] = _loaded(backend)
        return process

    async def ask(self, command: str, *, payload: str | None = None) -> str:
        assert payload is None
        (answer,) = await self.ask_all([command])
        if answer.refusal:
            message = f"fake: {command!r}: refused: {answer.refusal}"
            raise RuntimeApiError(message)
        return answer.text

    async def ask_all(self, commands: Sequence[str]) -> tuple[Answer, ...]:
        return tuple(self._answer(command) for command in commands)

    def _answer(self, command: str) -> Answer:
        if self.survives is not None and len(self.told) >= self.survives:
            raise DiedError
        if not command.startswith("show"):
            self.told.append(command)
        try:
            return Answer(command, self._do(command.split()))
        except RefusedError as error:
            return Answer(command, refusal=str(error))
        finally:
            self.watch(self)

    def _do(self, words: list[str]) -> str:
        match words:
            case ["show", "servers", "state", *names]:
                return self._state(names)
            case ["show", "stat", name, "4", "-1"]:
                return self._statistics(name)
            case ["add", "server", path, *rest] if self.version >= (2, 6):
                return self._add(path, rest)
            case ["del", "server", path] if self.version >= (2, 6):
                return self._remove(path)
            case ["set", "server", path, kind, *rest]:
                return _SETTERS[kind](self._find(path), *rest) if kind in _SETTERS else "usage\n"
            case ["set", "maxconn", "server", path, maxconn]:
                self._find(path)[1].maxconn = int(maxconn)
                return ""
            case ["enable", "health", path]:
                return self._enable_health(path)
        _refuse("Unknown command")

    def _find(self, path: str) -> tuple[HeldBackend, Held]:
        backend, _, server = path.partition("/")
        if backend not in self.backends:
            _refuse("No such backend.")
        if server not in self.backends[backend].servers:
            _refuse("No such server.")
        return self.backends[backend], self.backends[backend].servers[server]

    def _enable_health(self, path: str) -> str:
        _, server = self._find(path)
        if not server.has_check and self.version >= (2, 6):
            _refuse("Health check was not configured on this server, cannot enable.")
        server.checks = server.has_check
        return ""

    def _state(self, names: list[str]) -> str:
        if names and names[0] not in self.backends:
            _refuse("Can't find backend.")
        lines = ["1", STATE_HEADER]
        for number, (name, backend) in enumerate(self.backends.items(), 3):
            if not names or name == names[0]:
                lines += [_state_line(number, name, one) for one in backend.servers.values()]
        return "\n".join(lines) + "\n"

    def _statistics(self, name: str) -> str:
        if name != "-1" and name not in self.backends:
            _refuse("No such proxy.")
        lines = ["# pxname,svname,slim,bck,cookie,"]
        for backend, held in self.backends.items():
            if name in ("-1", backend):
                lines += [
                    f"{backend},{one.name},{one.maxconn or ''},{int(one.is_backup)},{one.cookie},"
                    for one in held.servers.values()
                ]
        return "\n".join(lines) + "\n"

    def _add(self, path: str, words: list[str]) -> str:
        name, _, server = path.partition("/")
        if name not in self.backends:
            _refuse("No such backend.")
        backend = self.backends[name]
        if backend.is_static:
            _refuse("Backend must use a dynamic load balancing to support dynamic servers.")
        host, port = split_address(words[0]) or ("", int(words[0].rpartition(":")[2]))
        new = Held(server, 0, host, port, admin="maint")
        self._read(new, words[1:])
        for other in backend.servers.values():
            if other.id == new.id:
                _refuse(f"'id' : custom id {new.id} already used")
        if server in backend.servers:
            _refuse("Already exists a server with the same name in backend.")
        backend.servers[server] = new
        return "New server registered.\n"

    def _read(self, new: Held, words: list[str]) -> None:
        left = iter(words)
        for word in left:
            if word == "cookie" and self.version < (3, 0):
                _refuse("'cookie' option is not accepted for dynamic server")
            if word == "id":
                new.id = int(next(left))
            elif word == "weight":
                new.weight = new.initial = int(next(left))
            elif word == "maxconn":
                new.maxconn = int(next(left))
            elif word == "cookie":
                new.cookie = next(left)
            elif word == "backup":
                new.is_backup = True
            elif word == "check":
                new.has_check = True
            elif word in ("inter", "rise", "fall"):
                next(left)
            else:
                _refuse(f"unknown keyword '{word}'.")

    def _remove(self, path: str) -> str:
        backend, server = self._find(path)
        if server.admin != "maint":
            _refuse("Only servers in maintenance mode can be deleted.")
        if server.is_in_use:
            _refuse("Server still has connections attached to it, cannot remove it.")
        del backend.servers[server.name]
        return "Server deleted.\n"


def _set_address(found: tuple[HeldBackend, Held], host: str, _port: str, port: str) -> str:
    server = found[1]
    place = split_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    if place is None:
        return f"Invalid addr '{host}'\n"
    if place == (server.address, server.port):
        return "nothing changed\n"
    was, (server.address, server.port) = (server.address, server.port), place
    return f"IP changed from '{was[0]}' to '{server.address}'\n"


def _set_weight(found: tuple[HeldBackend, Held], text: str) -> str:
    backend, server = found
    weight = int(text)
    if weight > 256:
        _refuse("Absolute weight can only be between 0 and 256 inclusive.")
    if weight and weight != server.initial and backend.is_static:
        _refuse("Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.")
    server.weight = weight
    return ""


def _set_state(found: tuple[HeldBackend, Held], admin: str) -> str:
    server = found[1]
    match admin:
        case "ready" | "drain" | "maint":
            server.admin = admin
        case _:
            _refuse("'set server <srv> state' expects 'ready', 'drain' and 'maint'.")
    return ""


_SETTERS: dict[str, Callable[..., str]] = {
    "addr": _set_address,
    "weight": _set_weight,
    "state": _set_state,
}


def _state_line(number: int, backend: str, one: Held) -> str:
    check = 2 * one.has_check + 4 * one.checks + 8 * (one.admin == "maint" and one.checks)
    return (
        f"{number} {backend} {one.id} {one.name} {one.address or '-'} {2 * (one.admin != 'maint')} "
        f"{_ADMIN_FLAGS[one.admin]} {one.weight} {one.initial} 0 1 0 2 {check} 0 0 1 - {one.port} -"
    )


def _loaded(backend: TargetBackend) -> HeldBackend:
    held = HeldBackend(is_static=bool(backend.fixed))
    for server in backend.servers:
        held.servers[server.name] = _held(server, "check" in backend.options.split())
    return held


def _held(server: TargetServer, has_check: bool) -> Held:
    """As the file says it: a drained server has the weight 0, and no state of its own."""
    address, port = split_address(server.address) or ("", 0)
    weight = 0 if server.admin == "drain" else server.weight
    admin: Admin = "maint" if server.admin == "maint" else "ready"
    return Held(
        *(server.name, server.id, address, port, admin, weight, weight),
        *(server.maxconn or 0, server.cookie, server.is_backup, has_check, has_check),
    )
