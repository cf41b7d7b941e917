from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.errors import ConfigError
from lbctl.haproxy.cfg import has_peers
from lbctl.haproxy.cpus import Cpus
from lbctl.haproxy.processes import ProcessModel, plan_processes
from lbctl.haproxy.version import HaproxyVersion
from lbctl.layout import RunDir
from lbctl.settings.model import Haproxy, Stats

RUN = RunDir(Path("/run/lbctl"))
V2_2 = HaproxyVersion(2, 2, 9, "2.2.9")
V2_4 = HaproxyVersion(2, 4, 0, "2.4.0")
V2_6 = HaproxyVersion(2, 6, 12, "2.6.12")
FOUR = Cpus((0, 1, 2, 3))


def _plan(haproxy: Haproxy, *, cpus: Cpus = FOUR, version: HaproxyVersion = V2_6) -> ProcessModel:
    return plan_processes(haproxy, RUN, cpus, version)


def test_auto_is_one_process_for_each_usable_cpu_of_the_mask() -> None:
    model = _plan(Haproxy(), cpus=Cpus((3, 5, 7), quota=1.5))

    assert [process.cpu for process in model.processes] == [3, 5]
    assert model.warnings == ()


def test_each_process_has_its_program_socket_and_stats_port() -> None:
    model = _plan(Haproxy(processes=2))
    seen = [(p.number, p.program, p.socket, p.stats_port) for p in model.processes]

    assert seen == [
        (1, "haproxy-01", "/run/lbctl/haproxy/01.sock", 8001),
        (2, "haproxy-02", "/run/lbctl/haproxy/02.sock", 8002),
    ]
    assert model.programs == ("haproxy-01", "haproxy-02")


def test_each_program_loads_haproxy_cfg_first_and_its_own_file_last() -> None:
    model = _plan(Haproxy(processes=2))
    argv = model.argv("haproxy-02", RUN, binary="/opt/haproxy")

    assert " ".join(argv) == (
        "/opt/haproxy -W -db -S /run/lbctl/haproxy/master-02.sock,mode,600 -L lbctl-local-02"
        " -f /run/lbctl/haproxy/haproxy.cfg -f /run/lbctl/haproxy/services.cfg"
        " -f /run/lbctl/haproxy/proc-02.cfg"
    )


def test_a_process_bears_the_name_of_its_host_among_peers() -> None:
    model = plan_processes(Haproxy(processes=2), RUN, FOUR, V2_6, peer_host="10.0.1.11")
    argv = model.argv("haproxy-02", RUN)

    assert argv[argv.index("-L") + 1] == "lbctl-10.0.1.11-02"


def test_an_operators_own_peers_go_by_the_name_of_the_host() -> None:
    model = plan_processes(Haproxy(processes=1), RUN, FOUR, V2_6, peer_host="")

    assert "-L" not in model.argv("haproxy-01", RUN)


@pytest.mark.parametrize("version", [V2_2, V2_4])
def test_up_to_2_4_one_program_runs_all(version: HaproxyVersion) -> None:
    model = _plan(Haproxy(processes=3), version=version)

    assert model.model == "nbproc"
    assert model.programs == ("haproxy-01",)
    assert [process.number for process in model.processes] == [1, 2, 3]
    assert model.argv("haproxy-01", RUN)[-1] == "/run/lbctl/haproxy/nbproc.cfg"
    assert str(model.master_socket("haproxy-01", RUN)) == "/run/lbctl/haproxy/master-01.sock"


def test_more_processes_than_cpus_run_unpinned_with_a_warning() -> None:
    model = _plan(Haproxy(processes=5))

    assert [process.cpu for process in model.processes] == [None] * 5
    assert len(model.warnings) == 1
    assert "haproxy.processes = 5 with 1 thread(s) each on 4 usable CPU(s)" in model.warnings[0]


def test_a_process_with_threads_is_not_held_on_one_cpu() -> None:
    model = _plan(Haproxy(processes=2, threads=2))

    assert [process.cpu for process in model.processes] == [None, None]
    assert model.warnings == ()


def test_nbproc_has_no_threads_and_says_so() -> None:
    model = _plan(Haproxy(processes=2, threads=2), version=V2_2)

    assert [process.cpu for process in model.processes] == [0, 1]
    assert "haproxy.threads = 2 has no effect" in model.warnings[0]


def test_ports_beyond_the_last_are_refused() -> None:
    haproxy = Haproxy(processes=3, stats=Stats(port_base=65534))

    with pytest.raises(ConfigError, match=r"haproxy\.stats\.port_base: 65534: 3 processes need"):
        _plan(haproxy)


@pytest.mark.parametrize(
    ("bind", "dialled"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("*", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("[::]", "::1"),
        ("[fd00::7]", "fd00::7"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_stats_host_is_what_a_client_on_this_host_dials(bind: str, dialled: str) -> None:
    model = _plan(Haproxy(processes=1, stats=Stats(bind=bind)))

    assert dialled == model.processes[0].stats_host


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("peers mine\n    peer a 10.0.0.1:1\n", True),
        ("global\npeers mine # ours\n", True),
        ("# peers mine\nbackend b\n    stick-table type ip size 1k peers mine\n", False),
    ],
)
def test_a_peers_section_of_the_operators_own_is_seen(text: str, expected: bool) -> None:
    assert has_peers(text) == expected
