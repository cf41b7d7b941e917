"""
Who is MASTER, by CARP's rules, as a pure function of (state, event). No clock, socket or log.

Priority is (advbase, advskew) as ucarp reads it from the wire: lower is better. Between two
masters of equal priority the lower address wins (:func:`address_order`); a backup never takes over
because of its address. Speed is another matter: between native nodes every advertisement is sent
twice per interval, and the dead time follows the interval and the losses that the receiver sees.

What always holds (each line is a test):

1. :class:`Advertise` comes from a MASTER that is neither silenced nor without a link, and leaves
   it in that role. :class:`Resign` comes only from a MASTER that gives way to a better one.
2. :class:`Become` always changes the role; a step has at most one, and it comes before any word.
3. Of two masters that hear each other exactly one gives way, whatever their priorities.
4. A speaking MASTER wants a tick within half an interval, a BACKUP that may take over within its
   dead time; nobody else wants one.
5. A BACKUP takes over for three reasons alone: its master resigned, its master has been silent for
   the dead time, or its master is worse for as long as asked.
6. While paused a node becomes MASTER for two reasons alone: its master resigned, which is
   somebody's will, or it held the addresses itself (or has just started) and hears nobody. And a
   fault does not change what a node claims.
7. A node that was stopped (:class:`Stalled`) is no MASTER after it, and says nothing in that step.
8. A silenced node (leaving) sends nothing, and nothing that it hears changes its role.
9. No advertisement, however strange, raises or ends anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from socket import AF_INET, inet_pton

from lbctl.ha.carp import RESIGNATION_ADVBASE
from lbctl.ha.election_words import (
    NEVER,
    Action,
    Advertise,
    Become,
    Event,
    Hear,
    Heard,
    Left,
    LinkDown,
    LinkUp,
    Pause,
    Resign,
    Rules,
    SetAdvskew,
    Silence,
    Speak,
    Stalled,
    Start,
    State,
    Stop,
    Tick,
)
from lbctl.ha.role import RoleName
from lbctl.ha.ucarp import FAULTY_ADVSKEW
from lbctl.spec import native_dead_time_s

#: The chance that a living master is taken for dead, at each of its packets.
_FALSE_ALARM = 1e-6
_STRETCH_MAX = 4


Step = tuple[State, tuple[Action, ...]]


def first(advskew: int, now: float, *, is_holder: bool = True) -> State:
    """
    The state before :class:`Start`.

    Args:
        is_holder: false for a process that takes up the work of one that was BACKUP.
    """
    return State(RoleName.INIT, advskew, worth=advskew, heard_at=now, is_holder=is_holder)


def step(rules: Rules, state: State, event: Event, now: float) -> Step:
    """
    The next state, and what is to be done, in this order.

    Args:
        now: monotonic seconds; never less than in the step before.
    """
    match event:
        case Tick():
            return _tick(rules, state, now)
        case Hear(heard):
            return _hear(rules, state, heard, now)
        case SetAdvskew(advskew):
            return _claim(rules, replace(state, worth=advskew), now)
        case Pause(on):
            return _claim(rules, replace(state, is_paused=on), now)
        case _:
            return _STEPS[type(event)](rules, state, now)


def dead_time_s(rules: Rules, advskew: int, master: Heard | None) -> float:
    """
    How long *master* may be silent, seconds; None: nobody was heard yet.

    A ucarp is given what ucarp itself would give it. A native one is dead when one packet less is
    missing than *dead_ratio* intervals hold, the last of them by up to 3 ms. Where packets of it
    are lost anyway, so many must be missing that chance alone does not take them; at most four
    times as many.
    """
    if master is None:
        return rules.dead_ratio * rules.interval_s
    if not master.is_native:
        return rules.dead_ratio * (rules.advbase_s + advskew / 256)
    return stretched_s(rules.dead_ratio, master.interval_s, master.loss)


def stretched_s(dead_ratio: int, interval_s: float, loss: float) -> float:
    """The dead time of a native master that sends every *interval_s*, where *loss* (0..1) is."""
    packets = 2 * dead_ratio - 1
    if loss > 0:
        likely = math.ceil(math.log(_FALSE_ALARM) / math.log(min(loss, 0.99)))
        packets = min(max(packets, likely), _STRETCH_MAX * packets)
    return native_dead_time_s(packets, interval_s)


def address_order(source: str) -> bytes:
    """
    What orders equal masters: the address from its last byte to its first.

    ucarp compares two words that are in network byte order as if they were the host's, and all
    hosts that matter are little-endian.
    """
    return inet_pton(AF_INET, source)[::-1]


def yields(rules: Rules, advskew: int, rival: Heard) -> bool:
    """Whether a MASTER that claims *advskew* gives way to the master *rival*."""
    own, other = (rules.advbase_s, advskew), (rival.advbase, rival.advskew)
    if own == other:
        return address_order(rival.source) < address_order(rules.source)
    return other < own


def _become(state: State, role: RoleName, why: str) -> Step:
    if state.role is role:
        return state, ()
    is_holder = state.is_holder or role is RoleName.MASTER
    became = replace(state, role=role, better_since=NEVER, is_holder=is_holder)
    return became, (Become(role, why),)


def _step_back(state: State, why: str) -> Step:
    """BACKUP, when this was MASTER; *state* says the rest."""
    if state.role is not RoleName.MASTER:
        return replace(state, better_since=NEVER), ()
    return _become(state, RoleName.BACKUP, why)


def _listen(rules: Rules, state: State) -> State:
    """With the tick that a BACKUP wants."""
    if not state.may_take_over:
        return replace(state, due=NEVER)
    due = state.heard_at + dead_time_s(rules, state.advskew, state.master)
    return replace(state, due=min(due, state.better_since + rules.failback_s))


def _advertise(rules: Rules, state: State, now: float) -> Step:
    return replace(state, sent_at=now, due=now + rules.period_s), (Advertise(),)


def _take_over(rules: Rules, state: State, why: str, now: float) -> Step:
    # The address first, then the word: a leaving node removes its own when it hears us.
    became, actions = _become(state, RoleName.MASTER, why)
    speaking, words = _advertise(rules, became, now)
    return speaking, (*actions, *words)


def _start(rules: Rules, state: State, now: float) -> Step:
    if state.role is not RoleName.INIT:
        return state, ()
    became, actions = _become(replace(state, heard_at=now), RoleName.BACKUP, "just started")
    return _listen(rules, became), actions


def _tick(rules: Rules, state: State, now: float) -> Step:
    if state.may_speak:
        return _tick_master(rules, state, now)
    listening = _listen(rules, state)
    if now < listening.due:
        return listening, ()
    master = state.master
    if now >= state.better_since + rules.failback_s and master is not None:
        return _take_over(rules, listening, _worse(master), now)
    why = "no other master heard"
    if master is not None:
        why = f"{master.source} silent for {now - state.heard_at:.3f} s"
    return _take_over(rules, listening, why, now)


def _tick_master(rules: Rules, state: State, now: float) -> Step:
    if now < state.due:
        return state, ()
    # On schedule, so that late timers do not add up; but nothing is made up for.
    due = max(state.due, now - rules.period_s / 2) + rules.period_s
    return replace(state, sent_at=now, due=due), (Advertise(),)


def _hear(rules: Rules, state: State, heard: Heard, now: float) -> Step:
    if state.role is RoleName.INIT or not state.has_link:
        return state, ()
    if heard.is_resignation:
        return _hear_resignation(rules, state, heard, now)
    if heard.advbase == RESIGNATION_ADVBASE:
        return state, ()  # meant for a ucarp, which shall count on from it
    if state.role is RoleName.MASTER:
        return _hear_rival(rules, state, heard, now)
    return _hear_master(rules, state, heard, now)


def _hear_resignation(rules: Rules, state: State, heard: Heard, now: float) -> Step:
    if state.master is not None and state.master.source != heard.source:
        return state, ()  # somebody else serves already
    if state.role is RoleName.MASTER:
        return replace(state, master=None), ()
    if not state.may_listen:
        return state, ()
    return _take_over(rules, replace(state, master=None), f"{heard.source} resigned", now)


def _hear_rival(rules: Rules, state: State, heard: Heard, now: float) -> Step:
    noted = replace(state, master=heard, heard_at=now)
    if state.is_silent:
        return noted, ()
    if yields(rules, state.advskew, heard):
        lost = replace(noted, is_holder=False)
        became, actions = _become(lost, RoleName.BACKUP, _better(heard))
        return _listen(rules, became), (*actions, Resign(1))
    if now - state.sent_at < rules.period_s / 2:
        return noted, ()  # it has just been told
    return _advertise(rules, noted, now)


def _hear_master(rules: Rules, state: State, heard: Heard, now: float) -> Step:
    known = state.master
    if known is not None and known.source != heard.source:
        is_alive = now < state.heard_at + dead_time_s(rules, state.advskew, known)
        if is_alive and _priority(known) < _priority(heard):
            return state, ()  # two masters: the worse one is about to give way
    own = (rules.advbase_s, state.advskew)
    is_better = own < (heard.advbase, heard.advskew) and not state.is_paused
    since = min(state.better_since, now) if is_better else NEVER
    heard_one = replace(state, master=heard, heard_at=now, better_since=since, is_holder=False)
    noted = _listen(rules, heard_one)
    if not is_better or not noted.may_take_over:
        return noted, ()
    if heard.advskew >= FAULTY_ADVSKEW or now >= since + rules.failback_s:
        return _take_over(rules, noted, _worse(heard), now)
    return noted, ()


def _priority(heard: Heard) -> tuple[int, int, bytes]:
    return heard.advbase, heard.advskew, address_order(heard.source)


def _claim(rules: Rules, state: State, now: float) -> Step:
    """After a change of worth or of the pause."""
    changed = state if state.is_paused else replace(state, advskew=state.worth)
    if changed.may_speak:
        if changed.advskew == state.advskew:
            return changed, ()
        return _advertise(rules, changed, now)
    if changed.is_paused or not _is_better(rules, changed):
        changed = replace(changed, better_since=NEVER)
    return _listen(rules, changed), ()


def _is_better(rules: Rules, state: State) -> bool:
    master = state.master
    own = (rules.advbase_s, state.advskew)
    return master is not None and own < (master.advbase, master.advskew)


def _link_up(rules: Rules, state: State, now: float) -> Step:
    if state.has_link:
        return state, ()
    return _listen(rules, replace(state, has_link=True, heard_at=now)), ()


def _stalled(rules: Rules, state: State, now: float) -> Step:
    # What was heard before is old; a backup has not listened either.
    fresh = replace(state, heard_at=now)
    back, actions = _step_back(fresh, "this process stood still")
    return _listen(rules, back), actions


def _stop(rules: Rules, state: State, now: float) -> Step:
    del rules, now
    stopped = replace(state, due=NEVER, is_silent=False, master=None)
    return _become(stopped, RoleName.INIT, "the bundle stops")


def _link_down(rules: Rules, state: State, now: float) -> Step:
    del rules, now
    return _step_back(replace(state, due=NEVER, has_link=False), "the link is down")


def _silence(rules: Rules, state: State, now: float) -> Step:
    del rules, now
    # What is heard from now on, by a MASTER, is its successor.
    heard_at = -NEVER if state.role is RoleName.MASTER else state.heard_at
    return replace(state, is_silent=True, due=NEVER, heard_at=heard_at), ()


def _speak(rules: Rules, state: State, now: float) -> Step:
    if not state.is_silent:
        return state, ()
    speaking = replace(state, is_silent=False)
    successor = state.master
    if not speaking.may_speak:
        return _listen(rules, replace(speaking, heard_at=max(now, state.heard_at))), ()
    dead_s = dead_time_s(rules, state.advskew, successor)
    if successor is not None and now < state.heard_at + dead_s:
        lost = replace(speaking, is_holder=False)
        back, actions = _step_back(lost, f"{successor.source} has taken over")
        return _listen(rules, back), actions
    return _advertise(rules, speaking, now)


def _left(rules: Rules, state: State, now: float) -> Step:
    is_alone = state.heard_at == -NEVER  # nobody has taken over: give it a dead time
    left = replace(state, is_silent=False, is_holder=state.is_holder and is_alone)
    if is_alone:
        left = replace(left, heard_at=now)
    back, actions = _step_back(left, "handover")
    return _listen(rules, back), actions


def _better(heard: Heard) -> str:
    return f"{heard.source} speaks with advskew {heard.advskew}"


def _worse(heard: Heard) -> str:
    return f"{heard.source} speaks with advskew {heard.advskew}, which is worse"


_STEPS: Mapping[type[Event], Callable[[Rules, State, float], Step]] = {
    Start: _start,
    Stop: _stop,
    LinkDown: _link_down,
    LinkUp: _link_up,
    Stalled: _stalled,
    Silence: _silence,
    Speak: _speak,
    Left: _left,
}
