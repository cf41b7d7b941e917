"""One packet through rulesets as ``nft -j list ruleset`` prints them."""

from __future__ import annotations

from typing import Any

import pytest

from lbctl.doctor.firewall import Fate, Packet, fate_of, judge_firewall
from lbctl.doctor.row import Verdict

GREETING = Packet("UDP 8112", "input", "udp", "eth0", 8112)
WEB = Packet("TCP 80", "input", "tcp", "eth0", 80)
CARP = Packet("protocol 112", "output", "vrrp", "eth0")
ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}


def payload(protocol: str, field: str, right: Any, op: str = "==") -> dict[str, Any]:
    left = {"payload": {"protocol": protocol, "field": field}}
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str, right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": right}}


def state(right: Any) -> dict[str, Any]:
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": right}}


def ruleset(
    *rules: list[dict[str, Any]], policy: str = "drop", hook: str = "input", family: str = "inet"
) -> list[dict[str, Any]]:
    """One base chain ``i`` and an empty chain ``sub``."""
    base = {"family": family, "table": "f", "name": "i", "hook": hook, "policy": policy}
    chains = [{"chain": base}, {"chain": {"family": family, "table": "f", "name": "sub"}}]
    return [{"metainfo": {}}, *chains, *(in_chain("i", one, family) for one in rules)]


def in_chain(name: str, expr: list[dict[str, Any]], family: str = "inet") -> dict[str, Any]:
    return {"rule": {"family": family, "table": "f", "chain": name, "expr": expr}}


@pytest.mark.parametrize(
    ("packet", "rules", "fate"),
    [
        (GREETING, [], Fate.DROPPED),
        (GREETING, [[state(["established", "related"]), ACCEPT]], Fate.DROPPED),
        (GREETING, [[state(["established", "new"]), ACCEPT]], Fate.PASSES),
        (GREETING, [[meta("iif", "lo"), ACCEPT]], Fate.DROPPED),
        (GREETING, [[meta("iifname", "eth*"), ACCEPT]], Fate.PASSES),
        (GREETING, [[payload("udp", "dport", 8112), ACCEPT]], Fate.PASSES),
        (GREETING, [[payload("udp", "dport", 8112, "!="), ACCEPT]], Fate.DROPPED),
        (GREETING, [[payload("tcp", "dport", 8112), ACCEPT]], Fate.DROPPED),
        (GREETING, [[payload("th", "dport", {"range": [8000, 9000]}), ACCEPT]], Fate.PASSES),
        (GREETING, [[meta("l4proto", {"set": ["tcp", "udp"]}), ACCEPT]], Fate.PASSES),
        (GREETING, [[payload("ip", "saddr", "10.0.1.12"), ACCEPT]], Fate.PERHAPS),
        (GREETING, [[payload("udp", "dport", "@ok"), ACCEPT]], Fate.PERHAPS),
        (GREETING, [[{"limit": {"rate": 5}}, ACCEPT]], Fate.PERHAPS),
        (GREETING, [[payload("udp", "dport", 8112), {"counter": {}}, ACCEPT]], Fate.PASSES),
        (GREETING, [[{"xt": None}, ACCEPT]], Fate.PERHAPS),
        (WEB, [[payload("tcp", "dport", {"set": [22, {"range": [80, 90]}]}), ACCEPT]], Fate.PASSES),
        (WEB, [[payload("udp", "dport", 8112, "!="), DROP], [ACCEPT]], Fate.PASSES),
        (WEB, [[payload("ip", "saddr", "10.9.9.9"), DROP]], Fate.DROPPED),
    ],
)
def test_a_packet_meets_the_end_that_the_rules_say_where_the_policy_is_drop(
    packet: Packet, rules: list[list[dict[str, Any]]], fate: Fate
) -> None:
    assert fate_of(ruleset(*rules), packet) is fate


def test_carp_to_named_peers_is_dropped_by_an_output_policy_and_let_through_by_name() -> None:
    closed = ruleset(hook="output")
    opened = ruleset([payload("ip", "protocol", "vrrp"), ACCEPT], hook="output")

    assert fate_of(closed, CARP) is Fate.DROPPED
    assert fate_of(opened, CARP) is Fate.PASSES


def test_a_jump_goes_on_behind_it_and_a_goto_does_not() -> None:
    accept = [payload("udp", "dport", 8112), ACCEPT]
    jumped = ruleset([{"jump": {"target": "sub"}}], accept)
    gone = ruleset([{"goto": {"target": "sub"}}], accept)

    assert fate_of(jumped, GREETING) is Fate.PASSES
    assert fate_of(gone, GREETING) is Fate.DROPPED


def test_what_a_chain_that_is_jumped_to_decides_is_final() -> None:
    rules = [*ruleset([{"jump": {"target": "sub"}}], policy="accept"), in_chain("sub", [DROP])]

    assert fate_of(rules, WEB) is Fate.DROPPED


def test_a_verdict_map_decides_by_its_entry_and_otherwise_not_at_all() -> None:
    key = {"payload": {"protocol": "udp", "field": "dport"}}

    def by_map(port: int) -> list[dict[str, Any]]:
        return ruleset([{"vmap": {"key": key, "data": {"set": [[port, ACCEPT]]}}}])

    assert fate_of(by_map(8112), GREETING) is Fate.PASSES
    assert fate_of(by_map(53), GREETING) is Fate.DROPPED


def test_a_map_by_something_unknown_leaves_it_open() -> None:
    key = {"payload": {"protocol": "ip", "field": "saddr"}}
    rules = ruleset([{"vmap": {"key": key, "data": {"set": [["10.0.0.1", ACCEPT]]}}}])

    assert fate_of(rules, GREETING) is Fate.PERHAPS


def test_chains_of_ipv6_and_of_other_hooks_are_in_no_way() -> None:
    assert fate_of(ruleset(family="ip6"), GREETING) is Fate.PASSES
    assert fate_of(ruleset(hook="forward"), GREETING) is Fate.PASSES


def test_a_chain_that_calls_itself_ends() -> None:
    rules = [
        *ruleset([{"jump": {"target": "sub"}}]),
        in_chain("sub", [{"jump": {"target": "sub"}}]),
    ]

    assert fate_of(rules, GREETING) is Fate.PERHAPS


def test_a_dropped_greeting_is_a_warning_with_the_rule_that_lets_it_in() -> None:
    (row,) = judge_firewall(ruleset(), [GREETING])

    assert row.verdict is Verdict.WARN
    assert "UDP 8112 to this host" in row.found
    assert "accept udp dport 8112" in row.advice


def test_without_nft_nothing_is_claimed() -> None:
    (row,) = judge_firewall(None, [GREETING])

    assert row.verdict is Verdict.UNKNOWN


def test_no_rules_are_in_the_way_of_nothing() -> None:
    (row,) = judge_firewall([], [GREETING, WEB])

    assert row.verdict is Verdict.OK
