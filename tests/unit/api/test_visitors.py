"""Connections over TCP: with TLS where it is wanted, and no room for whoever only takes it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.loops import until
from tests.pems import Issued, issue
from tests.strangers import BROWSER, READ, WRITE, WRITER, Served, rest_of, served

ONE, OTHER = issue("one.example.com"), issue("other.example.com")
STREAM = f"GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {READ}\r\n\r\n".encode()
ASKED = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def pair(issued: Issued) -> tuple[bytes, bytes]:
    return issued.pem, issued.key


def trusting(low: ssl.TLSVersion | None = None, high: ssl.TLSVersion | None = None) -> Any:
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if high is not None:
        # OpenSSL's own level would have the client refuse before the server does.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.maximum_version = high
    if low is not None:
        context.minimum_version = low
    return context


async def shown(one: Served) -> bytes:
    """The certificate that a new connection gets."""
    _, writer = await one.connected(trusting())
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bytes(found)


def test_with_a_certificate_it_speaks_tls_and_nothing_else(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        one.url = one.url.replace("http:", "https:")
        asked = await one.ask("/v1/status", WRITER, ssl=trusting())
        login = await one.post("/login", BROWSER, data={"token": WRITE}, ssl=trusting())
        reader, writer = await one.connected()
        writer.write(ASKED)
        plain = await rest_of(reader)
        writer.close()
        await until(lambda: one.refused, "it is counted")
        return asked.status, login.headers["Set-Cookie"], plain, one.refused

    status, cookie, plain, refused = served(tmp_path, use, pair=pair(ONE))

    assert status == 200
    assert "; Secure" in cookie
    assert not plain.startswith(b"HTTP")
    assert refused == {"tls": 1}


def test_plain_http_on_the_tls_port_is_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lbctl.api.refusals")

    async def use(one: Served) -> None:
        reader, writer = await one.connected()
        writer.write(ASKED)
        await rest_of(reader)
        writer.close()
        await until(lambda: one.refused, "it is counted")

    served(tmp_path, use, pair=pair(ONE))

    assert "refused (tls): 127.0.0.1: no TLS: it speaks HTTP without TLS" in caplog.messages


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_before_1_2_is_refused(tmp_path: Path) -> None:
    async def use(one: Served) -> list[str | None]:
        old = trusting(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await one.connected(old)
        found = []
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            _, writer = await one.connected(trusting(version, version))
            found.append(writer.get_extra_info("ssl_object").version())
            writer.close()
        return found

    assert served(tmp_path, use, pair=pair(ONE)) == ["TLSv1.2", "TLSv1.3"]


def test_another_certificate_is_shown_from_the_next_connection_on(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        before = await shown(one)
        reader, writer = await one.connected(trusting())
        writer.write(STREAM)
        await reader.readuntil(b": here\n")
        one.configure(pair=pair(OTHER))
        after = await shown(one)
        one.agent.note("program", "still told", {})
        told = await asyncio.wait_for(reader.readuntil(b"still told"), 5)
        writer.close()
        return before, after, told, one.told

    before, after, told, events = served(tmp_path, use, pair=pair(ONE))

    assert (before, after) == (ONE.der, OTHER.der)
    assert told.endswith(b"still told")
    assert events == ["api.tls.cert_file: the new certificate is shown from now on"]


def test_a_certificate_that_cannot_be_used_leaves_the_one_before(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        await shown(one)
        one.configure(pair=(OTHER.pem, ONE.key))
        after = await shown(one)
        said = dict(one.agent.trouble)
        one.configure(pair=pair(OTHER))
        mended = await shown(one), dict(one.agent.trouble)
        one.configure(pair=(OTHER.pem, ONE.key))
        await shown(one)
        one.configure()
        await one.ask("/healthz")
        return after, said, *mended, one.agent.trouble

    after, said, mended, trouble, without = served(tmp_path, use, pair=pair(ONE))

    assert after == ONE.der
    assert "cannot be used" in said["api.tls.cert_file"]
    assert "the one before is shown" in said["api.tls.cert_file"]
    assert (mended, trouble, without) == (OTHER.der, {}, {})


def test_without_a_certificate_where_one_is_wanted_nobody_is_let_in_plain(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        reader, writer = await one.connected()
        writer.write(ASKED)
        found = await rest_of(reader)
        writer.close()
        local = await one.ask("/healthz", local=True)
        return found, local.status, one.agent.trouble, one.refused

    found, local, trouble, refused = served(tmp_path, use, pair=(b"", b""))

    assert found == b""
    assert local == 200
    assert "nobody is let in over TCP" in trouble["api.tls.cert_file"]
    assert refused == {"crowd": 1}


def test_who_does_not_shake_hands_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbctl.api.visitors.HEAD_S", 0.1)

    async def use(one: Served) -> Any:
        reader, writer = await one.connected()
        writer.write(b"\x16\x03\x01")
        found = await rest_of(reader)
        writer.close()
        await until(lambda: one.refused, "it is counted")
        return found, await shown(one), sorted(one.refused)

    found, after, refused = served(tmp_path, use, pair=pair(ONE))

    assert (found, after) == (b"", ONE.der)
    assert set(refused) <= {"slow", "tls"}


@pytest.mark.parametrize("tls", [True, False])
def test_one_address_cannot_have_all_the_room_before_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    monkeypatch.setattr("lbctl.api.visitors.WAITING_MOST", 3)

    async def use(one: Served) -> Any:
        held = [await one.connected() for _ in range(3)]
        reader, writer = await one.connected()
        refused = await rest_of(reader)
        for _, each in (*held, (reader, writer)):
            each.close()
        one.url = one.url.replace("http:", "https:") if tls else one.url
        return refused, await asked_again(one), one.refused["crowd"]

    refused, status, crowd = served(tmp_path, use, pair=pair(ONE) if tls else None)

    assert (refused, status) == (b"", 200)
    assert crowd >= 1


@pytest.mark.parametrize("path", ["/login", "/v1/pause"])
def test_nor_with_bodies_that_do_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    monkeypatch.setattr("lbctl.api.visitors.WAITING_MOST", 3)
    more = "Expect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded"
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n{more}\r\nContent-Length: 3\r\n\r\n".encode()

    async def use(one: Served) -> Any:
        held = [await one.connected() for _ in range(3)]
        for begun, each in held:
            each.write(head)
            await begun.readuntil(b"100 Continue\r\n\r\n")
        reader, writer = await one.connected()
        refused = await rest_of(reader)
        held[0][1].write(b"a=b")
        first = await rest_of(held[0][0])
        whole = await asked_again(one)
        for _, each in (*held, (reader, writer)):
            each.close()
        return refused, first[:12], whole

    assert served(tmp_path, use) == (b"", b"HTTP/1.1 401", 200)
    assert not [one for one in caplog.records if one.levelname in ("ERROR", "WARNING")]


async def asked_again(one: Served) -> int:
    """As soon as there is room."""
    while True:
        try:
            return (await one.ask("/healthz", ssl=trusting())).status
        except OSError:
            await asyncio.sleep(0.01)


def test_a_stream_leaves_room_and_needs_a_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbctl.api.gate.STREAMS_MOST", 2)

    async def use(one: Served) -> Any:
        async def stream() -> tuple[bytes, asyncio.StreamWriter]:
            reader, writer = await one.connected()
            writer.write(STREAM)
            return await reader.readuntil(b"\r\n"), writer

        opened = [await stream() for _ in range(3)]
        anonymous = (await one.ask("/v1/events")).status
        other = (await one.ask("/v1/status", WRITER)).status
        refused = dict(one.refused)
        for _, writer in opened:
            writer.close()
        return [line for line, _ in opened], anonymous, other, refused

    lines, anonymous, other, refused = served(tmp_path, use)

    assert lines == [b"HTTP/1.1 200 OK\r\n"] * 2 + [b"HTTP/1.1 503 Service Unavailable\r\n"]
    assert (anonymous, other) == (401, 200)
    assert refused == {"streams": 1, "none": 1}


@pytest.mark.parametrize("path", ["/login", "/v1/pause", "/v1/registry"])
def test_a_body_without_an_end_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("lbctl.api.gate.BODY_S", 0.1)

    async def use(one: Served) -> Any:
        reader, writer = await one.connected()
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {WRITE}\r\n"
        kind = "Content-Type: application/x-www-form-urlencoded\r\n"
        writer.write(f"{head}{kind}Content-Length: 500\r\n\r\n{{".encode())
        found = await rest_of(reader)
        writer.close()
        return found, one.refused, one.told

    assert served(tmp_path, use) == (b"", {"slow": 1}, [])


def test_a_head_without_an_end_is_hung_up_on_before_its_time(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        reader, writer = await one.connected()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        try:
            for number in range(100):
                writer.write(b"X-%d: %s\r\n" % (number, b"a" * 8000))
                await writer.drain()
        except ConnectionError:
            pass
        found = await rest_of(reader)
        writer.close()
        return found, one.refused

    found, refused = served(tmp_path, use)

    assert found == b""
    assert refused == {"malformed": 1}


@pytest.mark.parametrize("before", [b"", b"\r\n\r\n" * 9])
def test_a_long_body_that_comes_at_once_is_read_whole(tmp_path: Path, before: bytes) -> None:
    async def use(one: Served) -> bytes:
        reader, writer = await one.connected()
        head = f"POST /v1/pause HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {WRITE}\r\n"
        writer.write(before + head.encode() + b"Content-Length: 2000000\r\n\r\n" + b" " * 2000000)
        return await asyncio.wait_for(reader.readline(), 5)

    assert served(tmp_path, use) == b"HTTP/1.1 413 Request Entity Too Large\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: \x8d\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % one for one in range(200)) + b"\r\n",
    ],
)  # fmt: skip
def test_what_is_no_http_is_refused_and_writes_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async def use(one: Served) -> Any:
        reader, writer = await one.connected()
        writer.write(sent)
        found = await rest_of(reader)
        writer.close()
        return found, one.refused

    found, refused = served(tmp_path, use)

    assert found.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), found
    assert b"Content-Security-Policy" in found
    assert refused == {"malformed": 1}
    assert not [one for one in caplog.records if one.levelname in ("ERROR", "WARNING")]


def test_a_connection_has_one_question_so_that_nothing_rides_behind_it(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        reader, writer = await one.connected()
        behind = f"POST /v1/resume HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {WRITE}\r\n\r\n"
        writer.write(ASKED + behind.encode())
        found = await rest_of(reader)
        writer.close()
        return found.count(b"HTTP/1.1 "), one.told

    assert served(tmp_path, use) == (1, [])


def test_who_comes_too_often_is_hung_up_on_without_a_handshake(tmp_path: Path) -> None:
    async def use(one: Served) -> int:
        for _ in range(20):
            reader, writer = await one.connected()
            writer.write(ASKED)
            await rest_of(reader)
            writer.close()
        return one.refused["crowd"]

    assert served(tmp_path, use, rate=1.0) == 12
