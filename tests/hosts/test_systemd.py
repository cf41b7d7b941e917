"""
The service lbctl.service under a real systemd: a pair of Debian 12 and Debian 13.

Both machines are installed once, by ``deploy/install``; each test begins with a pair that is well.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from lbctl.lab.backend import serve
from lbctl.lab.hosts import Lab, run
from lbctl.lab.pair import PASSWORD, VIP
from lbctl.lab.wait import wait_until
from tests.machines import machine
from tests.pairs import DEAD_TIME_S, Tell
from tests.services import RESTART_S, START_S, Service, Stage, install

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SUITES = {"a": "bookworm", "b": "trixie"}
#: A planned stop: longer than a request of the probe may take, and the peer's first second.
PLANNED_MS = 1300
#: Killed by the watchdog, then told to the peer by a program that has to be loaded first.
FROZEN_MS = 2500
WATCHDOG_S = 15.0
#: ``systemd-analyze security``: ten times the exposure that docs/hosts.md names.
EXPOSURE = 34
#: CHOWN DAC_OVERRIDE FOWNER KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_ADMIN NET_RAW SYS_NICE
CAPABILITIES = sum(1 << bit for bit in (0, 1, 3, 5, 6, 7, 8, 10, 12, 13, 23))


@pytest.fixture(scope="module", name="stage")
def _stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        for web in ("web1", "web2"):
            serve(lab[web])
        booted = [stack.enter_context(machine(lab[name], suite)) for name, suite in SUITES.items()]
        with ThreadPoolExecutor() as pool:
            a, b = pool.map(install, booted)
        try:
            yield Stage(lab, (a, b))
        except BaseException:
            sys.stdout.write(lab.dump())
            raise


@pytest.fixture(name="pair")
def _pair(stage: Stage) -> tuple[Service, Service]:
    """(master, backup), both well."""
    return stage.wait_well()


@pytest.fixture(name="stopped")
def _stopped(stage: Stage) -> Service:
    """One that does not run, beside one that does."""
    other, stopped = stage.services
    other.systemctl("start", "lbctl")
    stopped.systemctl("stop", "lbctl")
    return stopped


@pytest.fixture(params=[0, 1], ids=list(SUITES.values()), name="service")
def _service(request: pytest.FixtureRequest, stage: Stage) -> Service:
    """Each of the two, in a pair that is well."""
    stage.wait_well()
    return stage.services[request.param]


def test_a_start_returns_when_the_node_serves_and_has_a_role(
    stage: Stage, pair: tuple[Service, Service]
) -> None:
    _, backup = pair
    backup.systemctl("stop", "lbctl")
    backup.systemctl("start", "lbctl")

    assert backup.role() == "BACKUP"
    assert backup.show("ActiveState") == "active"
    assert backup.show("StatusText").startswith("BACKUP")
    assert "answers /" in stage.ask(f"http://{backup.on.host.address}/")


def test_the_status_follows_a_handover_within_two_turns(pair: tuple[Service, Service]) -> None:
    master, backup = pair
    master.on.run("lbctl", "handover")

    wait_until(lambda: backup.show("StatusText") == f"MASTER: holds {VIP}/32", 3.0, "a MASTER")
    told = f"BACKUP of {backup.on.host.address}"
    wait_until(lambda: master.show("StatusText") == told, 3.0, "a BACKUP")


def test_a_stop_of_the_master_is_a_planned_one(
    stage: Stage, pair: tuple[Service, Service], tell: Tell
) -> None:
    master, _ = pair
    with stage.probe() as probe:
        mark = probe.mark()
        master.systemctl("stop", "lbctl")
        probe.wait_answers(20, 5.0)
        outage_ms = probe.outage_ms(mark)
    tell(f"systemctl stop on the MASTER ({master.name}): {outage_ms:.0f} ms without an answer")

    assert outage_ms < PLANNED_MS
    assert master.show("Result") == "success"
    assert VIP not in master.addresses()
    assert not (master.on.root / "run/lbctl").exists()


def test_a_restart_of_the_master_is_a_planned_stop_too(
    stage: Stage, pair: tuple[Service, Service], tell: Tell
) -> None:
    master, _ = pair
    with stage.probe() as probe:
        mark = probe.mark()
        master.systemctl("restart", "lbctl")
        outage_ms = probe.outage_ms(mark)
    tell(f"systemctl restart on the MASTER ({master.name}): {outage_ms:.0f} ms")

    assert outage_ms < PLANNED_MS
    assert master.role() == "BACKUP"


def test_a_killed_supervisord_is_started_again_and_one_node_holds_the_address(
    stage: Stage, pair: tuple[Service, Service], tell: Tell
) -> None:
    master, _ = pair
    killed = master.main_pid
    with stage.probe() as probe:
        mark = probe.mark()
        master.signal("KILL", killed)
        most = stage.wait_restarted(master, killed)
        outage_ms = probe.outage_ms(mark)
    tell(f"kill -9 of supervisord on the MASTER ({master.name}): {outage_ms:.0f} ms")

    # Left to itself the peer waits for the dead time, 2 s at least after an advertisement that just
    # left. So somebody told it: vipd, where it came to that, or what systemd runs after it.
    assert outage_ms < (DEAD_TIME_S - 1.0) * 1000
    assert most <= 1


def test_a_frozen_supervisord_is_replaced_and_the_addresses_are_given_away_first(
    stage: Stage, pair: tuple[Service, Service], tell: Tell
) -> None:
    master, backup = pair
    frozen = master.main_pid
    with stage.probe() as probe:
        mark = probe.mark()
        master.signal("STOP", frozen)
        most = stage.wait(lambda: backup.role() == "MASTER", WATCHDOG_S + 5.0, "the peer")
        stage.wait_restarted(master, frozen)
        outage_ms = probe.outage_ms(mark)
    tell(f"SIGSTOP of supervisord on the MASTER ({master.name}): {outage_ms:.0f} ms")

    assert outage_ms < FROZEN_MS
    assert most <= 1


def test_a_frozen_haproxy_is_found_and_killed(service: Service) -> None:
    """With ``ProtectProc=invisible`` the agent would not see it."""
    status = json.loads(service.on.run("lbctl", "status", "--json").stdout)
    master = next(p["pid"] for p in status["programs"] if p["name"] == "haproxy-01")
    worker = service.on.run("cat", f"/proc/{master}/task/{master}/children").stdout.split()[0]
    service.signal("STOP", int(worker))

    def is_killed() -> bool:
        said = service.on.run("lbctl", "events", "-n", "5").stdout
        return re.search(rf"haproxy-01 did not answer.*killed \(pids.*{worker}", said) is not None

    wait_until(is_killed, 10.0, "a killed worker")
    assert not (service.on.root / "proc" / worker).exists()


def test_a_start_that_is_refused_says_why_and_is_tried_again(stopped: Service) -> None:
    cfg, cursor = stopped.on.root / "haproxy/haproxy.cfg", stopped.cursor()
    good = cfg.read_text()
    cfg.write_text(f"{good}    nonsense\n")
    code = stopped.systemctl("start", "lbctl", check=False)
    told, addresses = stopped.show("StatusText"), stopped.addresses()
    shown = stopped.on.run("systemctl", "status", "lbctl", check=False).stdout
    cfg.write_text(good)

    assert code == 1
    assert "haproxy.cfg" in told
    assert "unknown keyword 'nonsense'" in told
    assert told in shown
    assert "status=13" in shown
    assert "unknown keyword 'nonsense'" in stopped.journal(cursor)
    assert VIP not in addresses
    wait_until(lambda: stopped.role() == "BACKUP", RESTART_S + START_S, "another try")


def test_wrong_arguments_and_settings_are_not_tried_again(stopped: Service) -> None:
    variables = stopped.on.root / "etc/lbctl/lbctl.env"
    good = variables.read_text()
    seen = {}
    for line in ("LBCTL_VIP=nobody", "LBCTL_HA_VHIT=3"):
        variables.write_text(f"{good}{line}\n")
        stopped.systemctl("start", "lbctl", check=False)
        seen[line] = (stopped.show("ActiveState"), stopped.show("ExecMainStatus"))
    variables.write_text(good)

    assert seen == {"LBCTL_VIP=nobody": ("failed", "11"), "LBCTL_HA_VHIT=3": ("failed", "12")}


def test_a_node_without_a_link_has_started_and_says_what_it_lacks(
    stage: Stage, stopped: Service
) -> None:
    port = ["ip", "-n", stage.lab.switch, "link", "set", "dev", stopped.name]
    run([*port, "down"])
    try:
        stopped.systemctl("start", "lbctl")
        told = stopped.show("StatusText")
    finally:
        run([*port, "up"])

    assert told == "INIT: eth0 has no link"


def test_without_variables_it_is_a_plain_balancer(stopped: Service) -> None:
    variables = stopped.on.root / "etc/lbctl/lbctl.env"
    aside = variables.rename(variables.with_suffix(".aside"))
    try:
        stopped.systemctl("restart", "lbctl")
        told = stopped.show("StatusText")
    finally:
        aside.rename(variables)
        stopped.systemctl("stop", "lbctl")

    assert re.fullmatch(r"no virtual IP; HAProxy [\d.]+, \d process\(es\)", told)


def test_a_reload_has_the_files_read_again_and_starts_nothing_anew(service: Service) -> None:
    before = service.show("MainPID")
    service.on.run("systemctl", "reload", "lbctl")
    settings = service.on.run("sh", "-c", "cat /haproxy/lb.yaml || :").stdout
    service.on.run("sh", "-c", "echo 'http: [' >>/haproxy/lb.yaml")
    refused = service.on.run("systemctl", "reload", "lbctl", check=False)
    service.on.run("sh", "-c", 'printf %s "$1" >/haproxy/lb.yaml', "sh", settings)
    told = service.on.run("lbctl", "events").stdout

    assert "the operator's files were read again, asked for by root" in told
    assert refused.returncode != 0
    assert "lb.yaml" in service.on.run("journalctl", "-q", "-t", "lbctl", "-o", "cat").stdout
    assert (service.show("MainPID"), service.show("ActiveState")) == (before, "active")


def test_the_journal_names_the_program_of_each_line_and_no_password(service: Service) -> None:
    lines = service.on.run("journalctl", "-q", "-t", "lbctl", "-o", "cat").stdout.splitlines()
    own = re.compile(
        r"(haproxy-\d\d|nginx|ucarp|vipd|agent|logd|stage|certs) \| |lbctl: (error|warning): "
        # What `lbctl reload` says.
        r"|HAProxy: |nginx: |  \S"
    )
    warned = {line for line in lines if line.startswith("lbctl: warning")}

    assert len(lines) > 5
    assert {line[:60] for line in lines if not own.match(line)} == set()
    # Of what was done to it on purpose, no more.
    assert {one for one in warned if not re.search("bundle was killed|no carrier", one)} == set()
    assert PASSWORD not in service.on.run("journalctl", "-q").stdout


def test_no_program_of_the_bundle_can_take_itself_for_the_service(service: Service) -> None:
    group = f"/sys/fs/cgroup{service.show('ControlGroup')}/cgroup.procs"
    pids = service.on.run("cat", group).stdout.split()
    script = 'for pid; do tr "\\0" "\\n" <"/proc/$pid/environ"; done'
    environment = service.on.run("sh", "-c", script, "sh", *pids).stdout
    names = {line.partition("=")[0] for line in environment.splitlines()}

    assert len(pids) > 8
    assert "LBCTL_NOTIFY_SOCKET" in names
    assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LBCTL_PASSWORD_FILE"}


def test_the_unit_is_well_formed_and_as_closed_as_the_document_says(service: Service) -> None:
    verified = service.on.run("systemd-analyze", "verify", "lbctl.service")
    security = ("systemd-analyze", "security", f"--threshold={EXPOSURE}", "lbctl.service")
    judged = service.on.run(*security, check=False)

    assert verified.stdout + verified.stderr == ""
    assert judged.returncode == 0, judged.stdout[-300:]


@pytest.mark.parametrize(
    "forbidden",
    [
        "touch /etc/lbctl/new",
        "touch /usr/new",
        "touch /haproxy/new",
        "touch /opt/lbctl/new",
        "ls /root/password",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        "mkdir /sys/fs/cgroup/new",
        "ls /tmp/here",
    ],
)
def test_its_programs_cannot(service: Service, forbidden: str) -> None:
    """The same is possible outside of the service."""
    service.on.run("touch", "/tmp/here")
    inside = ["nsenter", "-t", str(service.main_pid), "-m", "sh", "-c", forbidden]
    refused = service.on.run(*inside, check=False)

    assert refused.returncode != 0
    service.on.run(*inside[:-1], "touch /var/lib/lbctl/x /tmp/x && rm /var/lib/lbctl/x /tmp/x")


def test_its_powers_are_those_that_are_listed(service: Service) -> None:
    text = service.on.run("cat", f"/proc/{service.main_pid}/status").stdout
    status = dict(line.split(":\t", 1) for line in text.splitlines())

    assert int(status["CapBnd"], 16) == CAPABILITIES
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
