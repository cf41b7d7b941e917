"""The API over TCP of a running bundle: TLS, two tokens, and whoever wants in without one."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lbctl.api.gate import REVOKED_S
from lbctl.lab import local
from lbctl.lab.wait import wait_until
from tests.bundles import Bundle
from tests.pems import Issued, issue
from tests.places import free_ports, open_directory

pytestmark = pytest.mark.contract

WRITE, READ = "a-token-to-write-with", "a-token-to-read-with"
ONE, OTHER = issue("one.example.com"), issue("other.example.com")
#: The agent's own, however many want in: a share of a busy machine.
LATENCY_S = 1.0


@dataclass(frozen=True, slots=True)
class Guarded:
    """A bundle whose API speaks TLS."""

    bundle: Bundle
    port: int
    pem: Path

    def show(self, issued: Issued | None) -> None:
        """The certificate that is to be shown; None: what is none."""
        self.pem.write_bytes(b"nonsense\n" if issued is None else issued.both)

    def reload(self) -> str:
        done = self.bundle.command("reload")
        return f"{done.returncode} {done.stdout}{done.stderr}"

    def shown(self) -> bytes | None:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain,
            trusting().wrap_socket(plain) as tls,
        ):
            return tls.getpeercert(binary_form=True)

    def ask(self, method: str, path: str, token: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=10, context=trusting()
        )
        try:
            headers = {"Authorization": f"Bearer {token}"}
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def local(self, path: str) -> Any:
        return local.get_json(self.bundle.run.api_socket, path)

    def texts(self, kind: str) -> list[str]:
        return [one["text"] for one in self.local("/v1/status")["events"] if one["kind"] == kind]

    def server_is(self, admin: str) -> bool:
        (service,) = self.local("/v1/services")["services"]
        return bool(service["servers"][0]["admin"] == admin)


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture(scope="module", name="guarded")
def _guarded() -> Iterator[Guarded]:
    web, tls, api, stats, peers, server = free_ports(6)
    with open_directory() as root:
        bundle = Bundle(root)
        files = {"write": f"{WRITE}\n", "read": f"{READ}\n", "pem": ONE.both.decode()}
        for name, content in files.items():
            (root / name).write_text(content)
            (root / name).chmod(0o600)
        bundle.configure(
            {
                "http": {"bind": f"127.0.0.1:{web}", "tls_bind": f"127.0.0.1:{tls}"},
                "haproxy": {
                    "processes": 1,
                    "stats": {"port_base": stats},
                    "peers": {"port_base": peers},
                },
                "api": {
                    "bind": f"127.0.0.1:{api}",
                    "token_file": str(root / "write"),
                    "read_token_file": str(root / "read"),
                    "tls": {"cert_file": str(root / "pem")},
                },
                "services": [
                    {
                        "name": "hello",
                        "route": {"path": "/hello"},
                        "servers": [{"id": "a", "address": f"127.0.0.1:{server}"}],
                    }
                ],
            }
        )
        bundle.start()
        try:
            bundle.wait_up()
            guarded = Guarded(bundle, api, root / "pem")
            wait_until(lambda: guarded.server_is("ready"), 10, "the service is followed")
            yield guarded
            bundle.stop()
        finally:
            bundle.end()


def test_a_read_token_sees_the_server_and_a_write_token_drains_it(guarded: Guarded) -> None:
    wanted = {"server": "hello/a", "admin": "drain"}

    status, said = guarded.ask("POST", "/v1/server", READ, wanted)
    assert (status, said["code"]) == (403, 11)
    assert guarded.server_is("ready")
    assert guarded.texts("command") == []

    assert guarded.ask("GET", "/v1/services", READ)[0] == 200
    assert guarded.ask("POST", "/v1/server", WRITE, wanted)[0] == 200
    assert guarded.server_is("drain")
    assert guarded.texts("command") == [
        "server drain hello/a, asked for by token (write) from 127.0.0.1"
    ]


@contextmanager
def stream(guarded: Guarded) -> Iterator[ssl.SSLSocket]:
    """Events, as they come."""
    with (
        socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as plain,
        trusting().wrap_socket(plain) as tls,
    ):
        head = f"GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {READ}\r\n\r\n"
        tls.sendall(head.encode())
        until_said(tls, b": here")
        yield tls


def until_said(tls: ssl.SSLSocket, words: bytes) -> bytes:
    found = b""
    while words not in found:
        more = tls.recv(65536)
        assert more, found
        found += more
    return found


def test_a_reload_shows_the_new_certificate_and_ends_no_connection(guarded: Guarded) -> None:
    guarded.show(ONE)
    guarded.reload()
    assert guarded.shown() == ONE.der

    with stream(guarded) as open_stream:
        guarded.show(OTHER)
        guarded.reload()

        assert guarded.shown() == OTHER.der
        until_said(open_stream, b"the new certificate is shown from now on")


def test_a_certificate_that_is_none_is_refused_and_the_one_before_is_shown(
    guarded: Guarded,
) -> None:
    before = guarded.shown()
    guarded.show(None)
    said = guarded.reload()
    after = guarded.shown()
    guarded.show(ONE)

    assert f"api.tls.cert_file: {guarded.pem}: no certificate and key" in said
    assert not said.startswith("0 ")
    assert after == before
    assert guarded.reload().startswith("0 ")


def test_a_renewed_certificate_is_shown_when_those_of_haproxy_are_looked_at(
    guarded: Guarded,
) -> None:
    """What renews them touches ``certs/``; nobody has to reload."""
    guarded.show(OTHER)
    certs = guarded.bundle.config.certs
    certs.mkdir(exist_ok=True)
    (certs / "site.pem").write_bytes(ONE.both)

    wait_until(lambda: guarded.shown() == OTHER.der, 10, "it is shown")


def test_a_new_token_counts_with_a_reload_and_the_old_one_ends_with_its_streams(
    guarded: Guarded,
) -> None:
    token = guarded.pem.with_name("read")
    with stream(guarded) as open_stream:
        token.write_text("another-token-to-read\n")
        guarded.reload()
        after = [
            guarded.ask("GET", "/v1/status", one)[0] for one in (READ, "another-token-to-read")
        ]
        is_ended = ends(open_stream)
    token.write_text(f"{READ}\n")
    guarded.reload()

    assert after == [401, 200]
    assert is_ended


def ends(tls: ssl.SSLSocket) -> bool:
    """Whether it is hung up on in time; what comes before that is read."""
    tls.settimeout(REVOKED_S + LATENCY_S)
    until = time.monotonic() + REVOKED_S + LATENCY_S
    try:
        while time.monotonic() < until:
            if not tls.recv(65536):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


@contextmanager
def watched(guarded: Guarded) -> Iterator[list[float]]:
    """How long each question over the Unix socket took meanwhile, seconds."""
    took: list[float] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            guarded.local("/healthz")
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield took
    finally:
        is_over.set()
        thread.join()


def test_while_300_hold_the_port_the_socket_answers_and_then_the_port_does(
    guarded: Guarded,
) -> None:
    garbage = (b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096)

    with watched(guarded) as took, ExitStack() as held:
        for number in range(300):
            connection = socket.create_connection(("127.0.0.1", guarded.port), timeout=10)
            held.enter_context(connection)
            with suppress(OSError):
                connection.sendall(garbage[number % len(garbage)])
        wait_until(lambda: len(took) > 3, 4 * LATENCY_S, "the socket answers meanwhile")

    assert max(took) < LATENCY_S
    wait_until(lambda: is_let_in(guarded), 15, "somebody with a token is let in again")


def is_let_in(guarded: Guarded) -> bool:
    try:
        return guarded.ask("GET", "/v1/status", WRITE)[0] == 200
    except OSError:
        return False


def test_wrong_tokens_are_slowed_down_and_whoever_has_the_right_one_goes_on(
    guarded: Guarded,
) -> None:
    wait_until(lambda: is_let_in(guarded), 15, "there is room")
    with watched(guarded) as took:
        codes = [guarded.ask("GET", "/v1/status", "a-wrong-token")[0] for _ in range(20)]

    assert codes[-1] == 429
    assert codes.count(401) <= 6
    assert max(took) < LATENCY_S
    assert guarded.ask("GET", "/v1/status", WRITE)[0] == 200
    assert "wrong tokens from 127.0.0.1: refused, one in 10 s is looked at" in guarded.texts("api")
