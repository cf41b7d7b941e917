"""What an election is told, what it answers and what it remembers: values without behaviour."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lbctl.ha.role import RoleName
from lbctl.spec import GroupSpec

NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Rules:
    """
    What does not change while the engine lives.

    Attributes:
        source: this node's IPv4 address.
        advbase_s: seconds, claimed on the wire.
        interval_s: seconds from one advertisement to the next, as they really leave.
        dead_ratio: missed intervals until a master counts as dead.
        failback_s: how long a better node listens to a healthy master before it takes over.
    """

    source: str
    advbase_s: int
    interval_s: float
    dead_ratio: int
    failback_s: float

    @classmethod
    def of(cls, group: GroupSpec) -> Rules:
        """Those of a group."""
        return cls(
            source=group.source,
            advbase_s=group.advbase_s,
            interval_s=group.interval_s,
            dead_ratio=group.dead_ratio,
            failback_s=group.failback_s,
        )

    @property
    def period_s(self) -> float:
        """Seconds from packet to packet: each advertisement is sent twice."""
        return self.interval_s / 2


@dataclass(frozen=True, slots=True)
class Heard:
    """
    A believed advertisement of another node.

    Attributes:
        source: its IPv4 address.
        advbase: seconds, as claimed.
        advskew: 1/256 s, as claimed.
        is_resignation: it gives the addresses away.
        is_native: it sends every *interval_s*, twice; a ucarp as it claims.
        interval_s: seconds.
        loss: the share of its packets that were lost of late, 0..1.
    """

    source: str
    advbase: int
    advskew: int
    is_resignation: bool
    is_native: bool
    interval_s: float
    loss: float


@dataclass(frozen=True, slots=True)
class Become:
    """Take on *role*; *why* is a sentence for people."""

    role: RoleName
    why: str


@dataclass(frozen=True, slots=True)
class Advertise:
    """Send one advertisement now."""


@dataclass(frozen=True, slots=True)
class Resign:
    """Send *count* resignations now."""

    count: int


Action = Become | Advertise | Resign


@dataclass(frozen=True, slots=True)
class Start:
    """The engine begins."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The bundle stops: no more words."""


@dataclass(frozen=True, slots=True)
class Hear:
    """A believed advertisement came."""

    heard: Heard


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that the state asked for has come, or is near."""


@dataclass(frozen=True, slots=True)
class SetAdvskew:
    """This node's worth has changed."""

    advskew: int


@dataclass(frozen=True, slots=True)
class LinkDown:
    """Nothing can be sent or heard."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """It can again."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """This process did not run for longer than a peer waits."""


@dataclass(frozen=True, slots=True)
class Silence:
    """This node is leaving: it says nothing, and acts on nothing that it hears."""


@dataclass(frozen=True, slots=True)
class Speak:
    """It does not leave after all."""


@dataclass(frozen=True, slots=True)
class Left:
    """It has left: the addresses are off."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The addresses shall not move (*on*), or may again."""

    on: bool


Event = (
    Start
    | Stop
    | Hear
    | Tick
    | SetAdvskew
    | LinkDown
    | LinkUp
    | Stalled
    | Silence
    | Speak
    | Left
    | Pause
)


@dataclass(frozen=True, slots=True)
class State:
    """
    Attributes:
        role: INIT before the start and after the stop.
        advskew: claimed now.
        worth: the advskew to claim: another one while paused.
        due: monotonic seconds when a :class:`Tick` is wanted; infinite: never.
        master: BACKUP: whose word counts; MASTER: the rival heard last.
        heard_at: when *master* was heard, or when listening began, monotonic seconds.
        better_since: since when this BACKUP has been better than its master; infinite: it is not.
        sent_at: when the last advertisement was sent.
        is_paused: the addresses shall not move.
        is_silent: this node is leaving.
        has_link: it can send and hear.
        is_holder: nobody is known to hold the addresses but this node: it had them last, or has
            started and heard nobody yet.
    """

    role: RoleName
    advskew: int
    worth: int
    due: float = NEVER
    master: Heard | None = None
    heard_at: float = -NEVER
    better_since: float = NEVER
    sent_at: float = -NEVER
    is_paused: bool = False
    is_silent: bool = False
    has_link: bool = True
    is_holder: bool = True

    @property
    def may_speak(self) -> bool:
        return self.role is RoleName.MASTER and self.has_link and not self.is_silent

    @property
    def usual(self) -> Heard | None:
        """
        A native master's word that changes nothing but :attr:`heard_at`, and so may be heard as
        late as :attr:`due`.
        """
        is_waiting = self.due != NEVER and self.better_since == NEVER
        if not self.may_listen or not is_waiting or self.master is None:
            return None
        return self.master if self.master.is_native else None

    @property
    def may_listen(self) -> bool:
        return self.role is RoleName.BACKUP and self.has_link and not self.is_silent

    @property
    def may_take_over(self) -> bool:
        return self.may_listen and (self.is_holder or not self.is_paused)
