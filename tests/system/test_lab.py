"""The lab itself: what it makes is there, what it breaks is broken, and nothing stays."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.lab.arp import holders
from lbctl.lab.backend import serve
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Host, Lab, sweep
from lbctl.lab.probe import KeptAlive, Probe, SlowRequest
from lbctl.lab.process import pids_in
from lbctl.lab.wait import LabError, wait_until

pytestmark = pytest.mark.system

_NETNS = Path("/run/netns")


def _namespaces_of(prefix: str) -> list[str]:
    return [path.name for path in _NETNS.glob(f"{prefix}*")]


def _reaches(host: Host, other: Host) -> bool:
    return holders(host, other.address) == {other.mac}


def test_hosts_reach_each_other_by_both_protocols(lab: Lab) -> None:
    web, client = lab["web1"], lab["client"]
    serve(web)
    for address in (web.address, web.address6):
        with Probe(client, address) as probe:
            assert {record.web for record in probe.records()} == {"web1"}


def test_lab_is_up_within_a_second_and_gone_without_a_trace() -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    started = time.monotonic()
    with Lab() as lab:
        took_s = time.monotonic() - started
        directory, prefix = lab.directory, lab.switch.removesuffix("switch")
        stubborn = lab["a"].spawn(
            ["sh", "-c", "trap '' TERM; echo on; while :; do sleep 1; done"], log="stubborn.log"
        )
        wait_until(lambda: "on" in stubborn.text(), 2, "the stubborn process")
        assert stubborn.pid in pids_in([lab["a"].ns])
        assert len(_namespaces_of(prefix)) == 6
        assert directory.stat().st_mode & 0o777 == 0o755

    assert took_s < 1
    assert _namespaces_of(prefix) == []
    assert not directory.exists()
    assert not Path("/proc", str(stubborn.pid)).exists()
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_files_are_kept_when_asked() -> None:
    with Lab(("a",), keep=True) as lab:
        (lab["a"].directory / "note").write_text("seen")
        kept = lab.kept
    sweep()
    note = kept / "a" / "note"

    assert note.read_text() == "seen"

    note.unlink()
    for directory in (kept / "a", kept):
        for left in directory.glob("*"):
            left.unlink()
        directory.rmdir()


def test_lab_whose_maker_was_killed_is_swept() -> None:
    script = (
        "import time\n"
        "from lbctl.lab.hosts import Lab\n"
        "lab = Lab(('a',)).__enter__()\n"
        "lab['a'].spawn(['sleep', '1000'], log='sleep.log')\n"
        "print(lab.switch, lab.directory, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    maker = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert maker.stdout is not None
    switch, directory = maker.stdout.readline().split()
    prefix = switch.removesuffix("-switch")
    swept_alive = sweep()
    maker.kill()
    maker.communicate()

    assert prefix not in swept_alive

    orphans = pids_in(_namespaces_of(prefix))

    assert len(orphans) == 1
    assert prefix in sweep()
    assert _namespaces_of(prefix) == []
    assert not Path(directory).exists()
    wait_until(
        lambda: not any(Path("/proc", str(pid)).exists() for pid in orphans), 2, "the orphan's end"
    )


def test_cut_host_is_silent_until_healed(lab: Lab) -> None:
    a, client = lab["a"], lab["client"]
    lab.cut(a)
    assert holders(client, a.address) == set()
    lab.heal(a)
    assert _reaches(client, a)


def test_host_whose_link_went_down_comes_back_with_its_addresses(lab: Lab) -> None:
    a, client = lab["a"], lab["client"]
    lab.link_down(a)
    assert holders(client, a.address) == set()
    lab.link_up(a)
    assert _reaches(client, a)
    assert f"{a.address6}/64" in a.run(["ip", "-br", "addr", "show", "eth0"]).stdout


def test_mute_host_hears_and_deaf_host_speaks(lab: Lab) -> None:
    a, client = lab["a"], lab["client"]
    lab.one_way(a, mute=True)
    assert holders(client, a.address) == set()
    assert _received_after(a, lambda: holders(client, a.address)) > 0

    lab.one_way(a, deaf=True)
    assert _received_after(a, lambda: holders(client, a.address)) == 0
    assert _received_after(client, lambda: holders(a, client.address)) > 0

    lab.one_way(a)
    assert _reaches(client, a)


def _received_after(host: Host, action: Callable[[], object]) -> int:
    counter = ["cat", "/sys/class/net/eth0/statistics/rx_packets"]
    before = int(host.run(counter).stdout)
    action()
    return int(host.run(counter).stdout) - before


def test_lossy_host_loses_about_its_share(lab: Lab) -> None:
    a, client = lab["a"], lab["client"]
    shout = (
        "import socket\n"
        "raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n"
        "raw.bind(('eth0', 0))\n"
        "for _ in range(500): raw.send(b'\\xff' * 6 + b'\\x02' * 6 + b'\\x88\\xb5' + bytes(50))\n"
    )

    def heard_of_500(listener: Host, speaker: Host) -> int:
        return _received_after(listener, lambda: speaker.run([sys.executable, "-Ic", shout]))

    lab.lossy(a, 30)
    assert 290 < heard_of_500(a, client) < 410
    assert 290 < heard_of_500(client, a) < 410

    lab.lossy(a, 0)
    assert heard_of_500(a, client) >= 500


def test_probe_measures_the_outage_of_a_cut_host(lab: Lab) -> None:
    serve(lab["web1"])
    with Probe(lab["client"], lab["web1"].address) as probe:
        probe.wait_answers(20, 3)
        mark = probe.mark()
        lab.cut(lab["web1"])
        _let_pass(probe, 0.5)
        lab.heal(lab["web1"])
        probe.wait_answers(20, 3)

        assert 480 <= probe.outage_ms(mark) <= 700
        assert set(probe.reasons(mark)) <= {"timeout", "unreachable"}
        assert len(probe.failures(mark)) >= 15


def test_probe_names_what_it_saw(lab: Lab) -> None:
    web = serve(lab["web1"])
    with Probe(lab["client"], lab["web1"].address) as probe:
        wait_until(probe.successes, 2, "an answer")
        assert probe.records()[0].web == "web1"
        mark = probe.mark()
        web.stop()
        wait_until(lambda: probe.failures(mark), 2, "a failure")
        wait_until(lambda: "refused" in probe.reasons(mark), 2, "a refusal")


def test_kept_connection_is_one_connection(lab: Lab) -> None:
    serve(lab["web1"])
    with KeptAlive(lab["client"], lab["web1"].address, interval_ms=5) as kept:
        kept.wait_answers(20, 3)
        established = lab["client"].run(["ss", "-Htn", "dport", "=", ":80"]).stdout

    assert len(established.splitlines()) == 1


def test_slow_request_tells_answer_from_reset_from_hang(lab: Lab) -> None:
    client, web1, web2 = lab["client"], lab["web1"], lab["web2"]
    serve(web1)
    answered = SlowRequest(client, web1.address, ms=200).result()
    assert answered[0] == "answer"
    assert 0.2 <= answered[1] < 1

    hanging = SlowRequest(client, web1.address, ms=3000, limit_s=0.3)
    assert hanging.result()[0] == "hang"

    process = serve(web2)
    doomed = SlowRequest(client, web2.address, ms=3000)
    wait_until(lambda: web2.run(["ss", "-Htn", "sport", "=", ":80"]).stdout, 2, "a connection")
    web2.run(["ss", "-K", "sport", "=", ":80"])
    assert doomed.result()[0] == "reset"
    assert process.is_running


def test_node_that_ends_is_not_waited_for(lab: Lab) -> None:
    node = Node(lab, lab["a"], lbctl=("sh", "-c", 'echo "$(hostname) runs $*"; exit 12', "sh"))
    node.start("10.0.1.201", "secret", "10.0.1.202", settings={"ha": {"advskew": 3}})
    started = time.monotonic()
    with pytest.raises(LabError, match=r"ended with exit status 12:\na runs run --config-dir=\S+"):
        node.wait_role("MASTER", 10)

    assert time.monotonic() - started < 2
    assert node.text().endswith("10.0.1.201 secret 10.0.1.202\n")
    assert "=== node a" in lab.dump()


def test_wait_says_what_was_seen_last() -> None:
    with pytest.raises(LabError, match=r"the moon: not within 0.05 s; last seen: cheese"):
        wait_until(lambda: False, 0.05, "the moon", seen=lambda: "cheese")


def _let_pass(probe: Probe, seconds: float) -> None:
    """The fault is a length of time; nothing can be awaited but the clock."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until, seconds + 1, "the clock", every_s=0.005)
