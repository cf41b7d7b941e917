"""A browser logs in: one form, a cookie, and never on to anywhere else."""

from __future__ import annotations

from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest

from lbctl.api.access_login import onward_of
from tests.strangers import BROWSER, READ, WRITE, Answer, Served, cookie_of, served


def test_the_page_asks_for_the_token_and_works_without_scripts(tmp_path: Path) -> None:
    async def use(one: Served) -> Answer:
        return await one.ask("/login?next=/service/a", BROWSER)

    answer = served(tmp_path, use)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert '<form class="login" method="post" action="/login">' in answer.text
    assert '<input type="hidden" name="next" value="/service/a">' in answer.text
    assert "<script" not in answer.text
    assert "http" not in answer.text.replace("http-equiv", "")


@pytest.mark.parametrize(("token", "right"), [(WRITE, "write"), (READ, "read")])
def test_a_token_gets_a_cookie_that_scripts_and_others_do_not_see(
    tmp_path: Path, token: str, right: str
) -> None:
    async def use(one: Served) -> Any:
        data = {"token": f" {token}\n", "next": "/service/a?q=b"}
        answer = await one.post("/login", BROWSER, data=data)
        browser = {**BROWSER, **cookie_of(answer), "Origin": one.url}
        looked = await one.ask("/v1/status", browser)
        return answer, looked.status, (await one.post("/v1/resume", browser)).status

    answer, looked, changed = served(tmp_path, use)
    cookie = SimpleCookie(answer.headers["Set-Cookie"])["lbctl"]

    assert (answer.status, answer.headers["Location"]) == (303, "/service/a?q=b")
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert (cookie["max-age"], cookie["domain"], cookie["secure"]) == ("43200", "", "")
    assert token not in answer.headers["Set-Cookie"]
    assert looked == 200
    assert (changed == 403) == (right == "read")


def test_a_wrong_token_is_said_plainly_and_gets_nothing(tmp_path: Path) -> None:
    async def use(one: Served) -> list[Answer]:
        data = {"token": "<b>wrong", "next": "/x"}
        return [await one.post("/login", BROWSER, data=data) for _ in range(6)]

    *wrong, last = served(tmp_path, use)

    for answer in wrong:
        assert answer.status == 401
        assert '<p class="error" role="alert">wrong token</p>' in answer.text
        assert '<input type="hidden" name="next" value="/x">' in answer.text
        assert "Set-Cookie" not in answer.headers
        assert "<b>" not in answer.text
    assert last.status == 429
    assert "too many wrong tokens from 127.0.0.1: asked for again in 10 s" in last.text
    assert last.headers["Retry-After"] == "10"


@pytest.mark.parametrize("body", [b"", b"token=", b"token=%ff", b"nonsense", b"\xff\xfe", b"a&b&c"])
def test_whatever_is_sent_as_a_form_is_at_most_a_wrong_token(tmp_path: Path, body: bytes) -> None:
    async def use(one: Served) -> int:
        headers = {**BROWSER, "Content-Type": "application/x-www-form-urlencoded"}
        return (await one.post("/login", headers, data=body)).status

    assert served(tmp_path, use) in (400, 401)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded; charset=utf-7", b"token=+2AA-"),
        ("application/x-www-form-urlencoded; charset=undefined", b"token=a"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Transfer-Encoding: x\r\n\r\n--b--"),
        ("application/json", b"{}"),
    ],
)
def test_nor_is_what_no_browser_sends_more_than_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, body: bytes
) -> None:
    async def use(one: Served) -> int:
        return (await one.post("/login", {**BROWSER, "Content-Type": kind}, data=body)).status

    assert served(tmp_path, use) in (400, 401)
    assert not [one for one in caplog.records if one.levelname in ("ERROR", "WARNING")]


def test_a_form_from_another_site_logs_nobody_in(tmp_path: Path) -> None:
    async def use(one: Served) -> Answer:
        headers = {**BROWSER, "Origin": "http://evil.example.com"}
        return await one.post("/login", headers, data={"token": WRITE})

    answer = served(tmp_path, use)

    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "onward",
    [
        "http://evil.example.com", "//evil.example.com", "/\\evil.example.com", "\\\\evil", "",
        "/\t/evil.example.com", "/\n/evil", "javascript:alert(1)", "x", "/a\r\nSet-Cookie: b=c",
        "/ü", "/" + "a" * 5000, "/login", "/login?next=/login", " /a",
    ],
)  # fmt: skip
def test_there_is_no_way_on_to_anywhere_else(tmp_path: Path, onward: str) -> None:
    async def use(one: Served) -> Any:
        shown = await one.ask("/login", BROWSER, params={"next": onward})
        data = {"token": WRITE, "next": onward}
        return shown.text, (await one.post("/login", BROWSER, data=data)).headers["Location"]

    text, location = served(tmp_path, use)

    assert 'name="next" value="/">' in text
    assert location == "/"


def test_what_stands_in_the_path_is_escaped(tmp_path: Path) -> None:
    async def use(one: Served) -> str:
        return (await one.ask("/login", BROWSER, params={"next": '/"><script>x</script>'})).text

    text = served(tmp_path, use)

    assert "<script" not in text
    assert 'value="/&quot;&gt;&lt;script&gt;x&lt;/script&gt;"' in text


@pytest.mark.parametrize("path", ["/", "/service/a%2Fb?q=x&y=1", "/a//b", "/v1/status"])
def test_a_path_of_this_api_is_where_somebody_goes_on_to(path: str) -> None:
    assert onward_of(path) == path


def test_a_link_elsewhere_leads_in_where_the_browser_has_the_cookie(tmp_path: Path) -> None:
    """SameSite=Strict keeps it from what another site begins: the page asks again by itself."""

    async def use(one: Served) -> list[str]:
        followed = {**BROWSER, "Sec-Fetch-Site": "cross-site"}
        again = {**BROWSER, "Sec-Fetch-Site": "same-origin"}
        return [(await one.ask("/login?next=/x%26y", who)).text for who in (followed, again)]

    followed, again = served(tmp_path, use)

    assert '<meta http-equiv="refresh" content="0; url=/x&amp;y">' in followed
    assert "<form" not in followed
    assert "<form" in again
    assert "refresh" not in again


def test_whoever_logs_out_has_no_cookie_any_more(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        session = cookie_of(await one.post("/login", BROWSER, data={"token": WRITE}))
        here = {**BROWSER, **session, "Origin": one.url}
        foreign = {**here, "Origin": "http://evil.example.com"}
        return await one.post("/logout", here), (await one.post("/logout", foreign)).status

    answer, foreign = served(tmp_path, use)
    cookie = SimpleCookie(answer.headers["Set-Cookie"])["lbctl"]

    assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")
    assert foreign == 403


def test_over_the_socket_nobody_has_to_log_in(tmp_path: Path) -> None:
    async def use(one: Served) -> list[Answer]:
        shown = await one.ask("/login?next=/v1/status", BROWSER, local=True)
        posted = await one.post("/login", BROWSER, local=True, data={"token": "x", "next": "/a"})
        return [shown, posted]

    shown, posted = served(tmp_path, use)

    assert (shown.status, shown.headers["Location"]) == (303, "/v1/status")
    assert (posted.status, posted.headers["Location"]) == (303, "/a")
    assert "Set-Cookie" not in posted.headers
