"""
What it takes to make a running HAProxy process what it is to be.

Pure. A plan is made for one process, from what that process was last told to load and from what it
says of its servers; nothing else is remembered. Hence the invariants, for any two states:

- done in full, the next plan has no steps and no reasons;
- done in part, the next plan does the rest;
- within a backend, what gives service comes before what takes it: a server is there before
  another one goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.around import differences
from lbctl.haproxy.comparison import Draft, Reason, compare
from lbctl.haproxy.seen import Seen, SeenServer
from lbctl.haproxy.steps import RemoveServer, Step
from lbctl.model.address import split_address
from lbctl.model.target import Target, TargetBackend


@dataclass(frozen=True, slots=True)
class Running:
    """
    What is known of one process.

    Attributes:
        loaded: what it was last told, by reload and commands: the file on disk.
        seen: what it says of its servers.
        is_whole: *seen* is everything: a backend that is not in it has no server. Otherwise such a
            backend is taken for what *loaded* says.
    """

    loaded: Target
    seen: Seen = field(default_factory=dict)
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Attributes:
        steps: at run time, in this order; a backend that has a reason has none.
        reasons: why a reload is needed; empty: it is not.
        pending: servers in maintenance that are still to go; tried with each plan.
    """

    steps: tuple[Step, ...] = ()
    reasons: tuple[Reason, ...] = ()
    pending: tuple[RemoveServer, ...] = ()

    @property
    def is_empty(self) -> bool:
        """There is nothing to do but to wait for those who use a server that goes."""
        return not self.steps and not self.reasons


def plan(running: Running, desired: Target, abilities: Abilities) -> Plan:
    """Decide for one process; what did not change costs next to nothing."""
    loaded = running.loaded
    draft = Draft(reasons=[Reason("", what) for what in differences(loaded, desired)])
    nothing: Mapping[str, SeenServer] | None = {} if running.is_whole else None
    for name, backend in desired.backends.items():
        old = loaded.backends.get(name)
        if old is None:
            draft.reasons.append(Reason(name, "the service is new"))
            continue
        seen = running.seen.get(name, nothing)
        if seen is None:
            if old is backend or old == backend:
                continue
            seen = _believed(old)
        draft.add(compare(old, backend, seen, abilities))
    for name in sorted(loaded.backends.keys() - desired.backends.keys()):
        draft.reasons.append(Reason(name, "the service goes"))
    return Plan(
        (*draft.gives, *draft.takes, *draft.leaves),
        tuple(draft.reasons),
        tuple(draft.pending),
    )


def _believed(backend: TargetBackend) -> Mapping[str, SeenServer]:
    """What a process that runs *backend* says of its servers."""
    seen = {}
    for one in backend.servers:
        address, port = split_address(one.address) or ("", 0)
        weight = one.weight
        seen[one.name] = SeenServer(one.id, address, port, one.admin, weight, weight, "on")
    return seen
