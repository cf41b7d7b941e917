"""The program ``discovery`` as it is run: its own process, real files, a real socket."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lbctl.discovery.http import Client
from lbctl.discovery.state import SourceState
from lbctl.discovery.wire import Heard, Receiver
from lbctl.errors import ProviderError
from lbctl.follow.generation import Generation, write_generation
from lbctl.layout import RunDir, StateDir
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import Consul, Discovery, Docker, Hosts
from lbctl.settings.model import Settings
from tests.loops import in_a_loop, until
from tests.specs import bundle_spec

pytestmark = pytest.mark.contract

WITHIN_S = 10.0
PAYLOAD = {
    "table": "lb",
    "running": [{"serviceName": "app", "id": "a1", "ip": "10.0.0.1:80"}],
    "candidates": [
        {
            "serviceName": "app",
            "configMode": "Host",
            "predicate": "first.example.com",
            "cookie": "JSESSIONID",
            "containers": [{"id": "a1", "ip": "10.0.0.1:80"}],
        }
    ],
}


class Place:
    """Directories of one bundle, with what its operator wants."""

    def __init__(self, root: Path) -> None:
        self.run, self.state = RunDir(root / "run"), StateDir(root / "state")
        for path in (self.run.inputs, self.run.api, self.run.haproxy, self.state.root):
            path.mkdir(parents=True, mode=0o750)
        self.hosts = root / "hosts"
        self.hosts.write_text("172.16.0.3 appsrv1\n")
        spec = bundle_spec(state_dir=str(self.state.root))
        self.run.spec.write_text(json.dumps(asdict(spec)))
        self.want(Discovery(hosts=Hosts(path=str(self.hosts))))

    def want(self, discovery: Discovery, **secrets: bytes) -> None:
        keys = {name.replace("__", "."): value for name, value in secrets.items()}
        settings = Settings(discovery=discovery)
        write_generation(
            self.run, Generation(1, time.time(), settings, None, {}, {}, {}, secrets=keys)
        )


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Life:
    """One process, and what it told a listener of its own."""

    def __init__(self, process: asyncio.subprocess.Process, client: Client) -> None:
        self.process = process
        self.client = client
        self.heard: dict[str, Heard] = {}
        self.states: dict[str, SourceState] = {}

    async def listen(self) -> None:
        receiver = Receiver()
        async with aclosing(self.client.lines("/watch")) as lines:
            async for line in lines:
                said = receiver.take(line)
                if isinstance(said, Heard):
                    self.heard[said.snapshot.source] = said
                else:
                    self.states = {one.source: one for one in said}

    def of(self, source: str) -> Snapshot | None:
        return self.heard[source].snapshot if source in self.heard else None

    def names(self) -> Any:
        found = self.of("hosts")
        return found and found.names

    async def post(self, body: Any) -> Any:
        return (await self.client.post("/registry", body)).data


@asynccontextmanager
async def living(place: Place) -> AsyncIterator[Life]:
    """It runs, listens and is listened to; killed at the end, if it still lives."""
    argv = [sys.executable, "-I", "-m", "lbctl.daemons.discovery", str(place.run.root)]
    process = await asyncio.create_subprocess_exec(*argv, stderr=subprocess.PIPE)
    life = Life(process, Client("discovery", f"unix://{place.run.discovery_socket}"))
    try:
        await until(
            lambda: process.returncode is not None or can_connect(place),
            "discovery listens",
            within_s=WITHIN_S,
        )
        assert process.returncode is None, (await process.communicate())[1].decode()
        listening = asyncio.ensure_future(life.listen())
        try:
            yield life
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        await life.client.close()


def can_connect(place: Place) -> bool:
    with socket.socket(socket.AF_UNIX) as there:
        try:
            there.connect(str(place.run.discovery_socket))
        except OSError:
            return False
    return True


@in_a_loop
async def test_a_listener_hears_what_is_known_and_then_what_changes(place: Place) -> None:
    async with living(place) as life:
        await until(lambda: life.names() == {"appsrv1": ("172.16.0.3",)}, "the names")
        place.hosts.write_text("172.16.0.5 appsrv1\n")
        await until(lambda: life.names() == {"appsrv1": ("172.16.0.5",)}, "the new names")
        mode = place.run.discovery_socket.stat().st_mode
        asked = (await life.client.get_json("/states")).data["states"]

    assert stat.S_IMODE(mode) == 0o600
    assert [(one["source"], one["state"]) for one in asked] == [("hosts", "live")]
    assert life.states["hosts"].state == "live"


@in_a_loop
async def test_sigterm_ends_it_at_once_with_what_was_said_on_disk(place: Place) -> None:
    async with living(place) as life:
        await until(lambda: life.names() is not None, "the names")
        place.hosts.write_text("172.16.0.6 appsrv1\n")
        await until(lambda: life.names() == {"appsrv1": ("172.16.0.6",)}, "the new names")
        began = time.monotonic()
        life.process.send_signal(signal.SIGTERM)
        _, said = await life.process.communicate()
        took_s = time.monotonic() - began
    saved = json.loads(place.state.snapshot("hosts").read_text())

    assert life.process.returncode == 0
    assert took_s < 1.0
    assert saved["names"] == {"appsrv1": ["172.16.0.6"]}
    assert said.decode().splitlines()[-1] == "told to stop"


@in_a_loop
async def test_a_source_that_hangs_does_not_hold_up_the_end(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        place.want(Discovery(consul=Consul(url=url)))
        async with living(place) as life:
            await until(lambda: "consul" in life.states, "its state")
            began = time.monotonic()
            life.process.send_signal(signal.SIGTERM)
            await life.process.communicate()
            took_s = time.monotonic() - began

    assert life.process.returncode == 0
    assert took_s < 1.0


@in_a_loop
async def test_what_was_posted_is_told_answered_and_there_after_a_kill(place: Place) -> None:
    async with living(place) as life:
        await until(lambda: life.names() is not None, "the names")
        had = "registry" in life.states
        answer = await life.post(PAYLOAD)
        await until(lambda: life.of("registry"), "the registry's services")
        life.process.kill()
    async with living(place) as again:
        await until(
            lambda: again.of("registry") and again.states["registry"].state == "live",
            "the registry's services, from its store",
        )
        kept = again.of("registry")
        heard_at = again.states["registry"].heard_at

    assert not had
    assert [one["name"] for one in answer["services"]] == ["app"]
    assert kept is not None
    assert [one.name for one in kept.services] == ["app"]
    assert kept.services[0].servers[0].address == "10.0.0.1:80"
    assert heard_at is not None
    assert heard_at >= answer["at"]


@in_a_loop
async def test_the_same_payload_again_is_told_again_for_whoever_waits(place: Place) -> None:
    async with living(place) as life:
        first = await life.post(PAYLOAD)
        second = await life.post(PAYLOAD)
        await until(lambda: (one := life.of("registry")) and one.at >= second["at"], "it again")

    assert second["at"] > first["at"]


@in_a_loop
async def test_a_bad_payload_is_refused_with_what_is_wrong_and_the_program_lives(
    place: Place,
) -> None:
    async with living(place) as life:
        with pytest.raises(ProviderError, match="400"):
            await life.post(b"nonsense")
        with pytest.raises(ProviderError, match="413"):
            await life.post(b" " * (3 << 20))
        await until(lambda: life.names() is not None, "the names")

    assert life.process.returncode is not None


@in_a_loop
async def test_one_source_that_cannot_be_opened_or_reached_leaves_the_others_alone(
    place: Place,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    place.want(
        Discovery(
            hosts=Hosts(path=str(place.hosts)),
            consul=Consul(url="https://127.0.0.1:1", ca_file="/ca.pem", token_file="/token"),
            docker=Docker(url=f"tcp://127.0.0.1:{closed}"),
        ),
        discovery__consul__ca_file=b"nonsense",
        discovery__consul__token_file=b"hunter2",
    )
    async with living(place) as life:
        await until(
            lambda: (
                {one.state for one in life.states.values()} == {"live", "failing"}
                and life.states["docker"].state == "failing"
            ),
            "their states",
        )
        life.process.send_signal(signal.SIGTERM)
        _, said = await life.process.communicate()
    states = life.states

    assert states["hosts"].state == "live"
    assert states["consul"].error.startswith("consul: its authorities, or this host's certificate")
    assert states["docker"].error == f"docker tcp://127.0.0.1:{closed}: Connection refused"
    assert b"hunter2" not in said


@in_a_loop
async def test_without_a_generation_it_says_so_and_leaves_the_rest_to_supervisord(
    place: Place,
) -> None:
    place.run.current_generation.unlink()
    argv = [sys.executable, "-I", "-m", "lbctl.daemons.discovery", str(place.run.root)]
    process = await asyncio.create_subprocess_exec(*argv, stderr=subprocess.PIPE)
    _, said = await process.communicate()

    assert process.returncode == 10
    assert str(place.run.current_generation) in said.decode()
    assert said.decode().rstrip().endswith("discovery starts again")
