"""Servers that DNS tells of, on real HAProxy: records, preference, silence, cut answers."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from lbctl.layout import RunDir
from lbctl.model.service import Server
from lbctl.render.scene import RenderScene
from lbctl.settings.model import Settings
from tests.compiled import (
    VERSIONS,
    Running,
    binary_of,
    echo,
    free_port,
    running,
    service,
    written,
)
from tests.consuls import consul
from tests.haproxies import wait_until
from tests.nameservers import NAME, Double, answering, asking, nameserver
from tests.places import free_ports

pytestmark = pytest.mark.contract

SRV_HELLO = "_hello._tcp.service.consul"
SRV = "_http._tcp.web.service.consul"
#: What kube-dns calls the pods of a headless service, and the ports that they have names for.
PODS = "web.default.svc.cluster.local"


@pytest.fixture(name="version", params=VERSIONS, ids=str)
def _version(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


def addresses(haproxy: Running) -> set[str]:
    """``ADDRESS:PORT`` of the servers that have one."""
    rows = [row.split() for row in haproxy.runtime("show servers state app").splitlines()[2:]]
    return {f"{row[4]}:{row[18]}" for row in rows if row and row[4] not in ("-", "0.0.0.0")}


def asked(haproxy: Running, count: int = 24) -> Counter[str]:
    """Who answered so many requests; all were answered."""
    answers = [haproxy.get("/app") for _ in range(count)]
    assert {one.status for one in answers} == {200}
    return Counter(one.asked["address"].partition(":")[0] for one in answers)


def test_srv_records_tell_addresses_ports_and_weights(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    with echo() as web, echo() as other:
        words = [
            f"--srv-host={SRV},one.node.consul,{web.server_port},1,255",
            f"--srv-host={SRV},two.node.consul,{other.server_port},1,1",
            "--host-record=one.node.consul,127.0.0.1",
            "--host-record=two.node.consul,127.0.0.2",
        ]
        with nameserver(tmp_path, set(), *words) as names:
            services = [service("app", dns=SRV, slots=4)]
            with running(services, tmp_path, version=version, settings=names.settings) as haproxy:
                both = {f"127.0.0.1:{web.server_port}", f"127.0.0.2:{other.server_port}"}
                wait_until(lambda: addresses(haproxy) == both, 15)

                assert set(asked(haproxy)) == {"127.0.0.1", "127.0.0.2"}


def test_instances_of_a_real_consul_come_and_go_by_srv(tmp_path: Path) -> None:
    """A failed check takes an instance out of the answers; the hold is short here."""
    (dns,) = free_ports(1)
    with consul(tmp_path / "consul", dns=dns) as agent, echo() as one, echo() as other:
        agent.register("hello", "one", one.server_port)
        agent.register(
            "hello", "other", other.server_port, Check={"TTL": "1h", "Status": "passing"}
        )
        settings = asking(f"127.0.0.1:{dns}")
        with running([service("app", dns=SRV_HELLO, slots=4)], tmp_path, settings=settings) as lb:
            both = {f"127.0.0.1:{web.server_port}" for web in (one, other)}
            wait_until(lambda: addresses(lb) == both, 15)
            agent.check("other", "fail")
            wait_until(lambda: addresses(lb) == {f"127.0.0.1:{one.server_port}"}, 15)
            alone = asked(lb)
            agent.kill()
            failed = failures(lb)
            wait_until(lambda: failures(lb) >= failed + 20, 30)
            still = asked(lb)

    assert alone == still == {"127.0.0.1": 24}


def test_large_weights_of_srv_records_divide_requests(tmp_path: Path) -> None:
    """HAProxy makes 1..256 of DNS's 0..65535: small ones are all the same to it."""
    records = {
        (SRV, "SRV"): ["1 65535 PORT one.internal.", "1 16383 PORT two.internal."],
        ("one.internal", "A"): ["127.0.0.1"],
        ("two.internal", "A"): ["127.0.0.2"],
    }
    with echo() as web:
        port = str(web.server_port)
        told = {key: [one.replace("PORT", port) for one in rows] for key, rows in records.items()}
        with answering(Double(f"127.0.53.1:{free_port()}", told)) as double:
            services = [service("app", dns=SRV, slots=2)]
            with running(services, tmp_path, settings=asking(double.address)) as haproxy:
                wait_until(lambda: len(addresses(haproxy)) == 2, 15)
                counts = asked(haproxy, 100)

    assert counts["127.0.0.1"] == pytest.approx(80, abs=3)


def test_pods_come_and_go_by_the_names_of_kube_dns(tmp_path: Path) -> None:
    """A double of it: A records of a headless service, no answer at all for AAAA."""
    records = {(PODS, "A"): ["127.0.0.1", "127.0.0.2"]}
    double = Double(f"127.0.53.1:{free_port()}", records, silent={"AAAA"})
    with echo() as web, answering(double):
        services = [service("app", dns=f"{PODS}:{web.server_port}", slots=4)]
        with running(services, tmp_path, settings=asking(double.address)) as haproxy:
            started = time.monotonic()
            wait_until(lambda: len(addresses(haproxy)) == 2, 15)
            took_s = time.monotonic() - started
            double.records = {(PODS, "A"): ["127.0.0.2", "127.0.0.3"]}
            wait_until(lambda: set(asked(haproxy)) == {"127.0.0.2", "127.0.0.3"}, 15)

    assert took_s < 2
    assert double.asked["AAAA"] == 0


