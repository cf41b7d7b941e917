"""A thousand services in a real Consul: what it takes to follow them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lbctl.discovery.consul_api import CONNECTIONS
from tests.consul_followed import AT_ONCE_S, followed
from tests.consuls import ConsulAgent, consul

pytestmark = pytest.mark.contract

NODES = 10


def connections(port: int) -> int:
    """Established ones of this process to *port* of loopback."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ours = {
        target[8:-1]
        for one in Path("/proc/self/fd").iterdir()
        if (target := _link(one)).startswith("socket:")
    }
    rows = [line.split() for line in lines]
    peer = f"0100007F:{port:04X}"
    return sum(row[2] == peer and row[3] == "01" and row[9] in ours for row in rows)


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def fill(agent: ConsulAgent, count: int) -> None:
    """So many services, each with two instances on two nodes; the first has a check."""
    services = [_service(number, instance) for number in range(count) for instance in range(2)]
    checks = [_check(number) for number in range(count)]
    nodes = [
        {"Node": {"Verb": "set", "Node": {"Node": f"node{one}", "Address": f"10.1.0.{one + 1}"}}}
        for one in range(NODES)
    ]
    operations = [*nodes, *services, *checks]
    # More do not go into one transaction.
    for start in range(0, len(operations), 64):
        agent.ask("PUT", "/v1/txn", operations[start : start + 64])


def _service(number: int, instance: int) -> dict[str, Any]:
    service = {
        "ID": f"s{number}-{instance}",
        "Service": f"s{number}/v1",
        "Tags": ["rest"],
        "Port": 8000 + instance,
    }
    node = f"node{(number + instance) % NODES}"
    return {"Service": {"Verb": "set", "Node": node, "Service": service}}


def _check(number: int) -> dict[str, Any]:
    identity = f"s{number}-0"
    check = {
        "Node": f"node{number % NODES}",
        "CheckID": f"service:{identity}",
        "Name": "alive",
        "ServiceID": identity,
        "Status": "passing",
    }
    return {"Check": {"Verb": "set", "Check": check}}


def test_a_thousand_services_need_few_connections(tmp_path: Path) -> None:
    """What a check tells of is seen at once; what nothing names is found by asking for all."""
    failing = {"CheckID": "service:s7-0", "ServiceID": "s7-0", "Status": "critical"}
    moved = {"ID": "s7-1", "Service": "s7/v1", "Tags": ["rest"], "Port": 9999}

    async def run(agent: ConsulAgent) -> None:
        async with followed(agent, tmp_path) as found:
            await found.until(lambda: len(found.services) == 1000, 10.0)
            agent.elsewhere("node7", "10.1.0.8", Check={"Name": "alive", **failing})
            said = lambda: found.states("s7/v1")["s7-0"] == "maint"  # noqa: E731
            assert await found.until(said) < AT_ONCE_S
            agent.elsewhere("node8", "10.1.0.9", Service=moved)
            port = lambda: found.servers("s7/v1")["s7-1"].address == "10.1.0.9:9999"  # noqa: E731
            await found.until(port, 2.0 + 2.0)
            assert 4 <= connections(agent.ports[0]) <= CONNECTIONS

    with consul(tmp_path / "consul") as agent:
        fill(agent, 1000)
        asyncio.run(run(agent))
