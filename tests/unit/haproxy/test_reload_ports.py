"""Ports that a reload would find taken, on this host's loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.haproxy.ports import taken_ports
from tests.places import NOBODY

PLAIN = "frontend a\n    bind 127.0.0.1:{port}\n"
ASK = """
import sys
from lbctl.haproxy.ports import taken_ports
print(*taken_ports(sys.argv[1], ""), sep="\\n")
"""


@pytest.fixture(name="taken")
def _taken() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def port_of(link: socket.socket) -> int:
    port = link.getsockname()[1]
    assert isinstance(port, int)
    return port


def test_a_port_that_another_program_has_is_named_by_its_line(taken: socket.socket) -> None:
    with taken:
        (problem,) = taken_ports(PLAIN.format(port=port_of(taken)), "", name="services.cfg")

    assert str(problem) == (
        f"services.cfg:2: bind 127.0.0.1:{port_of_text(problem.what)}: another program listens "
        "there; a reload would interrupt the service"
    )


def port_of_text(what: str) -> str:
    return what.partition("127.0.0.1:")[2].partition(":")[0]


def test_a_port_of_every_address_meets_one_that_has_an_address(taken: socket.socket) -> None:
    with taken:
        assert taken_ports(f"frontend a\n    bind :{port_of(taken)}\n", "")


def test_a_port_that_haproxy_has_already_is_its_own(taken: socket.socket) -> None:
    with taken:
        text = PLAIN.format(port=port_of(taken))

        assert taken_ports(text + "    # new\n", text) == ()


def test_a_free_port_and_one_that_is_shared_are_no_problem(taken: socket.socket) -> None:
    port = port_of(taken)
    taken.close()

    assert taken_ports(PLAIN.format(port=port), "") == ()
    with socket.socket() as sharing:
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sharing.bind(("127.0.0.1", port))
        sharing.listen()

        assert taken_ports(PLAIN.format(port=port), "") == ()


def test_an_address_that_is_not_here_yet_is_no_problem() -> None:
    assert taken_ports("frontend a\n    bind 192.0.2.201:65000\n", "") == ()


def test_who_may_not_bind_low_ports_goes_by_what_listens(tmp_path: Path) -> None:
    # A network of its own: this host's port 80 is not ours to take.
    script = tmp_path / "ask.py"
    script.write_text(ASK)
    serve = "import socket, os, sys; s = socket.create_server(('{address}', 80){more}); "
    serve += "os.set_inheritable(s.fileno(), True); os.execvp(sys.argv[1], sys.argv[1:])"
    for address, more, bind, is_taken in (
        ("127.0.0.1", "", "127.0.0.1:80", True),
        ("0.0.0.0", "", "127.0.0.1:80", True),
        ("127.0.0.1", "", ":81", False),
        ("::1", ", family=socket.AF_INET6", "[::1]:80", True),
        ("::1", ", family=socket.AF_INET6", "127.0.0.1:80", False),
    ):
        code = serve.format(address=address, more=more)
        text = f"frontend a\n    bind {bind}\n"
        asked = [*NOBODY, sys.executable, "-c", ASK, text]
        inner = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, "-c", code]
        done = subprocess.run(
            ["unshare", "-n", *inner, *asked], check=True, capture_output=True, text=True
        )

        assert ("another program listens there" in done.stdout) == is_taken, (bind, done.stdout)
