"""dnsmasq and rsyslogd: when they run, and with which words."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lbctl.launch.dnsmasq import dnsmasq_options
from lbctl.launch.syslog import is_free, receiver, rsyslogd_conf
from lbctl.layout import RunDir
from lbctl.settings.discovery import Discovery, Dns, Hosts, Syslog

LOGS = "global\n    log {} local0\n"


def options(*nameservers: str, port: int = 53) -> tuple[str, ...]:
    hosts = Hosts(path="/etc/hosts", dnsmasq=True, dnsmasq_port=port)
    return dnsmasq_options(Discovery(hosts=hosts, dns=Dns(nameservers=nameservers)))


def test_dnsmasq_answers_from_the_file_to_this_host_alone() -> None:
    words = options(port=5353)

    assert {"--no-hosts", "--addn-hosts=/etc/hosts", "--port=5353"} <= set(words)
    assert {"--listen-address=127.0.0.1", "--bind-interfaces"} <= set(words)
    assert "--no-resolv" not in words


def test_dnsmasq_asks_the_others_and_never_itself() -> None:
    upstream = [one for one in options("127.0.0.1", "10.0.0.2:5353", "fd00::2") if "server" in one]
    alone = options("127.0.0.1:53")

    assert upstream == ["--server=10.0.0.2#5353", "--server=fd00::2#53"]
    assert "--no-resolv" not in alone


def test_dnsmasq_is_not_there_unasked() -> None:
    assert dnsmasq_options(Discovery(hosts=Hosts(path="/etc/hosts"))) == ()


def test_rsyslogd_runs_where_nobody_else_listens(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tmp_path.chmod(0o755)
    before = receiver(Syslog(), LOGS.format(path)).places
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        beside = receiver(Syslog(), LOGS.format(path)).places
    left = receiver(Syslog(), LOGS.format(path)).places

    assert (before, beside, left) == ((str(path),), (), (str(path),))


def test_an_address_that_somebody_has_is_not_free() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{other.getsockname()[1]}"
        taken = is_free(place)
        wanted = receiver(Syslog(run="yes", listen=(place,)), "")

    assert not taken
    assert is_free(place)
    assert f"{place}: another program receives there already" in str(wanted.problems[0])


def test_what_the_running_one_receives_is_not_somebody_elses() -> None:
    """Else a look at a running bundle would find that it needs none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{own.getsockname()[1]}"
        running = rsyslogd_conf(RunDir(Path("/run/lbctl")), (place,))
        found = receiver(Syslog(), LOGS.format(place), running)

    assert (found.places, found.warnings, found.problems) == ((place,), (), ())


@pytest.mark.parametrize("text", ["", LOGS.format("10.0.0.5:514"), LOGS.format("stdout")])
def test_rsyslogd_does_not_run_where_nothing_is_logged_here(text: str) -> None:
    found = receiver(Syslog(), text)

    assert (found.places, found.warnings, found.problems) == ((), (), ())


def test_no_means_no() -> None:
    assert receiver(Syslog(run="no"), LOGS.format("127.0.0.9:21998")).places == ()


def test_yes_without_a_place_says_so() -> None:
    (said,) = receiver(Syslog(run="yes"), "").warnings

    assert "set syslog.listen" in said


@pytest.mark.parametrize(
    ("given", "place"),
    [("127.0.0.9", "127.0.0.9:514"), ("127.0.0.9:8514", "127.0.0.9:8514"), ("::1", "[::1]:514")],
)
def test_a_place_of_lb_yaml_has_the_port_of_syslog(given: str, place: str) -> None:
    assert receiver(Syslog(listen=(given,)), LOGS.format("/nowhere")).places == (place,)


def test_a_socket_in_a_directory_of_another_user_is_no_success(tmp_path: Path) -> None:
    """In auto what is lost is said; yes is refused."""
    home = tmp_path / "theirs"
    home.mkdir(mode=0o700)
    os.chown(home, 12345, 12345)
    text = LOGS.format(home / "log")
    automatic, wanted = receiver(Syslog(), text), receiver(Syslog(run="yes"), text)

    assert automatic.places == ()
    assert "is lost" in automatic.warnings[0]
    assert "may not make a socket in" in automatic.warnings[0]
    assert "may not make a socket in" in str(wanted.problems[0])


def test_a_missing_rsyslogd_is_a_warning_in_auto_and_a_problem_in_yes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    text = LOGS.format("127.0.0.9:21997")
    (said,) = receiver(Syslog(), text).warnings
    (problem,) = receiver(Syslog(run="yes"), text).problems

    assert said.startswith("syslog: what HAProxy logs to 127.0.0.9:21997 is lost")
    assert "install the Debian package rsyslog" in said
    assert "install the Debian package rsyslog" in problem.what


def test_its_configuration_receives_at_each_place_and_nowhere_else() -> None:
    text = rsyslogd_conf(RunDir(Path("/run/lbctl")), ("/dev/log", "[::1]:514"))

    assert 'input(type="imuxsock" socket="/dev/log")' in text
    assert 'input(type="imudp" address="::1" port="514")' in text
    assert 'SysSock.Use="off"' in text
    assert 'pipe="/run/lbctl/log/rsyslogd.fifo"' in text
    assert "imudp" not in rsyslogd_conf(RunDir(Path("/run/lbctl")), ("/dev/log",))
