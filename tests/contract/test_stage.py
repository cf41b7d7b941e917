"""The operator's files, read again by root while the bundle runs: judged, handed on, or refused."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.bundle.rpc import SupervisorClient
from lbctl.lab.wait import wait_until
from tests.bundles import Bundle
from tests.places import free_ports, open_directory
from tests.stages import Tasks, as_user, beside, python_as_user

pytestmark = pytest.mark.contract

#: A reading that takes longer keeps the operator waiting: seconds.
STAGE_S, CERTS_S = 1.5, 0.3


class Site:
    """A bundle on ports of its own, with everything generated."""

    def __init__(self, root: Path) -> None:
        self.http, self.tls, self.stats = free_ports(3)
        self.bundle = Bundle(root)
        self.tasks = Tasks(self.bundle)
        self.settings()

    def start(self) -> None:
        """Without its agent, who starts tasks as well, and applies what they find."""
        self.bundle.start()
        self.bundle.wait_up()
        asyncio.run(SupervisorClient(self.bundle.run.supervisor_socket).stop("agent"))
        wait_until(lambda: self.bundle.programs()["agent"][0] == "STOPPED", 5, "the agent to end")

    def settings(self, *, processes: int = 1, **different: object) -> None:
        """Write lb.yaml."""
        http = {"bind": f"127.0.0.1:{self.http}", "tls_bind": f"127.0.0.1:{self.tls}"}
        haproxy = {"processes": processes, "stats": {"port_base": self.stats}}
        self.bundle.configure({"http": http, "haproxy": haproxy, **different})


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    with open_directory() as root:
        site = Site(root)
        site.start()
        yield site
        site.bundle.end()


def snapshot(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_a_start_hands_on_the_first_generation_and_a_reading_the_next(site: Site) -> None:
    first = site.tasks.generation()
    before = site.bundle.programs(), snapshot(site.bundle.run.haproxy)
    site.settings(apply={"gather_ms": 70})
    verdict = site.tasks.verdict()
    second = site.tasks.generation()

    assert (first.number, second.number, verdict.number, verdict.code) == (1, 2, 2, 0)
    assert (first.settings.apply.gather_ms, second.settings.apply.gather_ms) == (50, 70)
    assert second.haproxy_files == first.haproxy_files
    assert set(second.nginx) == {"nginx.conf", "tls.conf", "www/index.html"}
    assert (site.bundle.programs(), snapshot(site.bundle.run.haproxy)) == before
    assert not site.bundle.run.trial.exists()
    assert verdict.took_s < STAGE_S


def test_what_is_handed_on_is_what_a_start_would_write(site: Site) -> None:
    run = site.bundle.run
    site.tasks.verdict()
    generation = site.tasks.generation()

    for name, text in generation.haproxy_files.items():
        assert (run.haproxy / name).read_text() == text
    for name, text in generation.nginx.items():
        assert (run.nginx / name).read_text() == text


def test_a_reading_that_finds_something_wrong_names_all_of_it_and_changes_nothing(
    site: Site,
) -> None:
    before = site.tasks.generation()
    site.bundle.configure(haproxy_cfg="frontend a\n    bind :1\n    bogus\n")
    site.bundle.config.nginx_d.mkdir()
    (site.bundle.config.nginx_d / "site.conf").write_text("server { bogus on; }\n")
    verdict = site.tasks.verdict()
    places = [problem.where for problem in verdict.problems]

    assert (verdict.number, verdict.code) == (None, 13)
    assert f"{site.bundle.config.haproxy_cfg}:3" in places
    assert f"{site.bundle.config.nginx_d}/site.conf:1" in places
    assert site.tasks.generation() == before
    site.bundle.configure("haproxy: {procesess: 3}\nhttp: {bind: 3}\n")
    verdict = site.tasks.verdict()
    assert verdict.code == 12
    assert [problem.where for problem in verdict.problems] == ["lb.yaml:1", "lb.yaml:2"]


def test_what_only_a_start_can_change_is_named_and_the_rest_goes_through(site: Site) -> None:
    site.settings(processes=2, apply={"gather_ms": 70})
    for _ in range(2):
        verdict = site.tasks.verdict()
        settings = site.tasks.generation().settings

        assert verdict.restart == ("haproxy.processes",)
        assert (settings.haproxy.processes, settings.apply.gather_ms) == (1, 70)
    site.settings()
    assert site.tasks.verdict().restart == ()


def test_a_start_that_would_fail_is_refused_before_anybody_tries_it(site: Site) -> None:
    site.settings(processes=2)
    both_ports = {"bind": f"127.0.0.1:{site.stats + 1}"}
    site.bundle.configure(
        {"http": both_ports, "haproxy": {"processes": 2, "stats": {"port_base": site.stats}}}
    )
    verdict = site.tasks.verdict()

    assert verdict.code == 13
    assert any(str(site.stats + 1) in problem.what for problem in verdict.problems)


def test_the_environment_of_the_start_counts_at_every_reading_but_for_secrets(site: Site) -> None:
    site.bundle.stop()
    site.bundle.environ = {"LBCTL_APPLY_GATHER_MS": "90", "LBCTL_PASSWORD": "secret"}
    site.start()
    site.settings(apply={"gather_ms": 70})

    assert site.tasks.verdict().code == 0
    assert site.tasks.generation().settings.apply.gather_ms == 90


def test_what_is_closed_to_everybody_but_its_owner_is_read(site: Site) -> None:
    path = site.bundle.config.haproxy_template
    path.write_text(f"listen a\n    bind 127.0.0.1:{site.http}\n    mode tcp\n")
    os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    path.chmod(0o600)
    (site.bundle.config.root / "part.j2").write_text("x")
    site.tasks.verdict()
    source = site.tasks.generation().source

    assert source is not None
    assert (source.kind, source.path, source.text) == ("template", str(path), path.read_text())
    assert set(source.files) == {"haproxy.cfg.j2", "part.j2"}


_READ = """
import sys
from pathlib import Path
from lbctl.follow.generation import read_generation
from lbctl.layout import RunDir
print(read_generation(RunDir(Path(sys.argv[1]))).number)
"""


def test_the_unprivileged_user_reads_generations_and_can_do_no_more(site: Site) -> None:
    run = site.bundle.run

    assert python_as_user(_READ, str(run.root)).stdout == "1\n"
    for path in (run.inputs / "new", run.current_generation, run.generation(1), run.spec):
        assert as_user("sh", "-c", f"echo >>{path}").returncode != 0
        assert as_user("rm", "-f", str(path)).returncode != 0 or not path.exists()
    copy = run.inputs_copies / run.generation(1).name
    assert as_user("cat", str(run.generation(1))).returncode != 0
    assert as_user("rm", "-f", str(copy)).returncode != 0
    assert as_user("mv", str(run.inputs), f"{run.root}/other").returncode != 0
    assert as_user("flock", "-n", str(run.inputs_lock), "true").returncode != 0
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "ls")
    assert as_user(*nobody, str(run.inputs)).returncode != 0


_PLANT = """
import os, sys, time
run, victim = sys.argv[1:]
print("plants", flush=True)
while True:
    for name in ("nginx.pid", "body", "nginx.conf", "www/index.html", "planted"):
        path = f"{run}/trial/nginx/{name}"
        try:
            if os.path.lexists(path) and not os.path.islink(path):
                os.rename(path, f"{path}.{time.monotonic_ns()}")
            os.symlink(victim, path)
        except OSError:
            pass
