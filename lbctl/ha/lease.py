"""
Whether this node may go on holding its addresses. Pure.

An address is a lease: the kernel takes it away three seconds after the last renewal. So the
question is asked every second, and the answer rests on evidence only: the speaker that became
MASTER is alive, not stopped, and its advertisements leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lbctl.ha.role import Role, RoleName
from lbctl.ha.ucarp import ProcessFacts

#: What the kernel is told, seconds (``valid_lft``); it acts 3.0 to 3.3 s after a renewal.
LEASE_S = 3
#: How often a lease is renewed, seconds.
RENEW_S = 1.0


class Verdict(StrEnum):
    """What to do with the addresses now."""

    RENEW = "renew"
    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    What is known of the speaker.

    Attributes:
        process: the process that spoke last, None when it is gone.
        silent_s: seconds since its last advertisement left, or since it became MASTER.
        peer_speaks: a peer's genuine advertisement came after ours.
        on_purpose: vipd itself stopped the speaker and nobody else has taken over: hold on.
    """

    process: ProcessFacts | None
    silent_s: float
    peer_speaks: bool = False
    on_purpose: bool = False


def verdict(role: Role, evidence: Evidence, patience_s: float) -> tuple[Verdict, str]:
    """
    Renew on evidence; in doubt keep, which the lease bounds; drop what is not ours.

    Args:
        role: the word on record.
        evidence: see there.
        patience_s: a speaker silent for longer than this does not get its message out.

    Returns:
        The verdict, and the reason for people; empty when all is well.
    """
    return judge(
        role,
        _doubt(role, evidence, patience_s),
        peer_speaks=evidence.peer_speaks,
        on_purpose=evidence.on_purpose,
    )


def judge(
    role: Role, doubt: str, *, peer_speaks: bool = False, on_purpose: bool = False
) -> tuple[Verdict, str]:
    """
    The same of any speaker.

    Args:
        role: the word on record.
        doubt: why it may not hold any more; empty: nothing speaks against it.
        peer_speaks: see :class:`Evidence`.
        on_purpose: see :class:`Evidence`.
    """
    if role.name is not RoleName.MASTER:
        return Verdict.DROP, ""
    if not doubt:
        return Verdict.RENEW, ""
    if peer_speaks:
        return Verdict.DROP, f"{doubt}, and a peer speaks as MASTER"
    if on_purpose:
        return Verdict.RENEW, ""
    return Verdict.KEEP, doubt


def _doubt(role: Role, evidence: Evidence, patience_s: float) -> str:
    process = evidence.process
    if process is None or process.is_dead or process.start != role.ucarp_start:
        return "the speaker is gone"
    if process.is_stopped:
        return "the speaker is stopped"
    if evidence.silent_s > patience_s:
        return f"no advertisement has left for {evidence.silent_s:.1f} s"
    return ""
