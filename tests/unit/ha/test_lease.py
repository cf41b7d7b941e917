"""Whether the node may go on holding its addresses."""

from __future__ import annotations

import itertools

import pytest

from lbctl.ha.lease import Evidence, Verdict, verdict
from lbctl.ha.role import Role, RoleName
from lbctl.ha.ucarp import ProcessFacts

ALIVE = ProcessFacts(start=77, is_stopped=False, is_dead=False)
STOPPED = ProcessFacts(start=77, is_stopped=True, is_dead=False)
ZOMBIE = ProcessFacts(start=77, is_stopped=False, is_dead=True)
ANOTHER = ProcessFacts(start=78, is_stopped=False, is_dead=False)

MASTER = Role(RoleName.MASTER, at_ns=1, since=0.0, ucarp_pid=5, ucarp_start=77)
BACKUP = Role(RoleName.BACKUP, at_ns=1, since=0.0, ucarp_pid=5, ucarp_start=77)
INIT = Role(RoleName.INIT, at_ns=0, since=0.0)


@pytest.mark.parametrize("role", [BACKUP, INIT])
@pytest.mark.parametrize("process", [None, ALIVE, STOPPED, ZOMBIE, ANOTHER])
@pytest.mark.parametrize(
    ("peer_speaks", "on_purpose"), list(itertools.product([False, True], repeat=2))
)
def test_who_is_not_master_drops(
    role: Role, process: ProcessFacts | None, peer_speaks: bool, on_purpose: bool
) -> None:
    evidence = Evidence(process, 0.1, peer_speaks=peer_speaks, on_purpose=on_purpose)

    assert verdict(role, evidence, 2.5)[0] is Verdict.DROP


def test_a_master_that_speaks_renews() -> None:
    assert verdict(MASTER, Evidence(ALIVE, 0.9), 2.5) == (Verdict.RENEW, "")


@pytest.mark.parametrize(
    ("process", "silent_s", "doubt"),
    [
        (None, 0.1, "gone"),
        (ZOMBIE, 0.1, "gone"),
        (ANOTHER, 0.1, "gone"),
        (STOPPED, 0.1, "stopped"),
        (ALIVE, 2.6, "no advertisement"),
    ],
)
def test_in_doubt_it_keeps_and_lets_the_lease_decide(
    process: ProcessFacts | None, silent_s: float, doubt: str
) -> None:
    what, why = verdict(MASTER, Evidence(process, silent_s), 2.5)

    assert what is Verdict.KEEP
    assert doubt in why


@pytest.mark.parametrize("process", [None, ZOMBIE, ANOTHER, STOPPED])
def test_in_doubt_a_speaking_peer_ends_it(process: ProcessFacts | None) -> None:
    what, why = verdict(MASTER, Evidence(process, 0.1, peer_speaks=True), 2.5)

    assert what is Verdict.DROP
    assert "peer speaks" in why


def test_a_speaker_stopped_on_purpose_holds_on_until_a_peer_speaks() -> None:
    waiting = Evidence(STOPPED, 1.0, on_purpose=True)
    taken = Evidence(STOPPED, 1.0, peer_speaks=True, on_purpose=True)

    assert verdict(MASTER, waiting, 2.5)[0] is Verdict.RENEW
    assert verdict(MASTER, taken, 2.5)[0] is Verdict.DROP


def test_a_live_speaker_settles_two_masters_itself() -> None:
    evidence = Evidence(ALIVE, 0.2, peer_speaks=True)

    assert verdict(MASTER, evidence, 2.5)[0] is Verdict.RENEW