"""


def test_what_the_unprivileged_user_puts_in_the_way_leads_root_nowhere(site: Site) -> None:
    run, victim = site.bundle.run, site.bundle.root / "victim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    for path in (run.haproxy_cfg, run.process_cfg(1), run.nginx_conf):
        path.unlink()
        path.symlink_to("/etc/shadow")
    with beside(_PLANT, str(run.root), str(victim)):
        verdicts = [site.tasks.verdict() for _ in range(5)]
    generation = repr(site.tasks.generation()) + str(site.tasks.generation().haproxy_files)

    assert {verdict.code for verdict in verdicts} <= {0, 13}
    assert "root:" not in generation
    assert snapshot(victim) == {"file": b"precious"}
    assert not run.trial.exists()
    assert site.tasks.verdict().code == 0


def test_a_reading_that_is_killed_leaves_a_whole_generation_and_the_next_goes_through(
    site: Site,
) -> None:
    for step in range(8):
        number = site.tasks.generation().number
        site.tasks.begin("stage")
        kill_after(spawned(site.bundle.run.supervisord_log), 3 * step)

        assert site.tasks.generation().number in (number, number + 1)
    assert site.tasks.verdict().code == 0
    assert not site.bundle.run.trial.exists()


def spawned(log: Path) -> int:
    """The pid of the last ``stage``."""
    return int(log.read_text().rpartition("'stage' with pid ")[2].split()[0])


def kill_after(pid: int, ticks: int) -> None:
    """Kill it when it has worked so long, or see it end before; in hundredths of a second."""
    path = Path(f"/proc/{pid}/stat")
    wait_until(lambda: cpu_ticks(path) >= ticks, 5, "its work")
    if path.exists():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not path.exists(), 5, "its end")


def cpu_ticks(path: Path) -> int:
    try:
        words = path.read_text().rpartition(")")[2].split()
    except OSError:
        return 1 << 30
    return int(words[11]) + int(words[12])


def test_certificates_alone_are_read_again_in_a_moment(site: Site) -> None:
    certs = site.bundle.config.certs
    certs.mkdir()
    pem = site.bundle.state.self_signed.read_bytes()
    (certs / "a.pem").write_bytes(pem)
    (certs / "a.pem").chmod(0o600)
    site.settings(apply={"gather_ms": 70})
    first = site.tasks.verdict("certs")
    again = site.tasks.verdict("certs")
    generation = site.tasks.generation()

    assert (first.number, again.number, generation.number) == (2, 2, 2)
    assert generation.certs == {"a.pem": pem}
    # What else has changed waits for a reading of everything.
    assert generation.settings.apply.gather_ms == 50
    assert first.took_s < CERTS_S
    (certs / "b.pem").mkdir()
    refused = site.tasks.verdict("certs")
    assert (refused.number, refused.code) == (None, 13)
    assert "b.pem" in refused.problems[0].where
    assert site.tasks.generation() == generation


def test_a_garbled_certificate_is_refused_by_a_reading_of_everything(site: Site) -> None:
    site.bundle.config.certs.mkdir()
    (site.bundle.config.certs / "a.pem").write_text("no certificate\n")
    verdict = site.tasks.verdict()

    assert verdict.code == 13
    assert "a.pem" in str(verdict.problems)
    assert site.tasks.generation().number == 1


def test_a_service_that_haproxy_refuses_is_named_and_keeps_nothing_else_out(site: Site) -> None:
    good = {"name": "a/v1", "servers": [{"address": "127.0.0.1:1"}]}
    site.settings(services=[good])
    assert site.tasks.verdict().code == 0
    assert [one.name for one in site.tasks.generation().settings.services] == ["a/v1"]
    tls = {"ca_file": "/not/there.pem"}
    site.settings(services=[good, {**good, "name": "b/v1", "tls": tls}])
    verdict = site.tasks.verdict()

    assert (verdict.code, verdict.problems) == (0, ())
    assert verdict.warnings[0].startswith("service b/v1: "), verdict.warnings
    assert not any("a/v1" in warning for warning in verdict.warnings)
    assert [one.name for one in site.tasks.generation().settings.services] == ["a/v1", "b/v1"]
