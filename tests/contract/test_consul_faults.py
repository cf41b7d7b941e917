"""The provider ``consul`` while Consul dies, stands still, forgets, refuses and lies."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lbctl.discovery.consul import ConsulProvider
from lbctl.errors import ProviderError
from lbctl.settings.discovery import Consul
from tests.consul_followed import AT_ONCE_S, followed
from tests.consuls import ConsulAgent, consul
from tests.fakes.consul_liar import Liar, lying, reply
from tests.pems import issue

pytestmark = pytest.mark.contract

#: The hub's longest pause between two attempts, when Consul was away for a second or two.
BACK_S = 5.0


def test_kill_keeps_what_was_said_and_a_restart_is_found(tmp_path: Path) -> None:
    async def run(agent: ConsulAgent) -> None:
        async with followed(agent, tmp_path) as found:
            await found.until(lambda: found.states() == {"h1": "ready"})
            agent.kill()
            await found.until(lambda: found.state.state == "failing")
            assert found.state.services == 1
            assert "keeping 1 service with 1 server" in found.state.sentence(time.time())
            await asyncio.to_thread(agent.start)
            await found.until(lambda: found.state.state == "live", BACK_S)
            agent.register("hello/v1", "h2", 8002)
            assert await found.until(lambda: len(found.servers()) == 2) < AT_ONCE_S
            assert all(one.services for one in found.snapshots)

    with consul(tmp_path / "consul", is_lasting=True) as agent:
        agent.register("hello/v1", "h1", 8001)
        asyncio.run(run(agent))


def test_a_consul_that_lost_its_data_is_doubted_and_then_believed(tmp_path: Path) -> None:
    async def run(agent: ConsulAgent) -> None:
        async with followed(agent, tmp_path, empty_s=1.0) as found:
            await found.until(lambda: found.states() == {"h1": "ready"})
            agent.kill()
            await asyncio.to_thread(agent.start)
            await found.until(lambda: found.state.state == "doubted", BACK_S)
            assert {*found.servers()} == {"h1"}
            agent.register("hello/v1", "h9", 8009)
            assert await found.until(lambda: {*found.servers()} == {"h9"}) < AT_ONCE_S
            agent.deregister("h9")
            await found.until(lambda: found.state.state == "doubted")
            assert await found.until(lambda: not found.services, 4.0) > 0.9

    with consul(tmp_path / "consul") as agent:
        agent.register("hello/v1", "h1", 8001)
        asyncio.run(run(agent))


def test_pause_is_found_while_every_question_waits(tmp_path: Path) -> None:
    async def run(agent: ConsulAgent) -> None:
        async with followed(agent, tmp_path, answer_s=1.0, ping_every_s=0.5) as found:
            await found.until(lambda: found.states() == {"h1": "ready"})
            with agent.paused():
                await found.until(lambda: found.state.state == "failing", 0.5 + 1.0 + 0.5)
                assert "no answer in 1.0 s" in found.state.error
                assert {*found.servers()} == {"h1"}
            await found.until(lambda: found.state.state == "live", BACK_S)
            assert all(one.services for one in found.snapshots)

    with consul(tmp_path / "consul") as agent:
        agent.register("hello/v1", "h1", 8001)
        asyncio.run(run(agent))


def test_the_token_opens_and_is_not_shown(tmp_path: Path) -> None:
    secret = "b1gs33d-0000-4000-8000-000000000000"
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": secret, "agent": secret}}

    async def run(agent: ConsulAgent) -> None:
        token = {"discovery.consul.token_file": f"{secret}\n".encode()}
        async with followed(agent, tmp_path, token) as found:
            await found.until(lambda: found.states() == {"h1": "ready"})
            assert secret not in repr(found.state)
        wrong = {"discovery.consul.token_file": b"00000000-dead-4000-8000-000000000000"}
        async with followed(agent, tmp_path / "wrong", wrong) as found:
            await found.until(lambda: found.state.state == "failing")
            assert "403" in found.state.error
            assert "dead" not in found.state.error

    with consul(tmp_path / "consul", config={"acl": acl}, token=secret) as agent:
        agent.register("hello/v1", "h1", 8001)
        asyncio.run(run(agent))


def test_keys_that_may_not_be_read_cost_no_service(tmp_path: Path) -> None:
    secret = "b1gs33d-0000-4000-8000-000000000000"
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": secret, "agent": secret}}
    config = {"acl": {**acl, "enable_key_list_policy": True}}
    rules = 'node_prefix "" {policy="read"} service_prefix "" {policy="read"}'

    async def run(agent: ConsulAgent, token: str) -> None:
        secrets = {"discovery.consul.token_file": token.encode()}
        async with followed(agent, tmp_path, secrets) as found:
            await found.until(lambda: found.states() == {"h1": "ready"})
            assert "may not be read" in found.snapshots[-1].problems[0]
            agent.register("hello/v1", "h2", 8002)
            assert await found.until(lambda: len(found.servers()) == 2) < AT_ONCE_S

    with consul(tmp_path / "consul", config=config, token=secret) as agent:
        agent.register("hello/v1", "h1", 8001)
        policy = agent.ask("PUT", "/v1/acl/policy", {"Name": "lbctl", "Rules": rules})
        made = agent.ask("PUT", "/v1/acl/token", {"Policies": [{"ID": policy["ID"]}]})
        asyncio.run(run(agent, made["SecretID"]))


def test_tls_is_believed_by_its_authority_and_shows_our_own_certificate(tmp_path: Path) -> None:
    authority = issue(subject="authority", is_authority=True)
    server, ours = issue("localhost", by=authority), issue("lbctl", by=authority)
    for name, content in (("ca", authority.pem), ("cert", server.pem), ("key", server.key)):
        (tmp_path / f"{name}.pem").write_bytes(content)
    (tmp_path / "ours.pem").write_bytes(ours.both)
    config = {f"{name}_file": str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(tmp_path / "ours.pem")

    async def run(agent: ConsulAgent) -> None:
        key = "discovery.consul."
        good = {f"{key}ca_file": authority.pem, f"{key}cert_file": ours.both}
        async with followed(agent, tmp_path / "good", good) as found:
            await found.until(lambda: found.states() == {"h1": "ready"})
        strange = issue(subject="other", is_authority=True).pem
        assert "its certificate is not believed" in await said({f"{key}ca_file": strange})
        assert "TLS failed: " in await said({f"{key}ca_file": authority.pem})

    async def said(secrets: Mapping[str, bytes]) -> str:
        provider = ConsulProvider(Consul(url=agent.url), secrets)
        with pytest.raises(ProviderError) as caught:
            await provider.fetch()
        await provider.close()
        return str(caught.value)

    more = {**config, "verify_incoming_https": True}
    with consul(tmp_path / "consul", config=more, tls=context, name="localhost") as agent:
        agent.register("hello/v1", "h1", 8001)
        asyncio.run(run(agent))
    with warnings.catch_warnings():
        # asyncio holds a connection whose handshake failed until its loop is gone.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_datacenter_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def run(agent: ConsulAgent) -> None:
        async with followed(agent, tmp_path, datacenter="paris") as found:
            await found.until(lambda: found.state.state == "failing")
            assert "No path to datacenter" in found.state.error

    with consul(tmp_path / "consul") as agent:
        asyncio.run(run(agent))


LIES = {
    "no_leader": (reply(b"{}", "X-Consul-KnownLeader: false", "X-Consul-Index: 9"), "no leader"),
    "old": (reply(b"{}", "X-Consul-LastContact: 60000"), "not heard of its leader for 60 s"),
    "no_cluster": (reply(b"No cluster leader", status="500 Oops"), "No cluster leader"),
    "garbled_answer": (reply(b'{"hello/v1": ["re'), "no JSON"),
    "empty_answer": (reply(b""), "no JSON"),
    "list": (reply(b"[]"), "a list came back"),
    "null": (reply(b"null"), "nothing came back"),
    "cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "cut off"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_makes_no_sense_is_a_failure_and_no_news(
    lie: str, agent: ConsulAgent, tmp_path: Path
) -> None:
    answer, words = LIES[lie]

    async def run(seen: ConsulAgent, liar: Liar) -> None:
        async with followed(seen, tmp_path) as found:
            await found.until(lambda: found.states() == {"h1": "ready"})
            liar.said["/v1/catalog/services"] = answer
            agent.register("hello/v1", "h2", 8002)
            await found.until(lambda: found.state.state == "failing")
            assert words in found.state.error
            assert found.states() == {"h1": "ready"}
            liar.said.clear()
            await found.until(lambda: len(found.servers()) == 2, BACK_S)
            assert all(one.services for one in found.snapshots)

    with lying(agent) as (liar, seen):
        asyncio.run(run(seen, liar))


def test_lies_about_one_service_are_failures_too(agent: ConsulAgent, tmp_path: Path) -> None:
    async def run(seen: ConsulAgent, liar: Liar) -> None:
        async with followed(seen, tmp_path) as found:
            await found.until(lambda: len(found.services) == 2)
            liar.said["/v1/health/service/hello%2Fv1"] = reply(b'{"Node": 1}')
            agent.register("hello/v1", "h2", 8002)
            await found.until(lambda: found.state.state == "failing")
            liar.said["/v1/health/service/hello%2Fv1"] = reply(b'[1, {"Service": {"ID": []}}]')
            await found.until(lambda: found.snapshots[-1].problems, BACK_S)
            assert "has no port" in found.snapshots[-1].problems[0]
            assert {*found.services} == {"other/v1"}

    agent.register("other/v1", "o1", 8001)
    with lying(agent) as (liar, seen):
        asyncio.run(run(seen, liar))


def test_a_server_that_lags_behind_is_asked_again(agent: ConsulAgent, tmp_path: Path) -> None:
    """With ``stale`` another server may answer than the one that told of the change."""
    path = "/v1/health/service/hello%2Fv1"
    old = json.dumps(agent.ask("GET", path)).encode()

    async def run(seen: ConsulAgent, liar: Liar) -> None:
        async with followed(seen, tmp_path, stale=True) as found:
            await found.until(lambda: found.states() == {"h1": "ready"})
            liar.said[path] = reply(old)
            agent.register("hello/v1", "h2", 8002)
            await found.until(lambda: liar.told[path])
            liar.said.clear()
            await found.until(lambda: len(found.servers()) == 2, 1.0 + AT_ONCE_S)

    with lying(agent) as (liar, seen):
        asyncio.run(run(seen, liar))


def test_an_index_that_goes_backwards_starts_over(agent: ConsulAgent, tmp_path: Path) -> None:
    catalog = b'{"hello/v1": ["rest"]}'

    async def run(seen: ConsulAgent, liar: Liar) -> None:
        liar.said["/v1/catalog/services"] = reply(catalog, "X-Consul-Index: 5000000")
        async with followed(seen, tmp_path) as found:
            await found.until(lambda: found.states() == {"h1": "ready"})
            liar.said["/v1/catalog/services"] = reply(catalog, "X-Consul-Index: 3")
            before = liar.told["/v1/catalog/services"]
            await found.until(lambda: liar.told["/v1/catalog/services"] > before + 2)
            liar.said.clear()
            agent.register("late/v1", "l1", 8002)
            await found.until(lambda: "late/v1" in found.services)

    with lying(agent) as (liar, seen):
        asyncio.run(run(seen, liar))


@pytest.fixture(name="agent")
def _agent(tmp_path: Path) -> Iterator[ConsulAgent]:
    with consul(tmp_path / "consul") as agent:
        agent.register("hello/v1", "h1", 8001)
        yield agent
