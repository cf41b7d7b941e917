"""
``python -I -m lbctl.bundle.supervisord -c CONF``: supervisord, awake when something happens.

Supervisor's loop sleeps in poll(2) for up to a second, and each turn runs poll, transition, reap,
handle_signal in that order. Since Python repeats an interrupted poll (PEP 475), SIGCHLD does not
end the sleep, and what one turn reaps only a later turn starts again. Measured with supervisor 4.3:
the first program starts 1.0 s after supervisord, a dead one again after 1.0 s, programs stop in
steps of a second, and a listener hears of it after the next sleep. With the wake-up: 0.1 s (all of
it Python's own start), 5 ms, and 1 ms for each program.

Nothing of supervisor is patched. It polls whatever lies in its public socket map, and a
:class:`Wakeup` lies there: a pipe with a byte for

- each signal, by ``signal.set_wakeup_fd``; *n* of them need *n* + 1 turns: a turn handles one;
- each event, by ``supervisor.events.subscribe``, so that listeners are told in the next turn;
- each deadline (startsecs, the delay of BACKOFF, stopwaitsecs), by an interval timer;
- the start, so that the first turn starts the programs.

A second lack is mended beside it: between fork and exec a child has supervisor's own handlers, so
that a SIGTERM in these few milliseconds is lost, and the program is killed only after stopwaitsecs.
Signals are blocked across the fork, and unblocked in the child once they have their default effect.

SIGHUP, for supervisord the word to stop and start everything, is the operator's word to read his
files again here: the agent gets it.

Its descriptors lie above the ones that supervisor closes in its children and on SIGHUP.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from supervisor import events
from supervisor.loggers import LevelsByName
from supervisor.medusa import asyncore_25
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.supervisord import Supervisor

FIRST_DESCRIPTOR = 64

#: What supervisor handles (its ``setsignals``), and our timer.
HANDLED = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGHUP,
        signal.SIGCHLD,
        signal.SIGUSR2,
        signal.SIGALRM,
    }
)

#: Supervisor asks whether a deadline lies behind, not whether it is reached.
PAST_S = 0.01

EVENTS = (events.ProcessStateEvent, events.SupervisorStateChangeEvent)
WAITING = (ProcessStates.STARTING, ProcessStates.BACKOFF, ProcessStates.STOPPING)

#: Who gets SIGHUP.
AGENT = "agent"


class Wakeup:
    """A member of supervisor's socket map; the methods are the ones its loop calls."""

    def __init__(self) -> None:
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.descriptor = _moved(reader)
        self._writer = _moved(writer)
        self._turns = 0
        self._deadlines: dict[str, float] = {}

    def install(self) -> None:
        """Take the signals' bytes; supervisor sets the handlers itself, but for SIGALRM."""
        asyncore_25.socket_map[self.descriptor] = self
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGALRM, lambda *_: None)
        self._next_turn()

    def readable(self) -> bool:
        """Called before each poll: here the timer is set, and events are asked for once."""
        for event in EVENTS:
            if (event, self._on_event) not in events.callbacks:
                events.subscribe(event, self._on_event)  # type: ignore[no-untyped-call]
        self._set_timer()
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        try:
            signals = sum(1 for number in os.read(self.descriptor, 512) if number)
        except BlockingIOError:
            return
        self._turns = max(self._turns - 1, signals + 1 if signals else 0)
        if self._turns > 0:
            self._next_turn()

    def handle_write_event(self) -> None:
        """Never called: it is never writable."""

    def handle_error(self) -> None:
        """Called when another method raised; without a wake-up the loop is slow, not wrong."""

    def _next_turn(self) -> None:
        try:
            os.write(self._writer, b"\0")
        except BlockingIOError:  # full, so that the next poll ends at once anyway
            return

    def _on_event(self, event: Any) -> None:
        process = getattr(event, "process", None)
        if process is not None:
            self._note_deadline(process)
        self._next_turn()

    def _note_deadline(self, process: Any) -> None:
        if process.state not in WAITING:
            self._deadlines.pop(process.config.name, None)
        elif process.state == ProcessStates.STARTING:
            self._deadlines[process.config.name] = process.laststart + process.config.startsecs
        else:
            self._deadlines[process.config.name] = process.delay

    def _set_timer(self) -> None:
        # One that is past and still there is left to the turn of each second: no busy loop.
        now = time.time()
        ahead = [deadline - now for deadline in self._deadlines.values() if deadline >= now]
        signal.setitimer(signal.ITIMER_REAL, min(ahead) + PAST_S if ahead else 0.0)


class Options(ServerOptions):
    """Supervisor's own; its loop never hears of a SIGHUP, and somebody else does."""

    on_hangup: Callable[[], None]

    def get_signal(self) -> int | None:
        """The next signal for the loop; of one kind there is never more than one."""
        number: int | None = super().get_signal()  # type: ignore[no-untyped-call]
        if number != signal.SIGHUP:
            return number
        self.on_hangup()
        return None


def pass_on(bundle: Supervisor) -> None:
    """The operator's word, to the agent."""
    options = bundle.options
    say = options.logger.log
    if options.mood != SupervisorStates.RUNNING:
        say(LevelsByName.WARN, "SIGHUP: the bundle stops, so that no file is read again")
        return
    group = bundle.process_groups.get(AGENT)
    pid = group.processes[AGENT].pid if group is not None else 0
    if not pid:
        what = "SIGHUP: there is no agent that could read the files again; send it once more later"
        say(LevelsByName.WARN, what)
        return
    say(LevelsByName.INFO, f"SIGHUP: passed on to the agent, pid {pid}")
    options.kill(pid, signal.SIGHUP)


def let_children_take_signals() -> None:
    """From now on a forked child obeys signals from its first moment."""

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def unblock_with_default_effect() -> None:
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        unblock()

    os.register_at_fork(
        before=block, after_in_parent=unblock, after_in_child=unblock_with_default_effect
    )


def _moved(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
    os.close(descriptor)
    return moved


def main() -> None:
    """As supervisord's own, with its arguments; returns when the bundle has stopped."""
    # It says what matters in its log. What its HTTP library prints, when a client goes away before
    # the answer, would be the one line of the output without a program's name.
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    Wakeup().install()
    let_children_take_signals()
    _supervise()


def _supervise() -> None:
    """As ``supervisor.supervisord.main``, whose loop begins anew when a client asks for that."""
    is_first, mood = True, SupervisorStates.RESTARTING
    while mood >= SupervisorStates.RESTARTING:
        options: Any = Options()  # type: ignore[no-untyped-call]
        options.realize(None, doc=__doc__)
        options.first, options.test = is_first, False
        bundle = Supervisor(options)  # type: ignore[no-untyped-call]
        options.on_hangup = partial(pass_on, bundle)
        with contextlib.suppress(asyncore_25.ExitNow):
            bundle.main()  # type: ignore[no-untyped-call]
        options.close_httpservers()
        options.close_logger()
        is_first, mood = False, options.mood


if __name__ == "__main__":
    main()
