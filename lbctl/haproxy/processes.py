"""
The process model: which HAProxy processes run, under which programs, with which files.

Pure: it decides, and neither reads the host nor writes a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lbctl.errors import ConfigError, Problem
from lbctl.haproxy.cpus import Cpus
from lbctl.haproxy.version import HaproxyVersion, Model
from lbctl.layout import RunDir
from lbctl.model.peers import LOCAL, peer_name
from lbctl.settings.model import Haproxy
from lbctl.spec import HaproxyProcess

_PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class ProcessModel:
    """
    The decision.

    Attributes:
        model: ``processes``: one program for each process (HAProxy 2.5 and later);
            ``nbproc``: one program that runs them all (up to 2.4).
        processes: by number, 1 and up.
        has_threads_file: the number of threads is in a file of its own, loaded first.
        warnings: what works, and is worth a thought.
        peer_host: what this host is called among peers, see :func:`lbctl.model.peers.peer_name`;
            empty: what the operator's own ``peers`` section calls it, the name of the host.
    """

    model: Model
    processes: tuple[HaproxyProcess, ...]
    has_threads_file: bool
    warnings: tuple[str, ...]
    peer_host: str = LOCAL

    @property
    def programs(self) -> tuple[str, ...]:
        """Names of the supervised programs, each once."""
        return tuple(dict.fromkeys(process.program for process in self.processes))

    def of_program(self, program: str) -> tuple[HaproxyProcess, ...]:
        """Its processes: one, or all of them under nbproc."""
        return tuple(process for process in self.processes if process.program == program)

    def files(self, program: str, run_dir: RunDir) -> tuple[Path, ...]:
        """What *program* loads, in order: the balanced configuration, then what lbctl adds."""
        number = 0 if self.model == "nbproc" else self._first(program)
        before = (run_dir.threads_cfg,) if self.has_threads_file else ()
        return (
            *before,
            run_dir.haproxy_cfg,
            run_dir.services_cfg,
            run_dir.process_cfg(number),
        )

    def master_socket(self, program: str, run_dir: RunDir) -> Path:
        """Where the master of *program* is asked."""
        return run_dir.master_socket(self._first(program))

    def argv(self, program: str, run_dir: RunDir, *, binary: str = "haproxy") -> tuple[str, ...]:
        """
        The command of *program*: master-worker, in the foreground whatever the files say.

        Its master can be asked by its own user alone: who may ask may reload.
        """
        socket = f"{self.master_socket(program, run_dir)},mode,600"
        peer = self.peer(program)
        name = ("-L", peer) if peer else ()
        files = file_arguments(self.files(program, run_dir))
        return (binary, "-W", "-db", "-S", socket, *name, *files)

    def peer(self, program: str) -> str:
        """What *program* is called among peers; empty: as its host is."""
        return peer_name(self.peer_host, self._first(program)) if self.peer_host else ""

    def _first(self, program: str) -> int:
        return self.of_program(program)[0].number


def file_arguments(files: tuple[Path, ...]) -> tuple[str, ...]:
    """``-f FIRST -f SECOND``."""
    return tuple(word for file in files for word in ("-f", str(file)))


def plan_processes(
    haproxy: Haproxy,
    run_dir: RunDir,
    cpus: Cpus,
    version: HaproxyVersion,
    *,
    peer_host: str = LOCAL,
) -> ProcessModel:
    """
    Decide how many processes run, where each shows its stats, and on which CPU it stays.

    Args:
        haproxy: settings.
        run_dir: where the sockets are.
        cpus: that may be used.
        version: HAProxy's.
        peer_host: see :class:`ProcessModel`.

    Raises:
        ConfigError: the last stats listener's port would be beyond 65535.
    """
    count = cpus.count if haproxy.processes == "auto" else haproxy.processes
    last_port = haproxy.stats.port_base + count - 1
    if last_port > _PORT_MAX:
        message = (
            f"{haproxy.stats.port_base}: {count} processes need the ports up to {last_port}, "
            f"and {_PORT_MAX} is the last one: choose a lower base"
        )
        raise ConfigError([Problem("haproxy.stats.port_base", message)])
    is_nbproc = version.has_native_nbproc
    threads = 1 if is_nbproc and count > 1 else haproxy.threads
    pinned = count <= cpus.count and threads == 1
    processes = tuple(
        HaproxyProcess(
            number=number,
            program="haproxy-01" if is_nbproc else f"haproxy-{number:02d}",
            socket=str(run_dir.runtime_socket(number)),
            stats_host=_dialled(haproxy.stats.bind),
            stats_port=haproxy.stats.port_base + number - 1,
            cpu=cpus.ids[number - 1] if pinned else None,
        )
        for number in range(1, count + 1)
    )
    return ProcessModel(
        version.model,
        processes,
        has_threads_file=version.threads_in == "first file",
        warnings=tuple(_warnings(haproxy, count, threads, cpus, version)),
        peer_host=peer_host,
    )


def _warnings(
    haproxy: Haproxy, count: int, threads: int, cpus: Cpus, version: HaproxyVersion
) -> Iterator[str]:
    if threads != haproxy.threads:
        yield (
            f"haproxy.threads = {haproxy.threads} has no effect: HAProxy {version} has either "
            f"processes or threads, and {count} processes run"
        )
    if count * threads > cpus.count:
        yield (
            f"haproxy.processes = {count} with {threads} thread(s) each on {cpus.count} usable "
            "CPU(s): they share CPUs and none is pinned; fewer processes serve as much"
        )


def _dialled(bind: str) -> str:
    """The address at which a client on this host reaches a listener bound to *bind*."""
    address = bind.removeprefix("[").removesuffix("]")
    return {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
