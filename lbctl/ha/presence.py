"""Who is there and what is wrong between the nodes, told once at its beginning and at its end."""

from __future__ import annotations

from lbctl.ha.findings import Finding, Ledger, View, judge
from lbctl.ha.journal import Journal
from lbctl.ha.neighbour import Neighbour

#: Five greetings in a row: on a lossy link no host comes and goes.
SILENT_S = 5.5


class Presence:
    """The findings, and their events (kind ``peer``)."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._ledger = Ledger()
        self._there: dict[tuple[str, str], Neighbour] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self._ledger.findings

    @property
    def is_busy(self) -> bool:
        """Something seems to be wrong: look again soon."""
        return self._ledger.is_busy

    def turn(self, view: View) -> None:
        """Judge, and tell what is new and what is over."""
        self._look_who_is_there(view)
        begun, over = self._ledger.turn(judge(view), view.now)
        for finding in begun:
            self._tell(f"{finding.kind}: {finding.text}", finding, "begun")
        for finding in over:
            self._tell(f"over: {finding.kind}: {finding.text}", finding, "over")

    def _tell(self, text: str, finding: Finding, state: str) -> None:
        self._journal.note(
            "peer", text, finding=finding.kind, about=finding.about, finding_state=state
        )

    def _look_who_is_there(self, view: View) -> None:
        heard = {
            (one.node, one.address): one
            for one in view.neighbours
            if view.now - one.seen <= SILENT_S
        }
        for name, one in heard.items():
            before = self._there.get(name)
            if before is None or before.session != one.session:
                anew = "" if before is None else ", started anew"
                text = f"{one.name} greets{anew}: lbctl {one.version}, {one.engine}"
                self._journal.note("peer", text, source=one.address, node=one.node)
        for name, one in self._there.items():
            if name not in heard:
                text = f"{one.name} has fallen silent"
                self._journal.note("peer", text, source=one.address, node=one.node)
        self._there = heard
