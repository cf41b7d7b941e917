"""
The :class:`~lbctl.follow.world.World` of a bundle: files in the run dir, ``haproxy -c``, the
Runtime API and the masters of HAProxy's processes.

It runs as the unprivileged user that owns ``haproxy/`` in the run dir.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from lbctl.errors import CheckError, RuntimeApiError
from lbctl.files import read_bounded
from lbctl.follow.isolate import Refusal
from lbctl.follow.texts import (
    HAPROXY_CFG,
    TOKEN_LINES,
    VARIABLE,
    is_named,
    is_ours,
    texts_of,
    wanted_of,
)
from lbctl.follow.world import Loaded, Look, Wanted
from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.check import check_configuration
from lbctl.haproxy.perform import Outcome, perform
from lbctl.haproxy.plan import Plan
from lbctl.haproxy.ports import taken_ports
from lbctl.haproxy.reload import Reloadable, reload_processes, workers_of
from lbctl.haproxy.runtime import UnixRuntime
from lbctl.haproxy.seen import read_seen, seen_in, state_commands
from lbctl.haproxy.version import version_of
from lbctl.layout import RunDir
from lbctl.model.peers import peer_name
from lbctl.model.target import Target
from lbctl.programs import Programs
from lbctl.spec import BundleSpec, HaproxyProcess

_PID = re.compile(r"^Pid: (\d+)$", re.M)
_ENVIRONMENT = re.compile(rf"^{VARIABLE}=([0-9a-f]*)$", re.M)
_MODE: Final = 0o600
_MOST_BYTES: Final = 1 << 30
_RELOAD_S: Final = 15.0


class HostWorld:
    """See the module. Judging takes a thread and one candidate directory: one at a time."""

    def __init__(
        self, spec: BundleSpec, run: RunDir, programs: Programs, *, binary: str | None = None
    ) -> None:
        self._spec = spec
        self._run = run
        self._programs = programs
        self._on_disk = Wanted()
        self._binary = binary or shutil.which("haproxy") or "/usr/sbin/haproxy"
        self._by_number = {process.number: process for process in spec.processes}
        self._runtimes = {n: UnixRuntime(one.socket) for n, one in self._by_number.items()}
        self._judging = asyncio.Lock()
        self.abilities = Abilities.of(version_of(spec.haproxy_version))

    @property
    def numbers(self) -> Sequence[int]:
        return tuple(self._by_number)

    def program(self, number: int) -> str:
        return self._by_number[number].program

    # --- files ---------------------------------------------------------------------------------

    def read(self) -> Wanted:
        directory = self._run.haproxy
        there = sorted(directory.iterdir()) if directory.is_dir() else []
        self._on_disk = wanted_of({one.name: _read(one) for one in there if is_ours(one.name)})
        return self._on_disk

    async def write(self, wanted: Wanted, before: Wanted) -> None:
        # On a disk the file system may take a second for it.
        texts = await asyncio.to_thread(self._write_texts, wanted, before)
        for name in before.more.keys() - wanted.more.keys():
            if name not in texts:
                (self._run.haproxy / name).unlink(missing_ok=True)
        self._on_disk = wanted

    def restore(self, wanted: Wanted) -> tuple[str, ...]:
        texts = texts_of(wanted)
        odd = {
            name: text for name, text in texts.items() if _read(self._run.haproxy / name) != text
        }
        self._replace(odd)
        return tuple(odd)

    def tidy(self, wanted: Wanted) -> None:
        """Remove the files that only an earlier text has named."""
        with suppress(OSError):
            for path in self._run.haproxy.iterdir():
                if is_named(path.name) and path.name not in wanted.target.files:
                    path.unlink(missing_ok=True)

    def _write_texts(self, wanted: Wanted, before: Wanted) -> Mapping[str, str]:
        texts = texts_of(wanted, skip=before)
        self._replace(texts)
        return texts

    def _replace(self, texts: Mapping[str, str]) -> None:
        """All of them, or, where there is no room, none."""
        directory = self._run.haproxy
        written: list[tuple[Path, Path]] = []
        try:
            for name, text in texts.items():
                new = directory / f".{name}.new"
                written.append((new, directory / name))
                _write(new, text)
        except OSError as error:
            error.filename = str(written[-1][1])
            for new, _ in written:
                new.unlink(missing_ok=True)
            raise
        for new, path in written:
            new.replace(path)

    # --- HAProxy's judgement -------------------------------------------------------------------

    async def judge(self, wanted: Wanted) -> tuple[Refusal, ...]:
        async with self._judging:
            return await asyncio.to_thread(self._judge, wanted)

    def _judge(self, wanted: Wanted) -> tuple[Refusal, ...]:
        return (*self._said(wanted), *self._taken(wanted))

    def _taken(self, wanted: Wanted) -> Iterator[Refusal]:
        """Ports that a reload would not get; no backend listens anywhere."""
        if self._on_disk.target is wanted.target:
            return
        old, new = (_listening(one) for one in (self._on_disk, wanted))
        for problem in taken_ports(new, old, name=HAPROXY_CFG):
            yield Refusal(str(problem))

    def _said(self, wanted: Wanted) -> tuple[Refusal, ...]:
        """What ``haproxy -c`` has against it."""
        candidates = self._run.haproxy / "next"
        candidates.mkdir(mode=0o700, exist_ok=True)
        texts = texts_of(wanted)
        for name, text in texts.items():
            if name in wanted.target.files:
                # The text names it by its place; nothing else ever has its name.
                if not (self._run.haproxy / name).exists():
                    _write(self._run.haproxy / name, text)
            else:
                _write(candidates / name, text)
        files = self._files(candidates, wanted)
        try:
            check_configuration(
                self._binary,
                files,
                shown={path: path.name for path in files},
                peer=self._peer(),
                cwd=self._directory(),
            )
        except CheckError as error:
            name = (self._run.services_cfg if wanted.is_beside else self._run.haproxy_cfg).name
            shift = TOKEN_LINES if wanted.is_beside and wanted.token else 0
            return tuple(
                Refusal(str(problem), _owner(wanted.target, problem.where, name, shift))
                for problem in error.problems
            )
        finally:
            shutil.rmtree(candidates, ignore_errors=True)
        return ()

    def _files(self, directory: Path, wanted: Wanted) -> tuple[Path, ...]:
        """As the first program loads them; the others' differ in numbers alone."""
        run = self._run
        names = [run.haproxy_cfg.name, run.services_cfg.name]
        number = 0 if self._spec.haproxy_model == "nbproc" else min(self._by_number)
        if run.threads_cfg.name in wanted.more:
            names.insert(0, run.threads_cfg.name)
        return tuple(directory / name for name in (*names, run.process_cfg(number).name))

    def _peer(self) -> str:
        host = self._spec.peer_host
        return peer_name(host, min(self._by_number)) if host else ""

    def _directory(self) -> Path:
        """Where HAProxy runs: the operator's files name others relative to their own place."""
        config = Path(self._spec.config_dir)
        return config if config.is_dir() else self._run.root

    # --- processes -----------------------------------------------------------------------------

    async def look(
        self, number: int, backends: Collection[str] | None, *, in_full: bool = False
    ) -> Look:
        runtime = self._runtimes[number]
        names = [] if backends is None or in_full else sorted(backends)
        asked = ["show info", f"show env {VARIABLE}", *state_commands(names)]
        info, environment, *states = await runtime.ask_all(asked)
        pid = _PID.search(info.text)
        if pid is None or environment.failure:
            message = f"{runtime.path}: 'show info': {info.failure or info.refusal or 'no pid'}"
            raise RuntimeApiError(message)
        token = _ENVIRONMENT.search(environment.text)
        if names:
            seen = seen_in(names, states)
        else:
            seen = await read_seen(runtime, backends, in_full=in_full)
        return Look(int(pid[1]), token[1] if token else "", seen)

    async def perform(self, number: int, plan: Plan) -> Outcome:
        return await perform(self._runtimes[number], plan)

    async def reload(self, programs: Collection[str]) -> Sequence[Loaded]:
        chosen = [one for one in self._reloadables() if one.name in programs]
        done = await reload_processes(chosen, timeout_s=_RELOAD_S)
        return tuple(
            Loaded(one.name, one.is_ok, one.said, one.took_s, one.needs_restart) for one in done
        )

    async def restart(self, program: str) -> None:
        await self._programs.stop(program)
        await self._programs.start(program)

    async def workers(self) -> list[dict[str, object]]:
        """How many workers each program has, for the status."""
        found = await workers_of(self._reloadables())
        return [
            {
                "program": name,
                "current": [worker.pid for worker in one.current],
                "old": len(one.old),
                "oldest_s": one.oldest_s,
                "reloads": one.reloads,
            }
            for name, one in found.items()
        ]

    def _reloadables(self) -> list[Reloadable]:
        by_program: dict[str, list[HaproxyProcess]] = {}
        for process in self._spec.processes:
            by_program.setdefault(process.program, []).append(process)
        return [
            Reloadable(
                name,
                str(self._run.master_socket(those[0].number)),
                tuple(one.socket for one in those),
            )
            for name, those in by_program.items()
        ]


def _listening(wanted: Wanted) -> str:
    """All text that may hold a ``bind``."""
    target = wanted.target
    return f"{wanted.more.get(HAPROXY_CFG, '')}\n{target.before}\n{target.after}"


def _owner(target: Target, where: str, name: str, shift: int) -> str:
    """The backend whose line *where* (``FILE:LINE``) is; empty: nobody's."""
    file, _, line = where.rpartition(":")
    if file != name or not line.isdecimal():
        return ""
    return target.owner(int(line) - shift) or ""


def _read(path: Path) -> str:
    """Empty: it is not there, or is no file of ours."""
    try:
        return read_bounded(path, _MOST_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    try:
        path.unlink(missing_ok=True)
        path.touch(mode=_MODE)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        # Where the disk is full, Python does not say which file has no room.
        error.filename = error.filename or str(path)
        raise
