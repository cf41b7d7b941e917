"""Certificates of real HAProxy (2.2, 2.6, 3.0), two processes on one port, changed at run time."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.certificate_turn import Places, Served, read_running, serve_certificates
from lbctl.haproxy.certificates import quote, read_pem
from lbctl.haproxy.runtime import Runtime, UnixRuntime
from tests.binaries import BINARIES
from tests.fakes.haproxy_certificates import CertificateRuntime
from tests.pems import Issued, issue, weak_key
from tests.two_processes import free_port, wait_until

pytestmark = pytest.mark.contract


CONFIGURATION = """
global
    stats socket {socket} mode 600 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port} ssl crt {certs}/ alpn h2,http/1.1
    bind 127.0.0.1:{own} ssl crt {certs}/
    http-request deny
"""


@dataclass(frozen=True, slots=True)
class Two:
    """
    Two processes that share a port.

    Attributes:
        own: of each process, a port that nobody else has.
    """

    binary: str
    root: Path
    port: int
    own: tuple[int, int]
    processes: tuple[UnixRuntime, UnixRuntime]

    @property
    def places(self) -> Places:
        return Places(self.root / "certs")

    def configuration(self, number: int) -> Path:
        return self.root / f"{number}.cfg"

    def start(self, stack: ExitStack, number: int) -> None:
        argv = [self.binary, "-db", "-q", "-f", str(self.configuration(number))]
        process = stack.enter_context(subprocess.Popen(argv, stderr=subprocess.DEVNULL))
        stack.callback(process.terminate)
        wait_until(Path(self.processes[number].path).exists, f"process {number} listens")

    def serve(self, wanted: Mapping[str, bytes]) -> Served:
        return asyncio.run(serve_certificates(self.processes, wanted, self.places))

    def shown(self, name: str | None) -> list[bytes]:
        """The certificate that each process shows a client that asks for *name*."""
        return [shown(port, name) for port in self.own]

    def is_accepted(self) -> bool:
        argv = [self.binary, "-c", "-q", "-f", str(self.configuration(0))]
        return subprocess.run(argv, stderr=subprocess.DEVNULL, timeout=10).returncode == 0


def shown(port: int, name: str | None) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as link,
        context.wrap_socket(link, server_hostname=name) as tls,
    ):
        return tls.getpeercert(True) or b""


@pytest.fixture(params=BINARIES)
def make_two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeTwo]:
    with ExitStack() as stack:
        yield MakeTwo(stack, BINARIES[request.param], tmp_path)


@dataclass(frozen=True, slots=True)
class MakeTwo:
    stack: ExitStack
    binary: str
    root: Path

    def __call__(self, **certs: Issued | bytes) -> Two:
        """Start them with files called after *certs*."""
        root = self.root / "run dir"
        (root / "certs").mkdir(parents=True)
        sockets = tuple(str(root / f"{number}.sock") for number in range(2))
        runtimes = (UnixRuntime(sockets[0]), UnixRuntime(sockets[1]))
        two = Two(self.binary, root, free_port(), (free_port(), free_port()), runtimes)
        two.places.write(files(**certs))
        for number in range(2):
            text = CONFIGURATION.format(
                socket=sockets[number].replace(" ", "\\ "),
                port=two.port,
                own=two.own[number],
                certs=str(root / "certs").replace(" ", "\\ "),
            )
            two.configuration(number).write_text(text)
            two.start(self.stack, number)
        return two


def files(**certs: Issued | bytes) -> dict[str, bytes]:
    return {
        f"{name}.pem": one.both if isinstance(one, Issued) else one for name, one in certs.items()
    }


def test_a_replaced_certificate_is_served_by_all_processes_and_on_disk(make_two: MakeTwo) -> None:
    old, new, other = issue("a.example"), issue("a.example"), issue("b.example")
    two = make_two(a=old, b=other)

    served = two.serve(files(a=new, b=other))

    assert served.did == ("certificate a.pem is replaced",)
    assert not served.refused
    assert two.shown("a.example") == [new.der] * 2
    assert two.shown("b.example") == [other.der] * 2
    assert two.shown(None) == [new.der] * 2
    assert two.places.read() == files(a=new, b=other)
    assert (two.root / "certs" / "a.pem").stat().st_mode & 0o777 == 0o600


def test_what_is_served_already_is_left_alone(make_two: MakeTwo) -> None:
    certs = files(a=issue("a.example"), b=issue("b.example"))
    two = make_two(a=certs["a.pem"], b=certs["b.pem"])

    assert two.serve(certs) == Served(certs=certs)


def test_certificates_come_and_go_without_a_reload(make_two: MakeTwo) -> None:
    first, second = issue("a.example"), issue("b.example", "*.c.example")
    two = make_two(a=first)

    came = two.serve(files(a=first, b=second))
    shown_then = two.shown("x.c.example")
    went = two.serve(files(a=first))

    assert came.did == ("certificate b.pem is added",)
    assert shown_then == [second.der] * 2
    assert went.did == ("certificate b.pem is removed",)
    assert two.shown("x.c.example") == [first.der] * 2
    assert two.places.read() == files(a=first)


def test_a_name_with_a_blank_can_be_added_replaced_and_removed(make_two: MakeTwo) -> None:
    first, second, third = issue("a.example"), issue("b.example"), issue("b.example")
    two = make_two(a=first)
    two.serve({**files(a=first), "b b.pem": second.both})

    replaced = two.serve({**files(a=first), "b b.pem": third.both})
    shown_then = two.shown("b.example")
    removed = two.serve(files(a=first))

    assert replaced.did == ("certificate b b.pem is replaced",)
    assert shown_then == [third.der] * 2
    assert removed.did == ("certificate b b.pem is removed",)


def test_a_new_chain_behind_the_same_certificate_counts(make_two: MakeTwo) -> None:
    root = issue(subject="root")
    middle = issue(subject="middle", by=root)
    leaf = issue("a.example", by=middle)
    two = make_two(a=leaf)

    served = two.serve({"a.pem": leaf.pem + middle.pem + leaf.key})
    store = next(iter(asyncio.run(read_running(two.processes[1], two.places)).stores.values()))

    assert served.did == ("certificate a.pem is replaced",)
    assert store.chain == 1


def test_of_two_certificates_for_a_name_the_first_file_stays_the_one(make_two: MakeTwo) -> None:
    first, new, second = issue("x.example"), issue("x.example"), issue("x.example")
    two = make_two(a=issue("a.example"), x=first, y=second)
    before = two.shown("x.example")

    served = two.serve({**two.places.read(), "x.pem": new.both})

    assert before == [first.der] * 2
    assert two.shown("x.example") == [new.der] * 2
    assert served.did[1:] == ("certificate y.pem is set again, to keep its place",)


@pytest.mark.parametrize("fault", ["no key", "other key", "garbage", "empty"])
def test_what_haproxy_refuses_leaves_all_as_it_was_and_keeps_nothing_else(
    make_two: MakeTwo, fault: str
) -> None:
    old, new, other, fresh = (issue(f"{name}.example") for name in "aabb")
    bad = {
        "no key": new.pem,
        "other key": new.pem + other.key,
        "garbage": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "empty": b"",
    }[fault]
    two = make_two(a=old, b=other)

    served = two.serve(files(a=bad, b=fresh, c=bad))

    assert two.shown("a.example") == [old.der] * 2
    assert two.shown("b.example") == [fresh.der] * 2
    assert {Path(one.where).name for one in served.refused} == {"a.pem", "c.pem"}
    assert two.places.read() == files(a=old, b=fresh) == served.certs
    assert two.is_accepted()
    assert two.serve(files(a=new, b=fresh, c=other)).refused == ()
    assert two.shown("a.example") == [new.der] * 2


def test_a_file_that_a_reload_would_not_load_never_gets_to_the_disk(make_two: MakeTwo) -> None:
    two = make_two(a=issue("a.example"))

    served = two.serve(files(a=issue("a.example", private=weak_key())))

    assert two.is_accepted()
    # 2.2 takes the key, and would do so after a reload.
    assert all("unable to load SSL certificate" in one.what for one in served.refused)


def test_another_default_certificate_takes_a_reload_and_nothing_is_done(make_two: MakeTwo) -> None:
    certs = files(b=issue("b.example"), c=issue("c.example"))
    two = make_two(b=certs["b.pem"], c=certs["c.pem"])

    earlier = two.serve({**files(a=issue("a.example")), **certs})
    removed = two.serve({"c.pem": certs["c.pem"]})

    assert "changes from b.pem to a.pem" in earlier.reasons[0]
    assert "changes from b.pem to c.pem" in removed.reasons[0]
    assert two.places.read() == certs


def test_the_last_certificate_takes_a_reload(make_two: MakeTwo) -> None:
    two = make_two(a=issue("a.example"))

    assert "no longer listens for TLS" in two.serve({}).reasons[0]


def test_what_a_command_cannot_carry_takes_a_reload(make_two: MakeTwo) -> None:
    first, other = issue("a.example"), issue("b.example")
    fits, too_long = (first.both + other.pem * count for count in (20, 40))
    two = make_two(a=first)

    assert "tune.bufsize" in two.serve(files(a=too_long)).reasons[0]
    assert "no command can carry" in two.serve({**files(a=first), "b:1.pem": other.both}).reasons[0]
    assert two.serve(files(a=fits)).did == ("certificate a.pem is replaced",)


def test_what_was_interrupted_is_finished(make_two: MakeTwo) -> None:
    first, new, second = issue("a.example"), issue("a.example"), issue("b.example")
    two = make_two(a=first)
    path = f"{two.root}/certs/b.pem".replace(" ", "\\ ")
    half = path.replace("/b.pem", "/a.pem")
    asyncio.run(two.processes[0].ask(f"new ssl cert {path}"))
    asyncio.run(two.processes[0].ask(f"set ssl cert {half}", payload=new.both.decode()))

    served = two.serve(files(a=new, b=second))

    assert not served.refused
    assert two.shown("a.example") == [new.der] * 2
    assert two.shown("b.example") == [second.der] * 2


def test_a_change_that_somebody_makes_by_hand_is_not_mixed_with_ours(make_two: MakeTwo) -> None:
    """2.6 puts what is set meanwhile into the transaction that is under way."""
    first, new, theirs = issue("a.example"), issue("a.example"), issue("b.example")
    two = make_two(a=first)
    by_hand = two.processes[0].ask
    asyncio.run(by_hand("new ssl cert /elsewhere/b.pem"))
    asyncio.run(by_hand("set ssl cert /elsewhere/b.pem", payload=theirs.both.decode()))

    served = two.serve(files(a=new))
    asyncio.run(by_hand("commit ssl cert /elsewhere/b.pem"))

    assert "a change of /elsewhere/b.pem is under way" in served.refused[0].what
    assert two.places.read() == files(a=first)
    assert read_pem(theirs.both).fingerprint in asyncio.run(
        by_hand("show ssl cert /elsewhere/b.pem")
    )
    assert two.serve(files(a=new)).did == ("certificate a.pem is replaced",)


def test_a_store_that_nobody_uses_any_more_is_removed(make_two: MakeTwo) -> None:
    first = issue("a.example")
    two = make_two(a=first)
    path = f"{two.root}/certs/b.pem".replace(" ", "\\ ")
    asyncio.run(two.processes[0].ask(f"new ssl cert {path}"))

    two.serve(files(a=first))

    assert list(asyncio.run(read_running(two.processes[0], two.places)).stores) == [
        f"{two.root}/certs/a.pem"
    ]


def test_a_process_that_does_not_run_keeps_nobody_from_serving(make_two: MakeTwo) -> None:
    old, new = issue("a.example"), issue("a.example")
    two = make_two(a=old)
    nobody = UnixRuntime(str(two.root / "nobody.sock"))

    served = asyncio.run(serve_certificates((nobody, *two.processes), files(a=new), two.places))

    assert len(served.absent) == 1
    assert two.shown("a.example") == [new.der] * 2
    assert two.places.read() == files(a=new)


#: Command, which file it is about, what is its payload, and whether it is done.
SCRIPT: list[tuple[str, str, str, bool]] = [
    ("new", "a", "", False),
    ("new", "b", "", True),
    ("add", "b", "", False),
    ("set", "c", "new", False),
    ("set", "b", "garbage", False),
    ("set", "b", "new", True),
    ("commit", "a", "", False),
    ("commit", "b", "", True),
    ("commit", "b", "", False),
    ("abort", "b", "", False),
    ("add", "b", "", True),
    ("add", "b", "", False),
    ("del", "b", "", False),
    ("set", "a", "keyless", True),
    ("commit", "a", "", False),
    ("abort", "a", "", True),
    ("unlist", "b", "", True),
    ("unlist", "b", "", False),
    ("del", "b", "", True),
    ("del", "b", "", False),
    ("set", "a", "new", True),
    ("commit", "a", "", True),
]


def play(process: Runtime, certs: Path, payloads: Mapping[str, bytes]) -> list[bool]:
    """Whether each line of the script is done."""
    directory = quote(str(certs))
    lists = {"add": "add ssl crt-list", "unlist": "del ssl crt-list"}

    async def is_done(verb: str, name: str, payload: str) -> bool:
        path = f"{directory}/{name}.pem"
        text = f"{lists[verb]} {directory} {path}" if verb in lists else f"{verb} ssl cert {path}"
        try:
            await process.ask(text, payload=read_pem(payloads[payload]).text if payload else None)
        except RuntimeApiError:
            return False
        return True

    async def run() -> list[bool]:
        return [await is_done(verb, name, payload) for verb, name, payload, _ in SCRIPT]

    return asyncio.run(run())


def test_the_fake_keeps_the_rules_of_the_real_one(make_two: MakeTwo) -> None:
    first, new = issue("a.example"), issue("b.example")
    two = make_two(a=first)
    garbage = b"-----BEGIN CERTIFICATE-----\nA*A\n-----END CERTIFICATE-----\n"
    payloads = {"new": new.both, "keyless": new.pem, "garbage": garbage}
    certs = two.places.directory
    fake = CertificateRuntime.start(str(certs), files(a=first))
    expected = [is_done for *_, is_done in SCRIPT]

    assert play(two.processes[0], certs, payloads) == expected
    assert play(fake, certs, payloads) == expected
    assert asyncio.run(read_running(fake, two.places)).lists == (
        asyncio.run(read_running(two.processes[0], two.places)).lists
    )
