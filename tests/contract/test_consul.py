"""The provider ``consul`` against a real Consul: what it hears of, and how soon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.consul_followed import AT_ONCE_S, Followed, followed
from tests.consuls import ConsulAgent, consul

pytestmark = pytest.mark.contract

Act = Callable[[Followed], Awaitable[None]]


@pytest.fixture(name="agent", scope="module")
def _agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulAgent]:
    with consul(tmp_path_factory.mktemp("consul")) as agent:
        yield agent


@pytest.fixture(name="clean", autouse=True)
def _clean(agent: ConsulAgent) -> Iterator[None]:
    """What a test has registered is gone after it."""
    yield
    for name in agent.ask("GET", "/v1/agent/services"):
        agent.deregister(name)
    for node in agent.ask("GET", "/v1/catalog/nodes"):
        if node["Node"] != "consul-host":
            agent.ask("PUT", "/v1/catalog/deregister", {"Node": node["Node"]})
    agent.ask("DELETE", "/v1/kv/?recurse")


def play(agent: ConsulAgent, state: Path, act: Act, **settings: object) -> None:
    """Follow *agent* with ``hello/v1`` in it, and act."""

    async def run() -> None:
        async with followed(agent, state, **settings) as found:  # type: ignore[arg-type]
            await found.until(lambda: "hello/v1" in found.services)
            await act(found)

    agent.register("hello/v1", "h1", 8001)
    asyncio.run(run())


def test_a_service_gets_its_path_its_mode_and_its_check(agent: ConsulAgent, tmp_path: Path) -> None:
    async def act(found: Followed) -> None:
        service = found.services["hello/v1"]

        assert service.mode == "http"
        assert [(one.path, one.strip) for one in service.all_routes] == [("/hello/v1", True)]
        assert service.check is not None
        assert (service.check.kind, service.check.method) == ("http", "HEAD")
        assert (service.check.path, service.check.host) == ("/", "localhost")
        assert found.servers()["h1"].address == "127.0.0.1:8001"

    play(agent, tmp_path, act)


def test_instances_come_and_go_at_once(agent: ConsulAgent, tmp_path: Path) -> None:
    async def act(found: Followed) -> None:
        agent.register("hello/v1", "h2", 8002)
        assert await found.until(lambda: {*found.servers()} == {"h1", "h2"}) < AT_ONCE_S
        agent.register("hello/v1", "h2", 8003)
        moved = lambda: found.servers()["h2"].address == "127.0.0.1:8003"  # noqa: E731
        assert await found.until(moved) < AT_ONCE_S
        agent.deregister("h1")
        assert await found.until(lambda: {*found.servers()} == {"h2"}) < AT_ONCE_S
        agent.deregister("h2")
        await found.until(lambda: found.state.state == "doubted")
        assert {*found.servers()} == {"h2"}

    play(agent, tmp_path, act)


def test_only_what_passes_serves(agent: ConsulAgent, tmp_path: Path) -> None:
    async def act(found: Followed) -> None:
        agent.register("hello/v1", "h2", 8002, Check={"TTL": "60s"})
        for verdict, state in (("fail", "maint"), ("pass", "ready"), ("warn", "maint")):
            agent.check("h2", verdict)
            took = await found.until(lambda state=state: found.states().get("h2") == state)  # type: ignore[misc]
            assert took < AT_ONCE_S, verdict
            assert found.states()["h1"] == "ready"

    play(agent, tmp_path, act)


def test_a_warning_serves_where_that_is_wanted(agent: ConsulAgent, tmp_path: Path) -> None:
    async def act(found: Followed) -> None:
        weights = {"Passing": 4, "Warning": 1}
        agent.register("hello/v1", "h2", 8002, Check={"TTL": "60s"}, Weights=weights)
        agent.check("h2", "pass")
        await found.until(lambda: "h2" in found.servers() and found.servers()["h2"].weight == 256)
        assert found.servers()["h1"].weight == 64
        agent.check("h2", "warn")
        await found.until(lambda: found.servers()["h2"].weight == 100)
        assert found.states() == {"h1": "ready", "h2": "ready"}

    play(agent, tmp_path, act, passing=False)


@pytest.mark.parametrize("path", ["/v1/agent/service/maintenance/h1", "/v1/agent/maintenance"])
def test_maintenance_drains(agent: ConsulAgent, tmp_path: Path, path: str) -> None:
    async def act(found: Followed) -> None:
        agent.ask("PUT", f"{path}?enable=true&reason=new%20disk")
        try:
            assert await found.until(lambda: found.states() == {"h1": "drain"}) < AT_ONCE_S
        finally:
            agent.ask("PUT", f"{path}?enable=false")
        assert await found.until(lambda: found.states() == {"h1": "ready"}) < AT_ONCE_S

    play(agent, tmp_path, act)


def test_instances_of_other_nodes_serve_beside_each_other(
    agent: ConsulAgent, tmp_path: Path
) -> None:
    async def act(found: Followed) -> None:
        for node, address in (("web1", "10.0.0.1"), ("web2", "10.0.0.2"), ("web6", "fd00::6")):
            service = {"Service": "hello/v1", "ID": "hello", "Port": 80, "Tags": ["rest"]}
            agent.elsewhere(node, address, Service=service)
        await found.until(lambda: len(found.servers()) == 4)
        addresses = {key: one.address for key, one in found.servers().items()}
        assert addresses == {
            "h1": "127.0.0.1:8001",
            "hello": "10.0.0.1:80",
            "web2:hello": "10.0.0.2:80",
            "web6:hello": "[fd00::6]:80",
        }
        agent.elsewhere("web1", "10.0.0.9")
        moved = lambda: found.servers()["hello"].address == "10.0.0.9:80"  # noqa: E731
        assert await found.until(moved) < AT_ONCE_S

    play(agent, tmp_path, act)


def test_nodes_that_consul_has_lost_sight_of_stay(agent: ConsulAgent, tmp_path: Path) -> None:
    service = {"Service": "lost/v1", "ID": "l", "Port": 80, "Tags": ["rest"]}
    serf = {"CheckID": "serfHealth", "Name": "serf", "Status": "passing"}

    async def act(found: Followed) -> None:
        for node in ("web1", "web2"):
            agent.elsewhere(node, f"10.0.0.{node[-1]}", Service=service, Check=serf)
        await found.until(lambda: len(found.servers("lost/v1")) == 2)
        agent.elsewhere("web1", "10.0.0.1", Check={**serf, "Status": "critical"})
        await found.until(lambda: found.states("lost/v1")["l"] == "maint")
        agent.elsewhere("web2", "10.0.0.2", Check={**serf, "Status": "critical"})
        await found.until(lambda: found.snapshots[-1].problems)
        assert set(found.states("lost/v1").values()) == {"ready"}
        assert "hears of none of the nodes" in found.snapshots[-1].problems[0]

    play(agent, tmp_path, act)


def test_keys_set_what_lb_yaml_sets(agent: ConsulAgent, tmp_path: Path) -> None:
    async def act(found: Followed) -> None:
        agent.ask("PUT", "/v1/kv/service/haproxy/maxconn", b"1024")
        agent.ask("PUT", "/v1/kv/service/haproxy/timeouts/connect", b"5000\n")
        wanted = {"haproxy.maxconn": "1024", "haproxy.timeouts.connect": "5000"}
        assert await found.until(lambda: found.snapshots[-1].settings == wanted) < AT_ONCE_S
        agent.ask("PUT", "/v1/kv/service/haproxy/maxcon", b"1")
        await found.until(lambda: found.snapshots[-1].problems)
        assert "service/haproxy/maxcon" in found.snapshots[-1].problems[0]
        agent.ask("DELETE", "/v1/kv/service/haproxy?recurse")
        await found.until(lambda: not found.snapshots[-1].settings)

    play(agent, tmp_path, act)


def test_garbage_costs_the_one_that_says_it_and_is_named(
    agent: ConsulAgent, tmp_path: Path
) -> None:
    async def act(found: Followed) -> None:
        agent.register("bad/v1", "b1", 8002, Tags=["rest", "lbctl.balance=\u2603\n"])
        agent.register("both/v1", "b2", 8003, Tags=["rest", "tcp"])
        agent.register("none/v1", "b3", 0)
        agent.register("far/v1", "b4", 80, Address="no host\tat all")
        agent.register("hello/v1", "h2", 8004, Meta={"lbctl-weight": "heavy"})
        agent.register("../../up", "b5", 8006)
        agent.register("line\u2028end", "b6", 8007)
        await found.until(lambda: len(found.snapshots[-1].problems) >= 7)
        assert found.state.state == "live"
        said = "\n".join(found.snapshots[-1].problems)
        assert {*found.services} == {"hello/v1"}
        assert found.states() == {"h1": "ready", "h2": "ready"}
        for word in ("bad/v1", "both/v1", "none/v1", "far/v1", "heavy", "../../up", "u2028"):
            assert word in said, said

    play(agent, tmp_path, act)


def test_a_slip_in_a_new_instance_does_not_harm_the_service(
    agent: ConsulAgent, tmp_path: Path
) -> None:
    async def act(found: Followed) -> None:
        agent.register("hello/v1", "h2", 8002, Tags=["rest", "lbctl.balance=nonsense"])
        agent.register("hello/v1", "h3", 8003, Tags=["tcp"])
        await found.until(lambda: len(found.snapshots[-1].problems) == 2)
        assert found.states() == {"h1": "ready", "h2": "ready"}
        assert found.services["hello/v1"].balance is None

    play(agent, tmp_path, act)


def test_words_in_tags_and_meta_make_the_service(agent: ConsulAgent, tmp_path: Path) -> None:
    async def act(found: Followed) -> None:
        tags = ["tcp", "lbctl.route.port=5432", "lbctl.balance=leastconn"]
        agent.register("db", "db", 5432, Tags=tags)
        meta = {"lbctl-route-host": "app.example.com", "lbctl-cookie": "SESSION"}
        agent.register("app", "app1", 80, Meta=meta, Tags=["http"])
        await found.until(lambda: {"app", "db"} <= {*found.services})
        db, app = found.services["db"], found.services["app"]
        assert (db.mode, db.balance, db.all_routes[0].port) == ("tcp", "leastconn", 5432)
        assert db.check is not None
        assert db.check.kind == "tcp"
        assert [*found.servers("db")] == ["consul-host"]
        assert (app.all_routes[0].host, app.cookie) == ("app.example.com", "SESSION")

    play(agent, tmp_path, act)


def test_other_tags_are_not_ours(agent: ConsulAgent, tmp_path: Path) -> None:
    async def act(found: Followed) -> None:
        agent.register("other/v1", "o1", 80, Tags=["web"])
        agent.register("last/v1", "o2", 81)
        await found.until(lambda: "last/v1" in found.services)
        assert "other/v1" not in found.services
        assert not found.snapshots[-1].problems

    play(agent, tmp_path, act)


def test_any_server_may_answer_where_that_is_wanted(agent: ConsulAgent, tmp_path: Path) -> None:
    async def act(found: Followed) -> None:
        agent.register("hello/v1", "h2", 8002)
        assert await found.until(lambda: "h2" in found.servers()) < AT_ONCE_S

    play(agent, tmp_path, act, stale=True)
