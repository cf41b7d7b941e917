"""vipd's main: reads the spec, opens its sockets, and lets :class:`lbctl.ha.vipd.Vipd` live."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from lbctl.bundle.events import listen_stdio
from lbctl.bundle.rpc import SupervisorClient
from lbctl.errors import EXIT_OK, EXIT_UNEXPECTED, LbctlError, NetlinkError
from lbctl.ha import capture, interfaces
from lbctl.ha.address import Addresses
from lbctl.ha.announce import Sender
from lbctl.ha.carp import Password
from lbctl.ha.door import Door
from lbctl.ha.hearing import Hearing
from lbctl.ha.interfaces import Change
from lbctl.ha.journal import Journal
from lbctl.ha.keeper import Keeper
from lbctl.ha.role import RoleFile
from lbctl.ha.scene import Parts
from lbctl.ha.speaker import Speaker
from lbctl.ha.track import Tracker
from lbctl.ha.vipd import Vipd
from lbctl.ha.worth import Worth
from lbctl.layout import RunDir
from lbctl.spec import BundleSpec, GroupSpec, read_spec

log = logging.getLogger(__name__)

#: Changes of addresses come in bursts; look once for all of them.
LOOK_AFTER_S = 0.02
RESTART_PAUSE_S = 1.0


def main() -> int:
    """``python -m lbctl.daemons.vipd RUN_DIR``, an event listener of supervisord."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    run = RunDir(Path(sys.argv[1]))
    try:
        spec = read_spec(run.spec)
        if spec.group is None:
            message = f"{run.spec}: no virtual address in this bundle"
            raise LbctlError(message)
        asyncio.run(_live(spec, spec.group, run))
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


async def _live(spec: BundleSpec, group: GroupSpec, run: RunDir) -> None:
    index = await _index_of(group.interface)
    programs = SupervisorClient(run.supervisor_socket)
    journal = Journal()
    sender = Sender(group.interface)
    hearing = Hearing(group, Password.read(run.password), sender, journal)
    keeper = Keeper(
        group,
        RoleFile(run.role),
        Addresses(group.interface),
        partial(_announce, sender),
        journal,
    )
    speaker = Speaker(group, run, programs)
    tracker = Tracker(group.track)
    parts = Parts(
        spec=spec,
        group=group,
        run=run,
        programs=programs,
        keeper=keeper,
        hearing=hearing,
        speaker=speaker,
        tracker=tracker,
        worth=Worth(group, tracker, speaker, journal),
        journal=journal,
    )
    vipd = Vipd(parts)
    door = Door(
        run.vipd_socket,
        ask={"role": vipd.on_role, "status": vipd.on_status, "handover": vipd.on_handover},
        streams={"watch": vipd.on_watch},
    )
    server = await door.open(mode=0o660, gid=run.api.stat().st_gid)
    _hear(group, hearing, vipd)
    _watch(group, vipd, index)
    await _until_told_to_stop(vipd)
    server.close()


async def _until_told_to_stop(vipd: Vipd) -> None:
    parent = os.getppid()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, vipd.finished.set)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(vipd.follow(listen_stdio())),
            group.create_task(vipd.first_words()),
            group.create_task(vipd.tick_forever()),
        ]
        await vipd.finished.wait()
        for task in tasks:
            task.cancel()
    if os.getppid() != parent:
        vipd.abandon()


def _hear(group: GroupSpec, hearing: Hearing, vipd: Vipd) -> None:
    ears = capture.open_capture(group.interface)

    def hear() -> None:
        for seen in capture.read_all(ears):
            hearing.hear(seen)
            vipd.heard(seen.at)

    asyncio.get_running_loop().add_reader(ears, hear)


async def _index_of(interface: str) -> int:
    """Its number; waits for an interface that is not there (any more)."""
    while (link := interfaces.link_state(interface)) is None:
        log.warning("there is no interface %s: waiting for it", interface)
        await asyncio.sleep(5.0)
    return link.index


def _watch(group: GroupSpec, vipd: Vipd, index: int) -> None:
    watch = interfaces.open_watch()
    loop = asyncio.get_running_loop()
    first = interfaces.link_state(group.interface)
    vipd.link_up = first is not None and first.is_up and first.has_carrier
    looks: set[asyncio.Task[None]] = set()

    def look() -> None:
        link = interfaces.link_state(group.interface)
        if link is not None and link.index != index:
            log.error("%s was made anew: starting afresh on it", group.interface)
            vipd.finished.set()
        is_up = link is not None and link.is_up and link.has_carrier
        task = loop.create_task(vipd.look_again(is_up))
        looks.add(task)
        task.add_done_callback(looks.discard)

    def news() -> None:
        # Renewing our own leases is news too, once a second: nothing to look at.
        if interfaces.read_changes(watch) - {Change.ADDRESS_SET} or not vipd.is_master:
            loop.call_later(LOOK_AFTER_S, look)

    loop.add_reader(watch, news)


def _announce(sender: Sender, addresses: Iterable[str]) -> None:
    link = interfaces.link_state(sender.interface)
    if link is None:
        return
    try:
        sender.announce(link.mac, addresses)
    except NetlinkError as error:
        log.warning("announcing: %s; again when it is due", error)


if __name__ == "__main__":
    sys.exit(main())
