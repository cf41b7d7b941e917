"""A bundle that finds its services, as its operator sees it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from lbctl.lab import local
from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from tests.balancers import WEBS, Balancer
from tests.consuls import ConsulAgent

#: An event at a source has reached HAProxy by then, while others use the CPUs.
AT_ONCE_S = 2.0
#: As long as the agent waits for its registry, and a bit.
POSTED_S = 12.0


class Finding(Balancer):
    """Its sources, asked without a program of its own: often, and while time counts."""

    def told(self) -> dict[str, Any]:
        """``GET /v1/status``."""
        answer: dict[str, Any] = local.get_json(self.run.api_socket, "/v1/status")
        return answer

    def source(self, name: str) -> dict[str, Any]:
        """How it stands; empty: it is not known yet."""
        return next((one for one in self.told()["discovery"] if one["source"] == name), {})

    def wait_source(self, name: str, state: str, within_s: float) -> None:
        wait_until(
            lambda: self.source(name).get("state") == state,
            within_s,
            f"{name} is {state}",
            seen=lambda: (self.source(name), self.text()[-2000:]),
        )

    def hurt(self, program: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a program, which must run."""
        pid = self.pid_of(program)
        assert pid > 0, f"{program} does not run"
        os.kill(pid, number)

    def post(self, payload: Mapping[str, object], answer: str = "text/plain") -> tuple[int, str]:
        """``POST /v1/registry``: status and text; *answer*: what it is to be."""
        link = local.UnixConnection(self.run.api_socket, POSTED_S)
        with closing(link):
            link.request("POST", "/v1/registry", json.dumps(payload), {"Accept": answer})
            reply = link.getresponse()
            return reply.status, reply.read().decode()

    def wait_warning(self, *words: str, within_s: float = AT_ONCE_S) -> str:
        """The first warning with all of *words*."""

        def found() -> str:
            said = self.told()["warnings"]
            return next((one for one in said if all(word in one for word in words)), "")

        return wait_until(found, within_s, f"a warning: {words}", seen=lambda: self.told())


@contextmanager
def finding(
    lab: Lab, host: str = "a", *, consul: str | None = None, **more: Any
) -> Iterator[Finding]:
    """
    One, not begun; lb.yaml has no services, and does not hold back what sources take away.

    Args:
        consul: URL of a source that keeps the registry as well.
    """
    made = Finding(lab, "b", host=host, **more)
    made.services = {}
    made.settings["apply"] = {"hold_s": 0}
    if consul is not None:
        made.settings["discovery"] = {"consul": {"url": consul}}
        made.settings["registry"] = {"store": "consul", "poll_s": 0.5}
    try:
        yield made
    finally:
        made.end()


def register(agent: ConsulAgent, name: str, *webs: str, **more: object) -> None:
    """Web servers of the balancer's host, as instances of *name*."""
    for web in webs:
        address, _, port = WEBS[web].rpartition(":")
        agent.register(name, f"{name}-{web}", int(port), **{"Address": address, **more})


def deregister(agent: ConsulAgent, name: str, *webs: str) -> None:
    for web in webs:
        agent.deregister(f"{name}-{web}")


@contextmanager
def registered(agent: ConsulAgent, name: str, *webs: str, **more: object) -> Iterator[None]:
    """As :func:`register`, for the length of a block."""
    register(agent, name, *webs, **more)
    try:
        yield
    finally:
        deregister(agent, name, *webs)
