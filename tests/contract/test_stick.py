"""A client that stays with its server: through all processes, both hosts, and a reload."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.haproxy.ports import taken_ports
from lbctl.haproxy.reload import reload_processes
from lbctl.layout import RunDir
from lbctl.model.service import RateLimit, Route, Server, Service
from lbctl.render.scene import RenderScene
from lbctl.settings.model import Haproxy, Peers, Settings
from tests.compiled import Echo, Running, ask, echo, free_port, running
from tests.compiled import service as plain
from tests.haproxies import wait_until

pytestmark = pytest.mark.contract

CLIENTS = [f"127.0.77.{number}" for number in range(1, 21)]
#: Both on this machine, each with two processes.
HOSTS = ("127.0.0.1", "127.0.0.2")
RELOAD_S = 10.0


@pytest.fixture(scope="module", name="web")
def _web() -> Iterator[Echo]:
    with echo() as server:
        yield server


def stuck(web: Echo) -> Service:
    servers = tuple(Server(id=f"c{n}", address=web.address(n)) for n in range(1, 6))
    return plain("app", servers=servers, stick="source")


def served(haproxy: Running, client: str, port: int | None = None) -> str:
    """The server that answers *client*."""
    source = (client, 0)
    link = http.client.HTTPConnection("127.0.0.1", port or haproxy.port, 10, source)
    with closing(link):
        answer = ask(link, "/app", {})
    assert answer.status == 200
    return str(answer.asked["address"])


def wait_told(haproxy: Running, table: str) -> None:
    """Until it knows every client."""
    wait_until(lambda: f"used:{len(CLIENTS)}\n" in haproxy.runtime(f"show table {table}"), 20)


def wait_settled(haproxy: Running) -> None:
    """
    Until it has no hope to be taught any more, 5 s after its start: before that HAProxy 2.6 holds
    its own table for incomplete, and hands nothing on.
    """

    def is_settled() -> bool:
        shown = haproxy.runtime("show peers").partition(" id=lbctl ")[2]
        return int(shown.partition("flags=")[2].split()[0], 16) & 3 == 3

    wait_until(is_settled, 15)


def start(stack: ExitStack, root: Path, services: Sequence[Service]) -> list[Running]:
    """The processes of both hosts, two a host; each of *services* for one of them."""
    peers = Peers(port_base=free_port() + 200, hosts=HOSTS)
    settings = Settings(haproxy=Haproxy(processes=2, peers=peers))
    found = []
    for index, one in enumerate(services):
        directory = root / str(index)
        directory.mkdir()
        scene = RenderScene(RunDir(directory), (2, 6), processes=2)
        peer = f"lbctl-{HOSTS[index // 2]}-{index % 2 + 1:02d}"
        way = running([one], directory, settings=settings, scene=scene, peer=peer, has_master=True)
        found.append(stack.enter_context(way))
    return found


@pytest.mark.parametrize("limit", [None, RateLimit(requests=1000)], ids=["alone", "with a limit"])
def test_a_client_meets_its_server_through_every_process_of_both_hosts_and_after_a_reload(
    tmp_path: Path, web: Echo, limit: RateLimit | None
) -> None:
    table = "lbctl/app" if limit else "app"
    with ExitStack() as stack:
        processes = start(stack, tmp_path, [replace(stuck(web), limit=limit)] * 4)
        firsts = {
            client: served(processes[index % 4], client) for index, client in enumerate(CLIENTS)
        }
        for process in processes:
            wait_told(process, table)

        assert len(set(firsts.values())) == 5
        for process in processes:
            assert {client: served(process, client) for client in CLIENTS} == firsts
        (reloaded,) = asyncio.run(reload_processes([processes[0].reloadable], timeout_s=RELOAD_S))
        assert reloaded.is_ok, reloaded.said
        wait_told(processes[0], table)
        assert {client: served(processes[0], client) for client in CLIENTS} == firsts


def test_a_process_alone_hands_its_clients_to_its_successor(tmp_path: Path, web: Echo) -> None:
    settings = Settings(haproxy=Haproxy(peers=Peers(port_base=free_port() + 200)))
    with running([stuck(web)], tmp_path, settings=settings, has_master=True) as haproxy:
        firsts = {client: served(haproxy, client) for client in CLIENTS}
        wait_settled(haproxy)
        (reloaded,) = asyncio.run(reload_processes([haproxy.reloadable], timeout_s=RELOAD_S))
        assert reloaded.is_ok, reloaded.said
        wait_told(haproxy, "app")

        assert {client: served(haproxy, client) for client in CLIENTS} == firsts


def test_clients_of_a_tcp_service_stay_too(tmp_path: Path, web: Echo) -> None:
    ports = [free_port() + 300 + number for number in range(4)]
    services = [replace(stuck(web), mode="tcp", route=Route(port=port)) for port in ports]
    with ExitStack() as stack:
        processes = start(stack, tmp_path, services)
        firsts = {client: served(processes[0], client, ports[0]) for client in CLIENTS}
        for process, port in zip(processes, ports, strict=True):
            wait_told(process, "app")

            assert {one: served(process, one, port) for one in CLIENTS} == firsts


def test_a_server_that_is_gone_is_not_waited_for(tmp_path: Path, web: Echo) -> None:
    with running([stuck(web)], tmp_path) as haproxy:
        firsts = {client: served(haproxy, client) for client in CLIENTS}
        haproxy.runtime("set server app/c1 state maint")
        seconds = {client: served(haproxy, client) for client in CLIENTS}
        haproxy.runtime("set server app/c1 state ready")

        lost = {client for client, server in firsts.items() if server == web.address(1)}
        assert len(lost) == 4
        assert {client for client in CLIENTS if firsts[client] != seconds[client]} == lost
        assert {client: served(haproxy, client) for client in CLIENTS} == seconds


def test_a_port_of_peers_that_is_taken_is_seen_before_a_reload(tmp_path: Path, web: Echo) -> None:
    base = free_port() + 200
    settings = Settings(haproxy=Haproxy(peers=Peers(port_base=base)))
    with running([stuck(web)], tmp_path, settings=settings) as haproxy:
        text = haproxy.compiled.target.before
        with echo() as stranger:
            taken = text.replace(f":{base}\n", f":{stranger.server_port}\n")
            (problem,) = taken_ports(taken, text)

        assert f"bind 127.0.0.1:{stranger.server_port}: another program" in problem.what
        assert taken_ports(text, text) == ()
