"""
A plain Debian host from nothing to a node, to another version, and back to nothing.

One pair goes through it in this order; each test but the last leaves a pair that is well.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lbctl import __version__
from lbctl.lab.hosts import Lab
from lbctl.lab.pair import PASSWORD, VIP
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from tests.machines import Machine
from tests.pairs import Tell
from tests.plain_hosts import (
    CHECKOUT,
    INSTALL,
    NGINX,
    OTHER_DEBIAN,
    RELEASES,
    SNAPSHOT,
    UNIT,
    Made,
    killed,
    made_by_vagrantfile,
    main_pid,
    operators_files,
    provision,
    refused,
    role,
    sh,
    wheel_of,
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

NEWER = "0.1.1"
NEWER_WHEEL = f"/srv/lbctl-{NEWER}-py3-none-any.whl"
#: A planned move, as in test_failover.py.
PLANNED_MS = 1300.0


@pytest.fixture(name="made", scope="module")
def _made() -> Iterator[Made]:
    with made_by_vagrantfile() as made:
        yield made


@pytest.fixture(name="lab")
def _lab(made: Made) -> Lab:
    """By this name its dump gets into the report of a failure."""
    made.lab.dumpers[:] = [one.dump for one in made.balancers]
    return made.lab


@pytest.fixture(name="wheel", scope="module")
def _wheel(made: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    """On both balancers; its path there."""
    wheel = wheel_of(NEWER, tmp_path_factory.mktemp("wheel"))
    for node in made.balancers:
        shutil.copy(wheel, node.root / NEWER_WHEEL[1:])
    return NEWER_WHEEL


def test_the_vagrantfile_ends_in_the_demos_picture(made: Made, lab: Lab, tell: Tell) -> None:
    said = made.said["lb2"][-1]
    tell(said)

    assert re.search(r"lb1 +10\.0\.1\.11 +(MASTER|BACKUP)", said)
    assert re.search(r"lb2 +10\.0\.1\.12 +(MASTER|BACKUP)", said)
    assert (said.count("MASTER"), said.count("BACKUP")) == (1, 1)
    assert set(re.findall(r"lb\d with (\w+)", said)) == {"web1", "web2"}


def test_only_lbctl_is_started(made: Made, lab: Lab) -> None:
    for node in made.balancers:
        assert sh(node, "systemctl is-active haproxy nginx lbctl || :").split() == [
            "inactive", "inactive", "active",
        ]  # fmt: skip
        assert sh(node, "systemctl is-enabled haproxy nginx lbctl || :").split() == [
            "disabled", "disabled", "enabled",
        ]  # fmt: skip
        assert sh(node, "ls /usr/sbin/policy-rc.d* || :").startswith("ls: cannot access")


def test_the_password_is_roots_alone(made: Made, lab: Lab) -> None:
    for node in made.balancers:
        assert sh(node, "stat -c '%a %U' /etc/lbctl/password /etc/lbctl/lbctl.env").split() == [
            "600", "root", "600", "root",
        ]  # fmt: skip
        assert PASSWORD not in sh(node, "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'; journalctl")
    assert PASSWORD not in str(made.said)


def test_again_changes_nothing(made: Made, lab: Lab, tell: Tell) -> None:
    before = [(sh(one, SNAPSHOT), main_pid(one)) for one in made.machines.values()]
    started = time.monotonic()
    said = provision(made.machines)
    tell(f"all four again, and the picture: {time.monotonic() - started:.1f} s")

    assert [name for name, lines in said.items() if "nothing was changed" not in lines[0]] == []
    assert [(sh(one, SNAPSHOT), main_pid(one)) for one in made.machines.values()] == before


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"setpriv --reuid=nobody {INSTALL}", "needs root"),
        (f"{INSTALL} --vip 10.0.1.202", "lbctl.env is yours and says LBCTL_VIP=10.0.1.201"),
        (f"{INSTALL} --password-file /etc/hostname", "is another password than /etc/hostname"),
        (f"{INSTALL} /srv/lbctl-9-py3-none-any.whl", "cannot be read"),
        (f"{OTHER_DEBIAN} && {INSTALL}'", "this is debian 11"),
        (f"unshare -m sh -c 'umount -l /run && {INSTALL}'", "systemd does not run here"),
    ],
)
def test_what_cannot_be_done_changes_nothing(made: Made, lab: Lab, line: str, reason: str) -> None:
    node = made["lb1"]
    before = sh(node, SNAPSHOT)

    assert reason in refused(node, line)
    assert sh(node, SNAPSHOT) == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--vip 10.0.1.202", "/etc/lbctl/password is missing"),
        ("--vip 10.0.1.202 --password-file /etc/passwd", "one line of 1 to 19 bytes"),
        ("--vip 192.0.2.1 --password-file /etc/hostname", "no subnet of this host (10.0.1.101/24"),
        ("--vip 10.0.1.202 --interface x --password-file /etc/hostname", "x: no such interface"),
    ],
)
def test_what_could_not_start_is_refused_before_anything_was_changed(
    made: Made, lab: Lab, options: str, reason: str
) -> None:
    web = made["web1"]
    before = sh(web, SNAPSHOT)
    said = refused(web, f"{INSTALL} --take-over {options}")

    assert reason in said
    assert "nothing was changed" in said
    assert sh(web, SNAPSHOT) == before


@pytest.mark.parametrize(
    "options",
    [
        "--vip", "--vip ''", "--vip '10.0.1.1;id'", "--vip 10.0.1.256", "--vip fd00::1",
        "--vip 10.0.1.202 --address 1:2:3", "--vip 10.0.1.202 --address fd00::1::2",
        "--address 10.0.1.202", "--nonsense", "a b", "''",
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(made: Made, lab: Lab, options: str) -> None:
    assert "see deploy/install --help" in refused(made["lb1"], f"{INSTALL} {options}", 2)


def test_a_service_that_somebody_uses_is_not_taken_away(made: Made, lab: Lab) -> None:
    web = made["web1"]
    before = sh(web, SNAPSHOT)
    said = refused(web, INSTALL)

    assert "nginx run here as services of their own" in said
    assert "--take-over" in said
    assert sh(web, SNAPSHOT) == before
    assert sh(web, "systemctl is-active nginx") == "active\n"


def test_an_upgrade_without_a_network_leaves_what_runs(made: Made, lab: Lab, wheel: str) -> None:
    node = made["lb2"]
    pid, releases = main_pid(node), sh(node, RELEASES)
    said = refused(node, f"PIP_RETRIES=0 {INSTALL} {wheel}")

    assert f"pip install {wheel}: failed" in said
    assert "what was installed before stays as it is" in said
    assert sh(node, "lbctl --version") == f"lbctl {__version__}\n"
    assert (main_pid(node), sh(node, RELEASES)) == (pid, releases)


def test_the_next_run_repairs_what_a_killed_one_left(made: Made, lab: Lab, wheel: str) -> None:
    """On one host pip was at work, on another one dpkg; the second balancer is upgraded beside."""
    files = [operators_files(node) for node in made.balancers]
    with ThreadPoolExecutor() as pool:
        in_pip = pool.submit(repaired_after_pip, made["lb2"], wheel)
        in_dpkg = pool.submit(repaired_after_dpkg, made["web2"])
        sh(made["lb1"], f"{INSTALL} {wheel}", online=True)

    assert (in_pip.result(), in_dpkg.result()) == (None, None)
    assert [operators_files(node) for node in made.balancers] == files


def repaired_after_pip(node: Machine, wheel: str) -> None:
    """What is installed then is not yet what runs."""
    pid = main_pid(node)
    sh(node, killed(f"{INSTALL} {wheel}", f"{RELEASES[3:]}/{NEWER}-*/bin/pip"), online=True)

    assert sh(node, "lbctl --version") == f"lbctl {__version__}\n"

    said = sh(node, f"{INSTALL} {wheel}", online=True)

    assert f"lbctl {NEWER} is installed" in said
    assert "was not restarted and runs what was there before" in said
    assert sh(node, "lbctl --version") == f"lbctl {NEWER}\n"
    assert main_pid(node) == pid
    assert f"lbctl {__version__}" in sh(node, "lbctl status")
    # The one that runs and the one that will; not the one that was killed.
    assert len(sh(node, RELEASES).split()) == 2


def repaired_after_dpkg(web: Machine) -> None:
    """What was to be taken over serves until the end, and after it where lbctl does not start."""
    sh(web, killed(f"{INSTALL} --take-over", "/usr/sbin/haproxy"), online=True)

    assert "haproxy" in sh(web, "dpkg --audit")
    assert sh(web, NGINX) == "active\nenabled\n"

    web.write("/root/password", f"{PASSWORD}\n", 0o600)
    options = "--take-over --vip 10.0.1.202 --interface lo --password-file /root/password"
    said = sh(web, f"! {INSTALL} {options}", online=True)

    assert sh(web, "dpkg --audit; ls /usr/sbin/policy-rc.d* 2>/dev/null || :") == ""
    assert "lo is a loopback" in said
    assert "lbctl.service does not start" in said
    assert said.index("is installed") < said.index("nginx.service: stopped and disabled")
    assert said.endswith("nginx.service: runs again as before\n")
    assert sh(web, NGINX) == "active\nenabled\n"
    assert sh(web, "systemctl is-enabled haproxy lbctl || :") == "disabled\ndisabled\n"
    assert sh(web, "systemctl is-active lbctl || :") == "inactive\n"


def test_a_pair_is_upgraded_while_it_serves(made: Made, lab: Lab, wheel: str, tell: Tell) -> None:
    """Both have been installed anew by the test before, and run what was there before."""
    master, backup = made.master_and_backup()
    with Probe(lab["client"], VIP) as probe:
        mark = probe.mark()
        sh(backup, "systemctl restart lbctl")
        sh(master, "systemctl restart lbctl")
        probe.wait_answers(50, 5.0)
        outage_ms = probe.outage_ms(mark)
    tell(f"upgrade of both, backup first: {outage_ms:.0f} ms without an answer")

    assert outage_ms < PLANNED_MS
    made.master_and_backup()
    for node in made.balancers:
        assert f"lbctl {NEWER}" in sh(node, "lbctl status")
        assert ": removed, nobody uses it" in sh(node, f"{INSTALL} {wheel}")
        assert len(sh(node, RELEASES).split()) == 1


def test_a_new_default_lies_beside_the_operators_file(made: Made, lab: Lab, wheel: str) -> None:
    node = made["lb1"]
    shipped = node.root / CHECKOUT / "deploy" / "lbctl.env"
    old = shipped.read_text()
    mine = (node.root / "etc/lbctl/lbctl.env").read_text()
    shipped.write_text(f"{old}# New in this version.\n")
    try:
        said = sh(node, f"{INSTALL} {wheel}", online=True)
        again = sh(node, f"{INSTALL} {wheel}", online=True)
    finally:
        shipped.write_text(old)

    assert "/etc/lbctl/lbctl.env: yours, and stays" in said
    assert (node.root / "etc/lbctl/lbctl.env").read_text() == mine
    assert "New in this version" in (node.root / "etc/lbctl/lbctl.env.new").read_text()
    assert "nothing was changed" in again


def test_the_watcher_tells_of_a_halt(made: Made, lab: Lab, tell: Tell) -> None:
    master, backup = made.master_and_backup()
    with ThreadPoolExecutor(1) as pool:
        web, log = made["web1"], made["web1"].root / "srv/watch"
        log.touch()
        watch = f"sh /{CHECKOUT}/vagrant/watch {VIP} >/srv/watch"
        watching = pool.submit(sh, web, f"{watch} & echo $! >/run/watch; wait $! || :")

        def answered() -> list[str]:
            """Each once: a request that took too long may have shown one twice."""
            return list(dict.fromkeys(re.findall(r"(lb\d) answers", log.read_text())))

        try:
            wait_until(lambda: len(answered()) == 1, 5.0, "a first answer")
            sh(master, "systemctl stop lbctl")
            wait_until(lambda: len(answered()) == 2, 10.0, "an answer of the other one")
        finally:
            sh(web, "kill $(cat /run/watch)")
        watching.result()
    tell(log.read_text())
    sh(master, "systemctl start lbctl")

    assert answered() == [made.name_of(master), made.name_of(backup)]


def test_take_over_is_what_it_says(made: Made, lab: Lab) -> None:
    """And an address that no node has run with is corrected by the next run."""
    web = made["web2"]
    said = sh(web, f"{INSTALL} --take-over --vip 10.0.1.203 --no-start")

    assert "/etc/lbctl/lbctl.env: LBCTL_VIP=10.0.1.203\n" in said
    assert "nginx.service: stopped and disabled, since lbctl runs its own" in said
    assert "lbctl.service does not run. The next steps" in said
    assert sh(web, "systemctl is-active nginx lbctl || :").split() == ["inactive", "inactive"]
    assert "nothing was changed" in sh(web, f"{INSTALL} --vip 10.0.1.203 --no-start")


def test_a_node_that_does_not_get_ready_is_not_waited_for_for_ever(made: Made, lab: Lab) -> None:
    web = made["web2"]
    web.write(f"{UNIT}.d/late.conf", "[Service]\nExecStartPre=/bin/sleep 100\n")
    shorter = "sed s/^start_patience_s=.*/start_patience_s=1/ install >shorter && sh ./shorter"
    said = refused(web, f"cd /{CHECKOUT}/deploy && {shorter} --vip 10.0.1.203")

    assert "lbctl.service is not ready after 1 s: it does not say why; it goes on trying" in said
    assert sh(web, "systemctl is-active lbctl || :") == "activating\n"
    assert sh(web, "systemctl is-enabled lbctl") == "enabled\n"
    assert "lbctl.env is yours" in refused(web, f"{INSTALL} --vip 10.0.1.204")

    sh(web, f"systemctl disable --now lbctl; rm -r {UNIT}.d")
    sh(web, "systemctl daemon-reload; systemctl reset-failed lbctl || :")


def test_a_configuration_that_is_wrong_is_not_started(made: Made, lab: Lab, wheel: str) -> None:
    """Nor does another version take the place of the one that is installed."""
    web = made["web2"]
    web.write("/haproxy/haproxy.cfg", "frontend x\n    bind :80\n    nonsense\n")
    said = refused(web, f"{INSTALL} --vip 10.0.1.203")

    assert "lbctl check: failed" in said
    assert "nonsense" in said
    assert sh(web, "systemctl is-active lbctl || :") == "inactive\n"

    shutil.copy(made["lb1"].root / wheel[1:], web.root / wheel[1:])
    refused_too = sh(web, f"! {INSTALL} {wheel}", online=True)

    assert "what was installed before stays as it is" in refused_too
    assert sh(web, "lbctl --version") == f"lbctl {__version__}\n"


def test_each_unit_that_was_changed_by_hand_is_kept(made: Made, lab: Lab) -> None:
    web = made["web2"]
    for number in (1, 2):
        sh(web, f"echo '# {number}' >>{UNIT}; {INSTALL}")

    assert sh(web, f"tail -qn 1 {UNIT}.old.~1~ {UNIT}.old") == "# 1\n# 2\n"


def test_uninstall_removes_nothing_under_what_runs(made: Made, lab: Lab) -> None:
    """Then everything, and what an installer left that was killed."""
    web = made["web2"]
    sh(web, f". /{CHECKOUT}/scripts/no-services; forbid_services")
    sleep = "/opt/lbctl/bin/python -c 'import time; time.sleep(300)'"
    sh(web, f"{sleep} >/dev/null 2>&1 & echo $! >/run/by-hand")
    said = refused(web, "/opt/lbctl/uninstall --purge")

    assert "started by hand" in said
    assert f"  {sh(web, 'cat /run/by-hand').strip()}: /opt/lbctl/bin/python" in said
    assert sh(web, "lbctl --version") == f"lbctl {__version__}\n"

    sh(web, "kill $(cat /run/by-hand); flock /run/lbctl-install.lock true")
    sh(web, "/opt/lbctl/uninstall --purge")
    left = f"/opt/lbctl /haproxy /etc/lbctl {UNIT}* /usr/sbin/policy-rc.d*"
    assert "\n/" not in f"\n{sh(web, f'ls -d {left} || :')}"


def test_uninstall_leaves_what_is_the_operators(made: Made, lab: Lab) -> None:
    master, backup = made.master_and_backup()
    files = operators_files(master)
    with Probe(lab["client"], VIP) as probe:
        mark = probe.mark()
        said = sh(master, "/opt/lbctl/uninstall")
        probe.wait_answers(50, 5.0)

        assert probe.outage_ms(mark) < PLANNED_MS
    assert "/haproxy: left, it is yours" in said
    assert operators_files(master) == files
    assert (master.root / "var/lib/lbctl/node-id").exists()
    gone = "/opt/lbctl /usr/local/bin/lbctl /etc/systemd/system/lbctl.service /run/lbctl"
    assert sh(master, f"ls -d {gone} || :").count("cannot access") == len(gone.split())
    assert role(backup) == "MASTER"

    picture = f"python3 /{CHECKOUT}/vagrant/picture {VIP} 10.0.1.11 10.0.1.12"
    assert "the other node does not answer" in sh(backup, picture)


def test_purge_leaves_nothing(made: Made, lab: Lab) -> None:
    """After uninstall too."""
    node = made["lb1"]
    sh(node, f"sh /{CHECKOUT}/deploy/uninstall")
    said = sh(node, f"sh /{CHECKOUT}/deploy/uninstall --purge")

    assert "not installed here" in said
    assert not [
        name for name in ("haproxy", "etc/lbctl", "var/lib/lbctl") if (node.root / name).exists()
    ]
