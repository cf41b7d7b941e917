"""Puts vipd together: what all groups share, each group's parts, and its engine."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from lbctl.errors import NetlinkError
from lbctl.ha.address import Addresses
from lbctl.ha.announce import Sender
from lbctl.ha.carp import Password
from lbctl.ha.counter import Clockwork, TagKey
from lbctl.ha.desk import Desk
from lbctl.ha.ears import Ears
from lbctl.ha.engine import Parts
from lbctl.ha.greeter import Greeter
from lbctl.ha.hands import Hands
from lbctl.ha.hearing import Hearing
from lbctl.ha.journal import Journal
from lbctl.ha.keeper import Keeper
from lbctl.ha.life import Life
from lbctl.ha.memory import Memory
from lbctl.ha.mouth import Mouth, Multicast, Unicast
from lbctl.ha.native import NativeEngine
from lbctl.ha.pause import Pause
from lbctl.ha.replay import Sources
from lbctl.ha.role import NO_ROLE, RoleFile
from lbctl.ha.scheduling import be_prompt
from lbctl.ha.speaker import Speaker
from lbctl.ha.stall import StallGuard
from lbctl.ha.track import Tracker
from lbctl.ha.ucarp_engine import UcarpEngine
from lbctl.ha.vipd import Commons, Surroundings, Vipd
from lbctl.ha.worth import OwnVoice, Voice, Worth
from lbctl.layout import RunDir, StateDir
from lbctl.programs import Programs
from lbctl.spec import DISCOVERY_CHECK, BundleSpec, GroupSpec

log = logging.getLogger(__name__)


class Assembly:
    """
    Everything that *spec* asks for; nothing is listened to yet.

    Raises:
        NetlinkError: no NET_RAW, or an interface is gone.
        ValidationError: the password cannot be read.
    """

    def __init__(self, spec: BundleSpec, run: RunDir, programs: Programs) -> None:
        first = spec.groups[0]
        state = StateDir(Path(spec.state_dir))
        self._common = Commons(
            spec=spec,
            run=run,
            programs=programs,
            tracker=Tracker(first.track, spec.checks),
            journal=Journal(),
            pause=Pause(state.pause),
            memory=Memory(state.carp, time.time()) if first.is_native else None,
            scheduling=be_prompt() if first.is_native else "normal",
        )
        self._begin_unheard()
        self._password = Password.read(run.password)
        self._guard = StallGuard()
        self._ears: dict[str, Ears] = {}
        self._around = Surroundings(self._common.pause)
        lives = [self._life(group) for group in spec.groups]
        self.greeter = self._greeter(first) if first.greeting_port else None
        self.vipd = Vipd(self._common, lives, self._around, self.greeter)
        self.desk = Desk(self.vipd, self._common, self._around, self.greeter)

    def open(self) -> None:
        """
        Listen.

        Raises:
            NetlinkError: as above.
        """
        for life in self.vipd.lives:
            life.engine.open()
            life.duplicates.open()

    def _begin_unheard(self) -> None:
        """
        A fresh node that knows no services says so until the agent does: an address that it took
        meanwhile would be taken from one that serves. A vipd that comes back may have it already.
        """
        spec, run = self._common.spec, self._common.run
        is_own = all(check.name != DISCOVERY_CHECK.name for check in spec.checks)
        if spec.unheard and is_own and RoleFile(run.role).read() is NO_ROLE:
            what = f"{', '.join(spec.unheard)}: not heard yet"
            self._common.tracker.verdict(DISCOVERY_CHECK.name, False, what, time.monotonic())

    def _greeter(self, first: GroupSpec) -> Greeter:
        common = self._common
        return Greeter(
            common.spec, first, self._password, common.journal, lambda: self.vipd.facts()
        )

    def _life(self, group: GroupSpec) -> Life:
        sender = Sender(group.interface)
        if group.is_native:
            return self._native(group, sender)
        speaker = Speaker(group, self._common.run, self._common.programs)
        parts = self._parts(group, sender, speaker)
        hands = Hands(parts)
        hearing = Hearing(group, self._password, sender, self._common.journal)
        engine = UcarpEngine(parts, hands, speaker, hearing)
        return Life(parts, hands, engine, self._around)

    def _native(self, group: GroupSpec, sender: Sender) -> Life:
        memory = self._common.memory
        assert memory is not None
        voice = OwnVoice(memory.advskew(group.vhid, self._common.spec.started_at, group.advskew))
        parts = self._parts(group, sender, voice)
        hands = Hands(parts)
        key, now = TagKey(self._password), time.monotonic()
        clockwork = Clockwork(position=memory.position(group.vhid), wall_s=time.time(), now=now)
        way = Unicast(group, self._password) if group.peers else None
        mouth = Mouth(group, way or Multicast(group, self._password, sender), key, clockwork)
        sources = Sources(
            source=group.source,
            key=key,
            ucarp_dead_s=group.dead_time_with(group.advskew),
            position=clockwork.position(now),
            now=now,
            dead_ratio=group.dead_ratio,
            peers=group.peers,
        )
        sources.remember(memory.sources(group.vhid), now)
        ears = self._ears.setdefault(group.interface, Ears(group.interface))
        engine = NativeEngine(
            parts, hands, voice, mouth, ears, sources, self._password, self._guard
        )
        memory.ask(group.vhid, engine.memory)
        return Life(parts, hands, engine, self._around)

    def _parts(self, group: GroupSpec, sender: Sender, voice: Voice) -> Parts:
        common = self._common
        is_first = group.vhid == common.spec.groups[0].vhid
        role = common.run.role if is_first else common.run.role_of(group.vhid)
        keeper = Keeper(
            group,
            RoleFile(role),
            Addresses(group.interface),
            partial(_announce, sender),
            common.journal,
        )
        return Parts(
            spec=common.spec,
            group=group,
            run=common.run,
            programs=common.programs,
            tracker=common.tracker,
            journal=common.journal,
            keeper=keeper,
            worth=Worth(group, common.tracker, voice, common.journal),
        )


def _announce(sender: Sender, addresses: Iterable[str]) -> None:
    try:
        sender.announce(sender.mac(), addresses)
    except NetlinkError as error:
        log.warning("announcing: %s; again when it is due", error)
