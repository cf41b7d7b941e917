"""vipd's main: reads the spec, opens its sockets, and lets :class:`lbctl.ha.vipd.Vipd` live."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from lbctl.bundle.events import listen_stdio
from lbctl.bundle.rpc import SupervisorClient
from lbctl.bundle.saying import speak
from lbctl.errors import EXIT_OK, EXIT_UNEXPECTED, LbctlError
from lbctl.ha import links
from lbctl.ha.assembly import Assembly
from lbctl.ha.door import Door
from lbctl.ha.links import Links, Sight
from lbctl.ha.scheduling import settle
from lbctl.ha.vipd import Vipd
from lbctl.layout import RunDir
from lbctl.spec import BundleSpec, read_spec

log = logging.getLogger(__name__)

RESTART_PAUSE_S = 1.0


def main() -> int:
    """``python -m lbctl.daemons.vipd RUN_DIR``, an event listener of supervisord."""
    run = RunDir(Path(sys.argv[1]))
    speak(run.spec)
    try:
        spec = read_spec(run.spec)
        if not spec.groups:
            message = f"{run.spec}: no virtual address in this bundle"
            raise LbctlError(message)
        asyncio.run(_live(spec, run))
    except* (LbctlError, OSError) as group:
        for error in _leaves(group):
            log.error("%s; vipd starts again", error)
        # supervisord has no back-off for an event listener: it counts as running at once.
        time.sleep(RESTART_PAUSE_S)
        sys.exit(EXIT_UNEXPECTED)
    return EXIT_OK


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _live(spec: BundleSpec, run: RunDir) -> None:
    for group in spec.groups:
        await links.wait_for(group.interface)
    assembly = Assembly(spec, run, SupervisorClient(run.supervisor_socket))
    vipd, desk = assembly.vipd, assembly.desk
    door = Door(
        run.vipd_socket,
        ask={
            "role": desk.on_role,
            "status": desk.on_status,
            "handover": desk.on_handover,
            "health": desk.on_health,
            "digests": desk.on_digests,
            "pause": desk.on_pause,
            "resume": desk.on_resume,
        },
        streams={"watch": desk.on_watch},
    )
    server = await door.open(mode=0o660, gid=run.api.stat().st_gid)
    assembly.open()
    _watch(spec, vipd)
    settle()
    works = [vipd.follow(listen_stdio()), vipd.first_words()]
    works += [vipd.look_forever(), vipd.remember_forever()]
    works += [life.tick_forever() for life in vipd.lives]
    if assembly.greeter is not None:
        works.append(assembly.greeter.run())
    await _until_told_to_stop(vipd, works)
    vipd.close()
    server.close()


async def _until_told_to_stop(vipd: Vipd, works: Iterable[Coroutine[Any, Any, None]]) -> None:
    parent = os.getppid()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, vipd.finished.set)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        await vipd.finished.wait()
        if os.getppid() == parent and vipd.is_native and not vipd.starts_afresh:
            # It is the speaker: supervisord ends it first, and waits for it.
            await vipd.stop("stopping")
            await vipd.last_words()
        for task in tasks:
            task.cancel()
    if os.getppid() != parent:
        vipd.abandon()


def _watch(spec: BundleSpec, vipd: Vipd) -> None:
    names = {group.interface for group in spec.groups}
    names |= {check.target for check in spec.checks if check.kind == "link"}
    looks: set[asyncio.Task[None]] = set()

    def on_sight(sight: Sight) -> None:
        for work in vipd.on_sight(sight, watched.renamed_to(sight.name)):
            task = asyncio.get_running_loop().create_task(work)
            looks.add(task)
            task.add_done_callback(looks.discard)

    watched = Links(names, on_sight, lambda: all(life.is_master for life in vipd.lives))
    watched.open()


if __name__ == "__main__":
    sys.exit(main())
