"""
What the operator's files say, brought to HAProxy and nginx: at the start, when he asks for it, and
when a certificate was replaced.

The files are read by a task with more rights; here what it found good is put into force, and told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lbctl.agent.overlay import Overlay
from lbctl.agent.sources import Sources
from lbctl.agent.table import ProgramTable
from lbctl.agent.tasks import Tasks
from lbctl.errors import LbctlError
from lbctl.files import write_atomic
from lbctl.follow.apply import Applied
from lbctl.follow.base import Base
from lbctl.follow.certwatch import watch
from lbctl.follow.compiled import base_of
from lbctl.follow.follower import Follower
from lbctl.follow.generation import Generation, Verdict, read_generation
from lbctl.follow.report import held_records, mute_sentences
from lbctl.haproxy.certificate_turn import Places, Served, serve_certificates
from lbctl.haproxy.descriptors import most_maxconn
from lbctl.haproxy.runtime import Runtime, UnixRuntime
from lbctl.layout import ConfigDir, RunDir
from lbctl.nginx.reload import NginxReloaded, reload_nginx, title_of
from lbctl.render.services import CompileCache
from lbctl.spec import BundleSpec

log = logging.getLogger(__name__)

_NGINX_TITLE = "nginx: master process "
#: Until the first generation can be read, and until a process that was silent is asked again.
_AGAIN_S = 2.0

Note = Callable[[str, str, Mapping[str, Any]], None]


class Inputs:
    """One bringing in at a time."""

    def __init__(
        self,
        spec: BundleSpec,
        run: RunDir,
        table: ProgramTable,
        tasks: Tasks,
        follower: Follower,
        note: Note,
        renewed: Callable[[], None],
        sources: Sources,
    ) -> None:
        self._spec = spec
        self._run = run
        self._table = table
        self._tasks = tasks
        self._follower = follower
        self._note = note
        self._renewed = renewed
        self._sources = sources
        self._overlay = Overlay(note, most_maxconn=most_maxconn())
        self._generation: Generation | None = None
        self._lock = asyncio.Lock()
        config = ConfigDir(Path(spec.config_dir))
        start = config.root if config.root.is_dir() else run.root
        self._certs = config.certs
        self._places = Places(run.certs, also=(config.certs,), start=start)
        self._runtimes: Sequence[Runtime] = [UnixRuntime(one.socket) for one in spec.processes]
        self._cache = CompileCache()
        self._hung_up = asyncio.Event()
        self._blind = ""
        self._refused = ""
        self._not_taken: tuple[str, ...] = ()
        self._in_force: Mapping[str, bytes] = {}
        self._lags = asyncio.Event()
        self._is_laid = asyncio.Event()
        self._anew = ""
        sources.on_settings = self._is_laid.set

    def warnings(self) -> list[str]:
        """What the operator should know of his certificates, in sentences."""
        found = [f"certificate not taken: {what}" for what in self._not_taken]
        more = [one for one in (self._refused, self._blind) if one]
        return [*found, *more, *self._overlay.warnings()]

    async def run(self) -> None:
        """Take up what was found good last; then certificates, and signals."""
        await self._take_up()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._obey_signals())
            group.create_task(self._catch_up())
            group.create_task(self._follow_overlay())
            # What was replaced before the first look is no change to it.
            await self._certificates_changed()
            async for _ in watch(self._certs, sight=self._on_sight):
                await self._certificates_changed()

    def load_anew(self, why: str) -> None:
        """Have HAProxy load its files again, though nothing in them has changed."""
        self._anew = why
        self._is_laid.set()

    def on_hangup(self) -> None:
        """SIGHUP: as `lbctl reload`; many of them while one is obeyed are one more."""
        self._hung_up.set()

    async def _obey_signals(self) -> None:
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            try:
                await self.reload(by="SIGHUP")
            except (LbctlError, OSError, ValueError) as error:
                self._note("reload", f"not reloaded, asked for by SIGHUP: {error}", {})

    async def reload(self, *, by: str, confirm: bool = False, force: bool = False) -> Reload:
        """
        Read all files again, and bring in what they say.

        Raises:
            UnreachableError: they could not be read again; nothing was changed.
        """
        async with self._lock:
            verdict = await self._tasks.run("stage")
            if verdict.number is None:
                problems = [str(problem) for problem in verdict.problems]
                what = f"not reloaded, asked for by {by}: {'; '.join(problems)}"
                self._note("reload", what, {"by": by, "problems": problems})
                self._refused = _refused(problems, by)
                return Reload(verdict)
            self._refused = ""
            generation = read_generation(self._run)
            why = f"{by} asked for it" if force else ""
            applied, refused = await self._bring_in(generation, confirm=confirm, force=why)
            if applied.did == "nothing" and not applied.held and generation.source is not None:
                why = f"{generation.source.name} may name files that have changed"
                applied, refused = await self._bring_in(generation, confirm=confirm, force=why)
            self._not_taken = refused
            nginx = await self._reload_nginx(generation)
            self._renewed()
            self._tell(verdict, by, nginx)
            mute = mute_sentences(self._follower.applier.fleet.members.values())
            verdict = replace(verdict, warnings=(*verdict.warnings, *mute))
            return Reload(verdict, applied, nginx, refused)

    async def _follow_overlay(self) -> None:
        """What sources set of the settings is brought in as the operator's own word is."""
        while True:
            await self._is_laid.wait()
            self._is_laid.clear()
            async with self._lock:
                why, force = self._overlay.take(self._sources.settings()), self._anew
                self._anew = ""
                if (why or force) and self._generation is not None:
                    await self._bring_in(self._generation, why=why, force=force)

    async def _take_up(self) -> None:
        is_told = False
        while True:
            try:
                generation = read_generation(self._run)
            except (LbctlError, OSError, ValueError) as error:
                if not is_told:
                    log.info("%s; nothing is followed until there is one", error)
                is_told = True
                await asyncio.sleep(_AGAIN_S)
                continue
            async with self._lock:
                await self._bring_in(generation)
            return

    async def _bring_in(
        self, generation: Generation, *, confirm: bool = False, force: str = "", why: str = ""
    ) -> tuple[Applied, tuple[str, ...]]:
        """Certificates, then everything else; what became of it, and certificates refused."""
        self._generation = generation
        base = self._base_of(generation, why)
        before: dict[str, bytes] | None = None
        try:
            served = await serve_certificates(self._runtimes, generation.certs, self._places)
            if served.reasons:
                before = self._places.write(generation.certs)
        except OSError as error:
            log.warning("the certificates are as they were: %s", error)
            applied = await self._follower.set_base(base, confirm=confirm, force=force)
            return applied, (f"{error}; the certificates are served as they were",)
        self._note_absent(served, generation.certs)
        for what in served.did:
            self._note("apply", f"{what}: at run time", {})
        refused = tuple(str(problem) for problem in served.refused)
        for what in refused:
            self._note("reload", f"not taken: {what}", {})
        reasons = "; ".join((*([force] if force else []), *served.reasons))
        applied = await self._follower.set_base(base, confirm=confirm, force=reasons)
        if applied.did == "failed" and before is not None:
            self._places.write(before)
        return applied, refused

    def _base_of(self, generation: Generation, why: str) -> Base:
        """With what sources set of the settings; whoever has no base yet knows what was saved."""
        self._sources.configure(generation)
        self._overlay.take(self._sources.settings())
        settings = self._overlay.on(generation.settings)
        whole = replace(generation, settings=settings)
        return replace(base_of(whole, self._spec, self._run, self._cache), why=why)

    def _note_absent(self, served: Served, certs: Mapping[str, bytes]) -> None:
        self._in_force = certs
        if served.absent and certs and not served.reasons:
            self._lags.set()
        else:
            self._lags.clear()

    async def _catch_up(self) -> None:
        """A process that did not answer serves the certificates of before, until it does."""
        while True:
            await self._lags.wait()
            await asyncio.sleep(_AGAIN_S)
            async with self._lock:
                try:
                    served = await serve_certificates(self._runtimes, self._in_force, self._places)
                except OSError as error:
                    log.debug("the certificates are as they were: %s", error)
                else:
                    self._note_absent(served, self._in_force)

    async def _certificates_changed(self) -> None:
        async with self._lock:
            try:
                verdict = await self._tasks.run("certs")
                for problem in verdict.problems:
                    self._note("reload", f"certificate not taken: {problem}", asdict(problem))
                self._not_taken = tuple(map(str, verdict.problems))
                if verdict.number is not None:
                    _, refused = await self._bring_in(read_generation(self._run))
                    self._not_taken += refused
            except (LbctlError, OSError, ValueError) as error:
                self._note("reload", f"the certificates are served as they were: {error}", {})

    async def _reload_nginx(self, generation: Generation) -> NginxReloaded:
        """Its own files too, which only it reads."""
        try:
            before = self._install_nginx(generation.nginx)
        except OSError as error:
            return NginxReloaded(False, (f"{error}; nginx goes on as it is",))
        pid = self._table.rows["nginx"].pid if "nginx" in self._table.rows else 0
        title = title_of(pid) if pid else ""
        if not title.startswith(_NGINX_TITLE):
            return NginxReloaded(False, ("nginx does not run; it loads its files when it starts",))
        done = await reload_nginx(title.removeprefix(_NGINX_TITLE).split(), pid)
        if not done.is_ok:
            self._install_nginx(before)
        return done

    def _install_nginx(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Write those that differ; what was there."""
        before = {}
        for name, text in texts.items():
            path = self._run.nginx / name
            with suppress(OSError):
                before[name] = path.read_text(errors="surrogateescape")
            if before.get(name) != text:
                path.parent.mkdir(exist_ok=True)
                write_atomic(path, text, mode=0o600)
        return before

    def _tell(self, verdict: Verdict, by: str, nginx: NginxReloaded) -> None:
        words = [f"the operator's files were read again, asked for by {by}"]
        if verdict.restart:
            words.append(f"only a restart brings {', '.join(verdict.restart)}")
        if not nginx.is_ok:
            words.append(f"nginx goes on as it was: {'; '.join(nginx.said)}")
        fields = {"by": by, "generation": verdict.number, "restart": list(verdict.restart)}
        self._note("reload", "; ".join(words), fields)

    def _on_sight(self, blind: str) -> None:
        self._blind = blind
        if blind:
            log.warning("%s", blind)


def _refused(problems: Sequence[str], by: str) -> str:
    """For whoever comes later: what is in the files is not what runs."""
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    return (
        f"the operator's files were refused at {time.strftime('%F %T')}, read for {by}: "
        f"{problems[0] if problems else 'no reason was given'}{more}; what was before goes on, and "
        "a restart would be refused: `lbctl check`"
    )


@dataclass(frozen=True, slots=True)
class Reload:
    """
    What became of a request to read the operator's files again.

    Attributes:
        applied: None: nothing was changed, since the files are not good.
        refused: certificates that HAProxy did not take.
    """

    verdict: Verdict
    applied: Applied | None = None
    nginx: NginxReloaded | None = None
    refused: tuple[str, ...] = ()

    def record(self, now: float) -> dict[str, Any]:
        """For programs; *now* is the follower's clock."""
        verdict, applied, nginx = self.verdict, self.applied, self.nginx
        found: dict[str, Any] = {
            "generation": verdict.number,
            "problems": [asdict(problem) for problem in verdict.problems],
            "warnings": list(verdict.warnings),
            "restart": list(verdict.restart),
            "certificates": list(self.refused),
        }
        if applied is not None:
            due = applied.waits_for
            found |= {
                "did": applied.did,
                "reasons": list(applied.reasons),
                "commands": applied.commands,
                "steps": list(applied.steps),
                "pending": list(applied.pending),
                "failure": applied.failure,
                "waits_s": None if due is None else round(max(0.0, due - now), 1),
                "held": held_records(applied.held, now),
                "left_out": list(applied.left_out),
                "took_s": applied.took_s,
            }
        if nginx is not None:
            found["nginx"] = {"is_ok": nginx.is_ok, "said": list(nginx.said)}
        return found