@pytest.mark.parametrize(("prefer", "expected"), [("ipv4", "127.0.0.1"), ("ipv6", "::1")])
def test_the_preferred_family_is_taken_where_a_name_has_both(
    tmp_path: Path, version: tuple[int, int], prefer: str, expected: str
) -> None:
    records = {(NAME, "A"): ["127.0.0.1"], (NAME, "AAAA"): ["::1"]}
    with answering(Double(f"127.0.53.1:{free_port()}", records)) as double:
        services = [service("app", servers=(Server(address=f"{NAME}:80"),))]
        settings = asking(double.address, prefer=prefer)
        with running(services, tmp_path, version=version, settings=settings) as haproxy:
            wait_until(lambda: addresses(haproxy) == {f"{expected}:80"}, 15)

            assert addresses(haproxy) == {f"{expected}:80"}


def test_a_name_with_the_other_family_alone_is_taken_too(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    with answering(Double(f"127.0.53.1:{free_port()}", {(NAME, "AAAA"): ["::1"]})) as double:
        services = [service("app", servers=(Server(address=f"{NAME}:80"),))]
        settings = asking(double.address)
        with running(services, tmp_path, version=version, settings=settings) as haproxy:
            wait_until(lambda: addresses(haproxy) == {"::1:80"}, 15)

            assert double.asked["A"] >= 1


@pytest.mark.parametrize("count", [1, 4])
def test_a_silence_about_aaaa_costs_a_start_one_second_a_name(tmp_path: Path, count: int) -> None:
    """The host's own resolver asks for both; without our options it waits 15 s for each name."""
    services = [
        service(f"app{i}", servers=(Server(address=f"pod{i}.internal:80"),)) for i in range(count)
    ]
    _, configuration = written(services, Settings(), RenderScene(RunDir(tmp_path), (2, 6)))
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.53.54\n")
    mount = f"mount --bind {resolv_conf} /etc/resolv.conf"
    words = f"{mount} && exec haproxy -c -q -f {configuration}"
    records = {(f"pod{i}.internal", "A"): ["127.0.0.1"] for i in range(count)}
    with answering(Double("127.0.53.54:53", records, silent={"AAAA"})) as double:
        started = time.monotonic()
        done = subprocess.run(["unshare", "-m", "sh", "-c", words], check=False, timeout=60)
        took_s = time.monotonic() - started

    assert done.returncode == 0
    assert double.asked == {"A": count, "AAAA": count}
    assert count <= took_s < count * 1.2 + 1


def test_an_answer_longer_than_a_packet_of_512_bytes_is_whole(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    many = [f"127.0.1.{i}" for i in range(1, 101)]
    double = Double(f"127.0.53.1:{free_port()}", {(NAME, "A"): many})
    with answering(double):
        services = [service("app", dns=f"{NAME}:80", slots=100)]
        settings = asking(double.address)
        with running(services, tmp_path, version=version, settings=settings) as haproxy:
            wait_until(lambda: len(addresses(haproxy)) == 100, 15)

            assert addresses(haproxy) == {f"{one}:80" for one in many}


@pytest.mark.parametrize("fault", ["killed", "paused"])
def test_servers_stay_while_the_nameserver_is_gone(
    tmp_path: Path, version: tuple[int, int], fault: str
) -> None:
    """However long: what holds after an answer is over by then many times."""
    with echo() as web, nameserver(tmp_path, {"127.0.0.1"}) as names:
        services = [service("app", dns=f"{NAME}:{web.server_port}", slots=2)]
        with running(services, tmp_path, version=version, settings=names.settings) as haproxy:
            wait_until(lambda: addresses(haproxy) == {f"127.0.0.1:{web.server_port}"}, 15)
            names.process.send_signal(signal.SIGSTOP if fault == "paused" else signal.SIGKILL)
            failed = failures(haproxy)
            wait_until(lambda: failures(haproxy) >= failed + 20, 30)
            still = asked(haproxy)

    assert still == {"127.0.0.1": 24}


def failures(haproxy: Running) -> int:
    """Questions that had no answer."""
    rows = [row.split(":") for row in haproxy.runtime("show resolvers lbctl").splitlines()]
    wanted = ("sent", "snd_error", "timeout")
    return sum(int(row[1]) for row in rows if row[0].strip() in wanted)


def test_a_name_that_is_gone_takes_its_servers_with_it_after_the_hold(tmp_path: Path) -> None:
    records = {(NAME, "A"): ["127.0.0.1"]}
    with echo() as web, answering(Double(f"127.0.53.1:{free_port()}", records)) as double:
        services = [service("app", dns=f"{NAME}:{web.server_port}", slots=2)]
        with running(services, tmp_path, settings=asking(double.address)) as haproxy:
            wait_until(lambda: addresses(haproxy) == {f"127.0.0.1:{web.server_port}"}, 15)
            before = asked(haproxy)
            double.records = {}
            wait_until(lambda: haproxy.get("/app").status == 503, 15)

            assert before == {"127.0.0.1": 24}
            assert addresses(haproxy) == set()


@pytest.mark.parametrize("wanted", [512, 65535])
def test_every_payload_size_is_taken(tmp_path: Path, version: tuple[int, int], wanted: int) -> None:
    services = [service("app", dns=f"{NAME}:80")]
    settings = asking("127.0.0.1:9", payload_bytes=wanted)
    _, path = written(services, settings, RenderScene(RunDir(tmp_path), version))
    done = subprocess.run([binary_of(version), "-c", "-q", "-f", str(path)], check=False)

    assert done.returncode == 0
