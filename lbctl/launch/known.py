"""
What sources of services said last, beside lb.yaml: a start serves it before anybody has been asked,
and a trial judges with it.

The state dir belongs to the unprivileged user: what is read there is judged like any source's word.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from lbctl.discovery.saved import read_all
from lbctl.errors import Problem
from lbctl.follow.merge import OPERATOR, merged
from lbctl.follow.naming import named
from lbctl.haproxy.descriptors import most_maxconn
from lbctl.layout import StateDir
from lbctl.model.service import Snapshot
from lbctl.settings.model import Settings
from lbctl.settings.overlay import overlaid
from lbctl.settings.services import refused
from lbctl.settings.sources import REGISTRY, serving_sources_of


def with_saved(settings: Settings, state: StateDir) -> Settings:
    """*settings* and what the sources that are configured said last; itself, if that is nothing."""
    return with_snapshots(settings, saved(settings, state))


def saved(settings: Settings, state: StateDir) -> list[Snapshot]:
    """What they said last."""
    has_registry = os.path.lexists(state.registry)
    wanted = serving_sources_of(settings, has_registry=has_registry)
    return [one for one in read_all(state) if one.source in wanted]


def unheard(settings: Settings, state: StateDir) -> tuple[str, ...]:
    """The sources whose services are served here, and of which nothing is known."""
    known = {REGISTRY, *(one.source for one in read_all(state))}
    wanted = serving_sources_of(settings, has_registry=False)
    return tuple(one for one in wanted if one not in known)


def with_snapshots(settings: Settings, snapshots: Sequence[Snapshot]) -> Settings:
    """
    All of it as lb.yaml would have it.

    A service that cannot be beside the others is left out: the agent names it.
    """
    if not snapshots:
        return settings
    operators = Snapshot(OPERATOR, settings.services, 0.0)
    names = {host: where for one in snapshots for host, where in one.names.items()}
    found = merged([operators, *snapshots]).services
    services = tuple(named(found, names, settings.discovery.dns.prefer).services.values())
    settings, _ = _overlaid(settings, snapshots)
    bad = refused(services, settings)
    return replace(settings, services=tuple(one for one in services if one.name not in bad))


def ignored(settings: Settings, snapshots: Sequence[Snapshot]) -> tuple[str, ...]:
    """What is wrong with the settings that sources set."""
    _, problems = _overlaid(settings, snapshots)
    return tuple(map(str, problems))


def _overlaid(
    settings: Settings, snapshots: Sequence[Snapshot]
) -> tuple[Settings, tuple[Problem, ...]]:
    texts = {path: text for one in snapshots for path, text in one.settings.items()}
    return overlaid(settings, texts, most_maxconn=most_maxconn())
