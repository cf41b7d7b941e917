"""``lbctl render --once`` against a real Consul; and what ``lbctl check`` says of sources."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lbctl.cli.main import main
from lbctl.errors import EXIT_UNREACHABLE, EXIT_VALIDATION
from tests.consuls import ConsulAgent, consul
from tests.places import free_ports

Command = Callable[..., int]


@pytest.fixture(name="command")
def _command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    for name in [name for name in os.environ if name.startswith("LBCTL_")]:
        monkeypatch.delenv(name)
    dirs = [f"--{one}-dir={tmp_path / one}" for one in ("config", "run", "state")]

    def run(*argv: str, **environ: str) -> int:
        for name, text in environ.items():
            monkeypatch.setenv(name, text)
        return main([*argv, *dirs])

    return run


@pytest.fixture(name="agent")
def _agent(tmp_path: Path) -> Iterator[ConsulAgent]:
    root = tmp_path / "consul"
    root.mkdir()
    with consul(root) as agent:
        yield agent


def test_the_dry_run_of_the_article_in_current_words(
    agent: ConsulAgent, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.ask("PUT", "/v1/kv/service/haproxy/maxconn", b"1024")
    agent.ask("PUT", "/v1/kv/service/haproxy/timeouts/client", b"60000")
    agent.ask("PUT", "/v1/kv/service/haproxy/timeouts/server", b"soon")
    agent.register("hello/v1", "hello1", 32768, Address="192.168.99.100")

    code = command("render", "--once", LBCTL_DISCOVERY_CONSUL_URL=agent.url)

    shown = capsys.readouterr()
    lines = [line.strip() for line in shown.out.splitlines()]
    assert code == 0, shown.err
    assert lines[1] == "global"
    assert {"maxconn 1024", "timeout client 60000", "timeout server 50s"} <= set(lines)
    backend = lines[lines.index("backend hello:v1") :]
    assert "balance roundrobin" in backend
    assert any(line.startswith("option httpchk") for line in backend)
    assert any("192.168.99.100:32768" in line for line in backend if line.startswith("server "))
    assert "==>" not in shown.out
    assert "haproxy.timeouts.server" in shown.err


def test_a_source_that_does_not_answer_ends_the_dry_run(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.1 web\n")
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    environ = {"LBCTL_DISCOVERY_CONSUL_URL": url, "LBCTL_DISCOVERY_HOSTS_PATH": str(hosts)}

    code = command("render", "--once", **environ)

    shown = capsys.readouterr()
    assert (code, shown.out) == (EXIT_UNREACHABLE, "")
    assert shown.err == f"lbctl: error: consul {url}: Connection refused\n"
    assert command("render", **environ) == 0


def test_a_token_that_cannot_be_read_ends_it_before_anybody_is_asked(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    environ = {"LBCTL_DISCOVERY_CONSUL_TOKEN_FILE": str(tmp_path / "none")}

    assert command("render", "--once", **environ) == EXIT_VALIDATION
    assert command("check", **environ) == EXIT_VALIDATION
    said = f"discovery.consul.token_file: {tmp_path}/none: cannot be read: No such file"
    assert capsys.readouterr().err.count(said) == 2


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (0o660, ""),
        (0o666, ""),
        (0o600, "may not use it, and finds nothing there: give it a group"),
        (None, "is not there: it is asked when it is; its group's rights come with the next start"),
    ],
)
def test_a_socket_that_the_user_may_not_use_is_warned_of(
    command: Command,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    mode: int | None,
    expected: str,
) -> None:
    if os.geteuid() != 0 and mode == 0o600:
        expected = ""  # it is this user's own
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    path = tmp_path / "docker.sock"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        if mode is not None:
            listener.bind(str(path))
            path.chmod(mode)
            os.chown(path, -1, 4321 if os.geteuid() == 0 else -1)
        code = command("check", LBCTL_DISCOVERY_DOCKER_URL=f"unix://{path}")

    said = capsys.readouterr().err
    assert code == 0
    if expected:
        assert f"lbctl: warning: discovery.docker.url: {path}" in said
    assert expected in said
    assert ("discovery.docker" in said) == bool(expected)


def test_a_hosts_file_that_is_not_there_or_closed_is_warned_of(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.touch(mode=0o000)
    for path, expected in ((tmp_path / "none", "is not there"), (closed, "may not read it")):
        assert command("check", LBCTL_DISCOVERY_HOSTS_PATH=str(path)) == 0
        said = capsys.readouterr().err
        assert f"discovery.hosts.path: {path}" in said
        assert expected in said
