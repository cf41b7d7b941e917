"""
What the registry knows, as services: each judged by the rules of lb.yaml, all beside each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lbctl.model.service import Service
from lbctl.registry.book import Registered, plain_service
from lbctl.settings.discovery import SourceCheck
from lbctl.settings.service_rules import clashes
from lbctl.settings.services import BadService, read_services

NAME: Final = "registry"

#: What was wrong with it, in words, where it is no service.
_Verdict = Service | tuple[str, ...]


class Judge:
    """
    Remembers: one new container among thousands costs its own service alone.

    Args:
        check: HAProxy's, of every server.
    """

    def __init__(self, check: SourceCheck) -> None:
        self._check = check
        self._known: dict[str, tuple[Registered, _Verdict]] = {}

    def services(
        self, registered: Iterable[Registered]
    ) -> tuple[tuple[Service, ...], tuple[str, ...]]:
        """
        Args:
            registered: names differ.

        Returns:
            The good ones by name, and what is wrong with the others. Of two that ask for the same
            requests the one that did so first stays: who comes later takes nothing away.
        """
        ordered = sorted(registered, key=lambda one: (one.since, one.name))
        self._known = {one.name: (one, self._verdict(one)) for one in ordered}
        verdicts = [verdict for _, verdict in self._known.values()]
        problems = [what for one in verdicts if isinstance(one, tuple) for what in one]
        services = [one for one in verdicts if isinstance(one, Service)]
        bad = set()
        for clash in clashes(services):
            bad.add(clash.index)
            problems.append(str(BadService(services[clash.index].name, NAME, clash.what)))
        good = (one for index, one in enumerate(services) if index not in bad)
        return tuple(sorted(good, key=lambda one: one.name)), tuple(problems)

    def _verdict(self, registered: Registered) -> _Verdict:
        before = self._known.get(registered.name)
        if before is not None and (before[0] is registered or before[0] == registered):
            return before[1]
        services, bad = read_services([plain_service(registered, self._check)], NAME)
        return services[0] if services else tuple(str(one) for one in bad)
