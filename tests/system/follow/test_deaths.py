"""What dies in the middle of it: the agent, a HAProxy, all of them."""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from lbctl.lab.wait import wait_until
from tests.balancers import BACK_S, Balancer, servers

pytestmark = pytest.mark.system


def _wait_in_force(here: Balancer, wanted: str) -> None:
    """Until the file says so: what the processes run may still be another thing."""
    path = here.run.haproxy_cfg
    wait_until(lambda: wanted in path.read_text(), 20, wanted, seen=path.read_text)


def test_agent_killed_while_it_applies_finishes_in_its_next_life(here: Balancer) -> None:
    for attempt, names in enumerate((("w3", "w4"), ("w1", "w2", "w3"))):
        here.services["hello/v1"] |= {"servers": servers(*names), "retries": attempt + 5}
        here.write()
        agent = here.pid_of("agent")
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(here.command, "reload")
            _wait_in_force(here, f"retries {attempt + 5}")
            os.kill(agent, signal.SIGKILL)
            asked.result()
        here.wait_idle()

        here.wait_asks(set(names))
        assert here.status()["apply"]["failure"] is None
        assert here.reload()["did"] == "nothing"


def test_agent_killed_while_nothing_is_wrong_changes_nothing(here: Balancer) -> None:
    here.lbctl("server", "drain", "hello/v1/w1")
    before = here.workers()
    os.kill(here.pid_of("agent"), signal.SIGKILL)
    here.wait_idle()

    assert here.workers() == before
    assert here.admins("w1") == {"drain"}
    here.lbctl("server", "ready", "hello/v1/w1")


def test_haproxy_that_died_comes_back_with_what_was_done_at_run_time(here: Balancer) -> None:
    here.services["hello/v1"]["servers"] += servers("w3")
    here.reload()
    here.lbctl("server", "drain", "hello/v1/w1")
    os.kill(here.haproxies()[0], signal.SIGKILL)
    here.wait_asks({"w2", "w3"})
    here.wait_up()
    wait_until(lambda: here.admins("w1") == {"drain"}, BACK_S, "drain", seen=here.seen)

    assert here.admins("w3") == {"ready"}
    here.lbctl("server", "ready", "hello/v1/w1")


def test_change_while_a_haproxy_is_away_reaches_it_when_it_is_back(here: Balancer) -> None:
    stopped = here.haproxies()[1]
    worker = here.workers_of(2)
    for pid in (stopped, *worker):
        os.kill(pid, signal.SIGSTOP)
    here.services["hello/v1"]["servers"] += servers("w3")
    here.write()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(here.command, "reload")
        _wait_in_force(here, "server w3 ")
        for pid in (stopped, *worker):
            # The agent may have found it hanging, and had it killed.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        asked.result()

    wait_until(lambda: here.admins("w3") == {"ready"}, BACK_S, "w3", seen=here.seen)
    assert here.asks() == {"w1", "w2", "w3"}


def test_a_service_whose_file_is_gone_serves_until_a_haproxy_has_to_start(here: Balancer) -> None:
    authority = here.root / "authority.pem"
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", authority)
    tls = {"ca_file": str(authority)}
    here.services["secure"] = {"tls": tls, "check": {"kind": "none"}, "servers": servers("w4")}
    here.reload()
    workers = here.workers()
    authority.unlink()
    here.lbctl("server", "weight", "50", "hello/v1/w1")
    wait_until(lambda: "authority.pem" in here.warnings(), BACK_S, "the word on it")
    before = here.workers(), here.admins("w4", "secure")
    for pid in here.haproxies():
        os.kill(pid, signal.SIGKILL)
    here.wait_asks({"w1", "w2"}, within_s=2 * BACK_S)

    assert before == (workers, {"ready"})
    assert here.asks("/secure") == {"404"}
    assert "service secure is left out: " in here.warnings()
    here.lbctl("server", "weight", "100", "hello/v1/w1")
