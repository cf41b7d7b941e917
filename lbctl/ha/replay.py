"""
Which of the genuine advertisements are believed: by sender, by kind of sender, and once each. Pure.

CARP's digest proves that somebody with the password drew this counter, and nothing else: neither
that it is fresh, nor who sent it, nor advbase and advskew. So:

- A *native* word (:mod:`lbctl.ha.counter`) must be later than the last one from that source, and
  not later than a fresh greeting of it allows. Its resignation is a bit of the counter, and counts
  only from a source that is native already: a receiver without memory takes no old one for its
  first word.
- After three of them, or a fresh greeting that says so, the source *is native*: what comes from it
  without a tag is refused. It may become a ucarp (the operator changed the engine): at once when a
  fresh greeting says so, else when no tagged word came for a ucarp's dead time and 2 s, with the
  third counter that nobody has seen. A stranger gains nothing by this: counters that a native node
  drew are known by their shape, and others only a ucarp with the password can have signed.
- While there are fresh greetings, and all of them say native, nothing without a tag is believed,
  whoever sends it: it was captured when the pair still ran ucarp.
- Else from a *ucarp* any counter is taken once. ucarp draws them at random until it has heard
  somebody and counts on from there; so a counter that looks native, without a tag, is believed only
  where it goes on from one that was seen. That refuses the words of native nodes from other
  addresses, with another advbase or advskew, or both.
- What a ucarp sends and we do not get, a stranger may deliver later with another advbase: with a
  ucarp as peer that is not protected.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.ha.carp import RESIGNATION_ADVBASE, Advertisement, Received, Refusal
from lbctl.ha.counter import (
    TICK_S,
    NativeWord,
    TagKey,
    looks_native,
    read,
    ticks_of,
)
from lbctl.ha.election import stretched_s
from lbctl.ha.election_words import Heard
from lbctl.ha.neighbour import FRESH_S
from lbctl.ha.ranges import Losses, Ranges

#: So many tagged words make a source native, so many without a tag a ucarp.
CONVINCED = 3
#: A native source must have been silent for so much longer than a ucarp's dead time, seconds.
CHANGE_S = 2.0

_SOURCES_MAX = 64
_WORDS_MAX = 4096
_SAVED_RANGES = 256
#: ucarp goes on counting from what it heard; so many packets of it may have been lost.
_COUNTS_ON = 1 << 16
#: No ucarp counts this far; a saved range that is longer is nonsense.
_RANGE_MAX = 1 << 40
_DAY_TICKS = round(86_400 / TICK_S)
_TEN_YEARS_TICKS = 3_653 * _DAY_TICKS
#: How far a peer's clock may seem to be off while a greeting travels, ticks.
_BEHIND_TICKS = round(1.0 / TICK_S)
_AHEAD_TICKS = round(5.0 / TICK_S)
_NUDGE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Accepted(Heard):
    """
    An advertisement to act on.

    Attributes:
        ticks: the native sender's time; 0: a ucarp's.
    """

    ticks: int


class _Source:
    """What is known of one sender."""

    __slots__ = (
        "_called_off",
        "_ceiling",
        "_ceiling_at",
        "greeted_at",
        "heard_at",
        "highest",
        "losses",
        "tagged",
        "untagged",
    )

    def __init__(self, now: float) -> None:
        self.highest = -1
        self.heard_at = now  # its last tagged word
        self.greeted_at = now  # said so itself
        self.tagged = 0
        self.untagged = 0
        self.losses = Losses()
        self._called_off = -1  # up to here it once was, before its time went back
        self._ceiling = 0
        self._ceiling_at = now

    @property
    def is_native(self) -> bool:
        return self.tagged >= CONVINCED

    def is_late(self, ticks: int, now: float) -> bool:
        """Whether a word of *ticks* is an old one, or one from a future that was called off."""
        if ticks <= self.highest:
            return True
        is_free = ticks > self._called_off
        return not is_free and ticks > self._ceiling + int((now - self._ceiling_at) / TICK_S)

    def stands_at(self, position: int, now: float) -> None:
        """It has just said so itself, whatever was heard of it before."""
        if position + _AHEAD_TICKS < self.highest:
            self._called_off = max(self._called_off, self.highest)
            self.highest = position - _BEHIND_TICKS
        self.highest = max(self.highest, position - _BEHIND_TICKS)
        self._ceiling, self._ceiling_at = position + _AHEAD_TICKS, now


class Sources:
    """
    All senders of one group.

    Args:
        source: this node's own IPv4 address.
        key: of the tags.
        ucarp_dead_s: the dead time of a ucarp here, seconds.
        position: this node's own time (:meth:`Clockwork.position`).
        now: monotonic seconds.
        dead_ratio: missed intervals until a master counts as dead.
        peers: the only senders to listen to; empty: everybody.
    """

    def __init__(
        self,
        *,
        source: str,
        key: TagKey,
        ucarp_dead_s: float,
        position: int,
        now: float,
        dead_ratio: int = 3,
        peers: tuple[str, ...] = (),
    ) -> None:
        self._own = source
        self._key = key
        self._change_s = ucarp_dead_s + CHANGE_S
        self._dead_ratio = dead_ratio
        self._peers = frozenset(peers)
        self._sources: dict[str, _Source] = {}
        self._engines: dict[str, tuple[bool, float]] = {}  # greeted from: is native, and when
        self._ranges = Ranges()
        self._words: OrderedDict[int, set[int]] = OrderedDict()
        self._horizon = position
        self._started = now
        self._is_jumping = False
        self._nudged_at = float("-inf")

    def accept(self, received: Received, now: float) -> Accepted | Refusal:
        """
        Believe *received* or say why not. Its digest and vhid are right already.

        Args:
            now: monotonic seconds.
        """
        if received.source == self._own:
            return Refusal.OWN_SOURCE
        if self._peers and received.source not in self._peers:
            return Refusal.NOT_A_PEER
        advertisement = received.advertisement
        word = read(advertisement, received.source, self._key)
        if word is not None and not self._is_counted(received.source, advertisement.counter):
            return self._accept_native(received, word, now)
        return self._accept_ucarp(received, now)

    def sent(self, counter: int) -> None:
        """This node has sent *counter*: a ucarp may count on from it."""
        self._note(counter)

    def greeted(self, source: str, *, is_native: bool, position: int, now: float) -> None:
        """
        A *fresh* greeting from *source* says what it speaks.

        Args:
            position: a native node's time of this group when it greeted.
        """
        known = self._sources.get(source)
        self._engines.pop(source, None)
        self._engines[source] = is_native, now
        if len(self._engines) > _SOURCES_MAX:
            del self._engines[next(iter(self._engines))]
        if not is_native:
            if known is not None and known.is_native:
                self._sources[source] = _Source(now)
            return
        known = known or self._enter(source, _Source(now))
        known.tagged, known.untagged = max(known.tagged, CONVINCED), 0
        known.greeted_at = now
        known.stands_at(position, now)

    def is_native(self, source: str) -> bool:
        """Whether nothing without a tag is believed from *source*."""
        known = self._sources.get(source)
        return known is not None and known.is_native

    def loss_of(self, source: str) -> float:
        """The share of a native source's packets that is lost, 0..1."""
        known = self._sources.get(source)
        return 0.0 if known is None else known.losses.share

    def nudge_due(self, now: float) -> bool:
        """
        Whether a BACKUP should send a word with advbase 255 and no resignation bit, now.

        Native nodes pass it over; a ucarp that is MASTER counts on from it and no longer draws at
        random. At most once a second. (A ucarp that is BACKUP would take over: send it only while
        a ucarp is known to be MASTER.)
        """
        if not self._is_jumping or now - self._nudged_at < _NUDGE_EVERY_S:
            return False
        self._is_jumping, self._nudged_at = False, now
        return True

    def memory(self) -> dict[str, Any]:
        """What must survive a restart, as JSON takes it."""
        natives = {name: one.highest for name, one in self._sources.items() if one.is_native}
        return {"natives": natives, "ranges": self._ranges.newest(_SAVED_RANGES)}

    def remember(self, saved: Mapping[str, Any], now: float) -> None:
        """
        Take in what :meth:`memory` gave in an earlier life. Nonsense is passed over.

        Words more than ten years ahead of this node's time are not believed.
        """
        natives, ranges = saved.get("natives"), saved.get("ranges")
        for source, highest in natives.items() if isinstance(natives, dict) else ():
            if _is_number(highest) and highest < self._horizon + _TEN_YEARS_TICKS:
                known = self._enter(source, _Source(now))
                known.highest, known.tagged = highest, CONVINCED
        for pair in ranges if isinstance(ranges, list) else ():
            if _is_range(pair):
                self._ranges.fill([pair])

    def _accept_native(
        self, received: Received, word: NativeWord, now: float
    ) -> Accepted | Refusal:
        source, advertisement = received.source, received.advertisement
        known = self._sources.get(source)
        if advertisement.counter in self._words.get(word.ticks, ()):
            return Refusal.REPLAYED
        if known is None:
            known = self._enter(source, _Source(now))
        elif known.is_late(word.ticks, now):
            return Refusal.REPLAYED
        self._note(advertisement.counter)
        # Somebody may have kept the first one that it ever hears of this source.
        is_last = (
            known.is_native and word.is_resignation and advertisement.advbase == RESIGNATION_ADVBASE
        )
        known.tagged, known.untagged = min(known.tagged + 1, CONVINCED), 0
        silent_since, known.heard_at = known.heard_at, now
        known.highest = word.ticks
        if now - silent_since >= stretched_s(self._dead_ratio, word.interval_s, known.losses.share):
            # It counted as dead meanwhile: that was a cut or a standstill, and no loss.
            known.losses.ended()
        known.losses.heard(word.ticks, word.interval_s)
        if advertisement.advbase == RESIGNATION_ADVBASE:
            known.losses.ended()
        return _accepted(received, word, is_last, known.losses.share)

    def _accept_ucarp(self, received: Received, now: float) -> Accepted | Refusal:
        source, counter = received.source, received.advertisement.counter
        known = self._sources.get(source)
        if self._all_greet_as_native(now) or (
            known is not None and known.is_native and not self._has_fallen_silent(known, now)
        ):
            return Refusal.NOT_NATIVE
        follows = self._counts_on(counter)
        if self._was_seen(counter) or (not follows and self._looks_native(counter, now)):
            self._is_jumping = True
            return Refusal.REPLAYED
        self._ranges.add(counter)
        self._is_jumping = not follows
        if known is None:
            known = self._enter(source, _Source(now))
        elif known.is_native:
            known.untagged += 1
            if known.untagged < CONVINCED:
                return Refusal.NOT_NATIVE
            known = self._enter(source, _Source(now))
        known.tagged = 0
        known.heard_at = now
        return _accepted(received, None, received.advertisement.advbase == RESIGNATION_ADVBASE, 0.0)

    def _is_counted(self, source: str, counter: int) -> bool:
        """Whether a source that is no native one has come to a valid tag by counting."""
        known = self._sources.get(source)
        return known is not None and not known.is_native and self._counts_on(counter)

    def _all_greet_as_native(self, now: float) -> bool:
        fresh = [is_native for is_native, at in self._engines.values() if now - at <= FRESH_S]
        return bool(fresh) and all(fresh)

    def _has_fallen_silent(self, known: _Source, now: float) -> bool:
        return now - max(known.heard_at, known.greeted_at) > self._change_s

    def _was_seen(self, counter: int) -> bool:
        return counter in self._ranges or counter in self._words.get(ticks_of(counter), ())

    def _looks_native(self, counter: int, now: float) -> bool:
        # A day more: who knows what other nodes have said that we did not hear.
        return looks_native(
            counter, self._horizon + int((now - self._started) / TICK_S) + _DAY_TICKS
        )

    def _counts_on(self, counter: int) -> bool:
        if self._ranges.follows(counter, _COUNTS_ON):
            return True
        words = self._words.get(ticks_of(counter), ())
        return any(0 < counter - word <= _COUNTS_ON for word in words)

    def _note(self, counter: int) -> None:
        """Remember a native word: who counts on from it is a ucarp."""
        ticks = ticks_of(counter)
        self._words.setdefault(ticks, set()).add(counter)
        self._horizon = max(self._horizon, ticks)
        if len(self._words) > _WORDS_MAX:
            self._words.popitem(last=False)

    def _enter(self, source: str, known: _Source) -> _Source:
        self._sources.pop(source, None)
        self._sources[source] = known
        if len(self._sources) > _SOURCES_MAX:
            del self._sources[next(iter(self._sources))]
        return known


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 64


def _is_range(pair: object) -> bool:
    if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_number, pair)):
        return False
    return bool(pair[0] <= pair[1] < pair[0] + _RANGE_MAX)


def _accepted(
    received: Received, word: NativeWord | None, is_resignation: bool, loss: float
) -> Accepted:
    advertisement: Advertisement = received.advertisement
    return Accepted(
        source=received.source,
        advbase=advertisement.advbase,
        advskew=advertisement.advskew,
        is_resignation=is_resignation,
        is_native=word is not None,
        interval_s=advertisement.interval_s if word is None else word.interval_s,
        loss=loss,
        ticks=0 if word is None else word.ticks,
    )
