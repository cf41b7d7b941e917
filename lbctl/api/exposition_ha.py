"""Figures of the virtual addresses: roles, faults, the other node, what was said and refused."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client.core import Metric

from lbctl.api.exposition_part import Part, Sample, View, counters, gauge, gauges

_ROLES: Final = ("MASTER", "BACKUP", "INIT")

#: A group as the status has it.
_Group = Mapping[str, Any]


def _ha(view: View) -> Iterator[Metric]:
    if view.agent.vipd is None:
        return
    status = view.status["ha"]
    yield gauge("ha_up", "1: vipd answers.", status is not None)
    if status is None:
        return
    yield gauge("ha_paused", "1: nothing moves by itself.", bool(status.get("paused")))
    kinds = dict.fromkeys(one["kind"] for one in status.get("findings", ()))
    words = "1: this is wrong between the nodes."
    yield gauges("ha_finding", words, ["kind"], [((kind,), 1) for kind in kinds])
    groups = status.get("groups", ())
    yield from _roles(view, groups)
    yield from _health(groups)
    yield from _peers(status.get("peers", ()), view.status["digests"])


def _roles(view: View, groups: Sequence[_Group]) -> Iterator[Metric]:
    roles: list[Sample] = [
        ((_vhid(one), role), one["role"] == role) for one in groups for role in _ROLES
    ]
    yield gauges("ha_role", "1: the role of this node.", ["vhid", "role"], roles)
    words = "Since when it has its role."
    since = [((_vhid(one),), one["since"]) for one in groups if one["since"]]
    yield gauges("ha_role_since_timestamp_seconds", words, ["vhid"], since)
    words = "Changes of role in the life of vipd."
    moves = [((_vhid(one),), one["transitions"]) for one in groups if "transitions" in one]
    yield counters("ha_transitions", words, ["vhid"], moves)
    words = "When this node last became MASTER."
    last = [((_vhid(one),), at) for one in groups if (at := _became_master(view, one))]
    yield gauges("ha_last_failover_timestamp_seconds", words, ["vhid"], last)


def _became_master(view: View, group: _Group) -> float:
    """0: not known."""
    if group["role"] == "MASTER":
        return float(group["since"])
    wanted = ("role", "MASTER", group["vhid"])
    for event in reversed(view.agent.events.since(0)):
        if (event.kind, event.fields.get("role"), event.fields.get("vhid")) == wanted:
            return event.at
    return 0.0


def _health(groups: Sequence[_Group]) -> Iterator[Metric]:
    held = [
        ((_vhid(one), address["address"]), address["present"])
        for one in groups
        for address in one.get("addresses", ())
    ]
    words = "1: this node has the address."
    yield gauges("ha_address_held", words, ["vhid", "address"], held)
    words = "1: the other node may count on this one."
    able = [((_vhid(one),), one["can_serve"]) for one in groups if "can_serve" in one]
    yield gauges("ha_can_serve", words, ["vhid"], able)
    faults = [((_vhid(one),), len(one.get("faults", ()))) for one in groups]
    yield gauges("ha_faults", "Reasons to give way.", ["vhid"], faults)
    sent = [((_vhid(one),), one["sent"]) for one in groups if "sent" in one]
    words = "Advertisements sent (engine native)."
    yield counters("ha_advertisements_sent", words, ["vhid"], sent)
    refused = [
        ((_vhid(one), why), count)
        for one in groups
        for why, count in one.get("refused", {}).items()
    ]
    words = "Packets that were not believed, by reason."
    yield counters("ha_advertisements_refused", words, ["vhid", "why"], refused)


def _peers(peers: Sequence[Mapping[str, Any]], digests: Mapping[str, str]) -> Iterator[Metric]:
    now = time.time()
    by_name: dict[str, Mapping[str, Any]] = {}
    for one in peers:
        # A host that came back as another node is known twice for an hour, the freshest first.
        by_name.setdefault(one["hostname"] or one["node"] or one["address"], one)
    named = [((name,), one) for name, one in by_name.items()]
    up = [(name, one["is_fresh"]) for name, one in named]
    yield gauges("ha_peer_up", "1: the other node is heard.", ["peer"], up)
    seen = [(name, now - one["seen_s_ago"]) for name, one in named]
    words = "When the other node was last heard."
    yield gauges("ha_peer_seen_timestamp_seconds", words, ["peer"], seen)
    same = [(name, dict(one["digests"]) == dict(digests)) for name, one in named if one["digests"]]
    words = "1: it has the same configuration."
    yield gauges("ha_peer_same_configuration", words, ["peer"], same)


def _vhid(group: _Group) -> str:
    return str(group["vhid"])


PARTS: tuple[Part, ...] = (_ha,)
