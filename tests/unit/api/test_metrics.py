"""``GET /metrics``: lbctl's own figures, and what may be asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lbctl.agent.agent import Agent
from lbctl.api.server import build, serve
from lbctl.follow.apply import Applied
from lbctl.programs import ProgramEvent, ProgramState
from tests.agent_sources import generation
from tests.fakes.vipd import FakeVipd
from tests.pems import issue
from tests.unit.agent.test_agent import new_agent

#: Of a group that a vipd with the native engine keeps.
GROUP: Mapping[str, Any] = {
    "role": "BACKUP",
    "since": 2000.5,
    "vhid": 7,
    "addresses": [{"address": "10.0.1.201/32", "present": False, "lease_s": 0.0}],
    "faults": ["nginx does not run"],
    "can_serve": False,
    "transitions": 3,
    "sent": 17,
    "refused": {"bad digest": 2},
}
PEER: Mapping[str, Any] = {
    "node": "n2", "hostname": "lb2", "address": "10.0.1.12", "seen_s_ago": 1.5, "is_fresh": True,
    "digests": {"lb.yaml": "other"},
}  # fmt: skip


def answered(
    agent: Agent, *urls: str, vipd: Callable[[FakeVipd], None] | None = None
) -> list[tuple[int, str, str]]:
    """Status, content type and body of each of *urls*."""

    async def ask_all() -> list[tuple[int, str, str]]:
        found = []
        agent.run_dir.api.mkdir(exist_ok=True)
        runner = await serve(build(agent), agent.run_dir.api_socket)
        connector = aiohttp.UnixConnector(str(agent.run_dir.api_socket))
        try:
            async with aiohttp.ClientSession(connector=connector) as session:
                for url in urls:
                    async with session.get(f"http://localhost{url}") as answer:
                        kind = answer.headers["Content-Type"]
                        found.append((answer.status, kind, await answer.text()))
        finally:
            await runner.cleanup()
        return found

    async def live() -> list[tuple[int, str, str]]:
        if vipd is None:
            return await ask_all()
        async with FakeVipd(agent.run_dir.vipd_socket) as fake:
            vipd(fake)
            return await ask_all()

    return asyncio.run(live())


def own(
    agent: Agent, vipd: Callable[[FakeVipd], None] | None = None
) -> dict[tuple[str, ...], float]:
    """Every sample of ``?set=own``: the name, then its labels' values in the labels' order."""
    ((status, kind, text),) = answered(agent, "/metrics?set=own", vipd=vipd)

    assert status == 200
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.mark.parametrize(
    "query",
    ["set=all", "set=", "process=", "process=3", "process=x", "x=1", "set=own&process=1",
     "set=own&set=own", "process=%0a", "process=1&process=1"],
)  # fmt: skip
def test_what_is_not_there_cannot_be_asked_for(tmp_path: Path, query: str) -> None:
    ((status, _, text),) = answered(new_agent(tmp_path), f"/metrics?{query}")

    assert status == 400
    assert '"error": "GET /metrics: ' in text


@pytest.mark.parametrize("url", ["/metrics", "/v1/events", "/v1/live"])
def test_what_has_no_end_or_a_price_has_no_head_alone(tmp_path: Path, url: str) -> None:
    async def live() -> int:
        agent = new_agent(tmp_path)
        agent.run_dir.api.mkdir(exist_ok=True)
        runner = await serve(build(agent), agent.run_dir.api_socket)
        connector = aiohttp.UnixConnector(str(agent.run_dir.api_socket))
        try:
            async with aiohttp.ClientSession(connector=connector) as session:
                answer = await asyncio.wait_for(session.head(f"http://localhost{url}"), 5)
                return answer.status
        finally:
            await runner.cleanup()

    assert asyncio.run(live()) == 405


def test_without_haproxy_lbctls_own_are_told_and_the_failure_is_counted(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    first, second = answered(agent, "/metrics", "/metrics")

    assert (first[0], second[0]) == (200, 200)
    assert "\nlbctl_scrape_failures_total 1.0\n" in first[2]
    assert "\nlbctl_scrape_failures_total 2.0\n" in second[2]
    assert "haproxy_process_" not in first[2].replace("lbctl_haproxy_process_", "")


def test_this_node_says_what_it_is_and_how_it_does(tmp_path: Path) -> None:
    agent = new_agent(tmp_path, None)
    agent.table.apply(ProgramEvent("nginx", "nginx", ProgramState.FATAL, ProgramState.BACKOFF))
    agent.run_dir.log.mkdir()
    agent.run_dir.log_counters.write_text('{"dropped": {"nginx": 3}}')
    agent.note("apply", "something", {})
    found = own(agent)

    assert found["lbctl_info", "processes", "2.6.12", "a", "n1", "1"] == 1
    assert found["lbctl_start_timestamp_seconds",] == 0
    assert found["lbctl_ready",] == 0
    assert found["lbctl_warnings",] == 2
    assert found["lbctl_program_up", "nginx"] == 0
    assert found["lbctl_log_dropped_lines_total", "nginx"] == 3
    assert found["lbctl_log_dropped_lines_total", "vipd"] == 0
    assert found["lbctl_events_total", "apply"] == 1
    assert found["lbctl_events_total", "role"] == 0
    assert not any(name.startswith("lbctl_ha_") for name, *_ in found)


def test_a_group_says_its_role_its_addresses_and_its_faults(tmp_path: Path) -> None:
    def tell(vipd: FakeVipd) -> None:
        finding = {"kind": "clock differs", "text": "x", "about": "y"}
        vipd.more = {"groups": [GROUP], "peers": [PEER], "findings": [finding, finding]}

    agent = new_agent(tmp_path)
    agent.events.append("role", "x", {"role": "MASTER", "vhid": 7}, 1500.0)
    agent.events.append("role", "x", {"role": "BACKUP", "vhid": 7}, 2000.0)
    agent.events.append("role", "x", {"role": "MASTER", "vhid": 8}, 1900.0)
    found = own(agent, tell)

    assert found["lbctl_ha_up",] == 1
    assert [found["lbctl_ha_role", role, "7"] for role in ("MASTER", "BACKUP", "INIT")] == [0, 1, 0]
    assert found["lbctl_ha_role_since_timestamp_seconds", "7"] == 2000.5
    assert found["lbctl_ha_last_failover_timestamp_seconds", "7"] == 1500.0
    assert found["lbctl_ha_transitions_total", "7"] == 3
    assert found["lbctl_ha_address_held", "10.0.1.201/32", "7"] == 0
    assert found["lbctl_ha_can_serve", "7"] == 0
    assert found["lbctl_ha_faults", "7"] == 1
    assert found["lbctl_ha_paused",] == 0
    assert found["lbctl_ha_finding", "clock differs"] == 1
    assert found["lbctl_ha_advertisements_sent_total", "7"] == 17
    assert found["lbctl_ha_advertisements_refused_total", "7", "bad digest"] == 2
    assert found["lbctl_ha_peer_up", "lb2"] == 1
    assert found["lbctl_ha_peer_same_configuration", "lb2"] == 0
    assert 0 <= time.time() - 1.5 - found["lbctl_ha_peer_seen_timestamp_seconds", "lb2"] < 5


def test_a_host_that_came_back_as_another_node_is_told_once_as_it_is_now(tmp_path: Path) -> None:
    def tell(vipd: FakeVipd) -> None:
        old = {**PEER, "node": "n0", "is_fresh": False, "seen_s_ago": 90.0}
        vipd.more = {"groups": [GROUP], "peers": [PEER, old]}

    ((_, _, text),) = answered(new_agent(tmp_path), "/metrics?set=own", vipd=tell)

    assert [line for line in text.splitlines() if line.startswith("lbctl_ha_peer_up")] == [
        'lbctl_ha_peer_up{peer="lb2"} 1.0'
    ]


def test_a_master_took_over_when_it_got_its_role(tmp_path: Path) -> None:
    def tell(vipd: FakeVipd) -> None:
        vipd.more = {"groups": [{**GROUP, "role": "MASTER"}]}

    found = own(new_agent(tmp_path), tell)

    assert found["lbctl_ha_last_failover_timestamp_seconds", "7"] == 2000.5


def test_a_vipd_that_is_silent_is_said_to_be_and_nothing_else_of_it(tmp_path: Path) -> None:
    found = own(new_agent(tmp_path))

    assert found["lbctl_ha_up",] == 0
    assert {name for name, *_ in found if name.startswith("lbctl_ha_")} == {"lbctl_ha_up"}


def test_changes_are_counted_with_how_long_they_took(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    agent.follower.tally.count(Applied("reload", took_s=0.2), 5.0)
    agent.follower.tally.count(Applied("runtime", commands=4, took_s=0.003), 6.0)
    found = own(agent)

    assert [found["lbctl_apply_total", did] for did in ("runtime", "reload", "failed")] == [1, 1, 0]
    assert found["lbctl_apply_duration_seconds_bucket", "reload", "0.1"] == 0
    assert found["lbctl_apply_duration_seconds_bucket", "reload", "0.25"] == 1
    assert found["lbctl_apply_duration_seconds_bucket", "reload", "+Inf"] == 1
    assert found["lbctl_apply_duration_seconds_sum", "reload"] == 0.2
    assert found["lbctl_apply_duration_seconds_count", "failed"] == 0
    assert found["lbctl_apply_commands_total",] == 4
    assert found["lbctl_apply_last_timestamp_seconds",] == 6.0
    assert found["lbctl_services", "applied"] == 0
    assert found["lbctl_apply_held",] == 0


def test_refusals_stand_at_zero_from_the_start(tmp_path: Path) -> None:
    found = own(new_agent(tmp_path))
    refused = [value for (name, *_), value in found.items() if name == "lbctl_api_refused_total"]

    assert len(refused) > 3
    assert {*refused} == {0}


def test_each_certificate_says_when_it_ends(tmp_path: Path) -> None:
    issued = issue("example.com")
    agent = new_agent(tmp_path)
    agent.sources.configure(
        replace(
            generation(),
            certs={"site.pem": issued.both, "odd.pem": b"nothing"},
            secrets={"api.tls.cert_file": issued.pem, "api.tls.key_file": issued.key},
        )
    )
    found = own(agent)
    end = issued.certificate.not_valid_after_utc.timestamp()

    name = "lbctl_certificate_not_after_timestamp_seconds"
    assert {key: value for key, value in found.items() if key[0] == name} == {
        (name, "site.pem"): end,
        (name, "api.tls.cert_file"): end,
    }


def test_a_name_with_quotes_backslashes_and_line_feeds_comes_back_as_it_was(tmp_path: Path) -> None:
    name = 'a"b\\c\nd\u00e9.pem'
    agent = new_agent(tmp_path)
    agent.sources.configure(replace(generation(), certs={name: issue("example.com").both}))

    assert ("lbctl_certificate_not_after_timestamp_seconds", name) in own(agent)
