"""Who is let through to the API, and what is said to others: each refusal, and nothing was done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lbctl.api.access import FILES, PROBES, csrf_token, right_of, see
from lbctl.api.access_headers import HEADERS
from tests.strangers import (
    BROWSER,
    READ,
    READER,
    WRITE,
    WRITER,
    Answer,
    Served,
    cookie_of,
    served,
)

POSTS = ("/v1/handover", "/v1/pause", "/v1/resume", "/v1/reload", "/v1/registry", "/v1/server")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NONE_DONE: list[str] = []


async def logged_in(one: Served, token: str = WRITE) -> dict[str, str]:
    """A browser's headers, with the cookie that it got for *token*."""
    return {**BROWSER, **cookie_of(await one.post("/login", BROWSER, data={"token": token}))}


def test_no_route_is_open_but_those_that_are_meant_to_be(tmp_path: Path) -> None:
    """Of every route there is, whoever added it."""
    free = {*PROBES, *FILES, "/login", "/logout"}

    async def use(one: Served) -> Any:
        found = {}
        for route in one.app.router.routes():
            assert route.resource is not None
            path = route.resource.canonical.replace("{", "").replace("}", "")
            looks = route.method in ("GET", "HEAD")
            # A reader of streams would wait for their end.
            for who, headers in (("nobody", {}), *([] if looks else [("reader", READER)])):
                answer = await one.ask(path, headers, method=route.method)
                found[route.method, path, who] = answer.status
        return found, one.told

    found, told = served(tmp_path, use)
    closed = {key: code for key, code in found.items() if key[1] not in free}

    assert {key for key, code in closed.items() if key[2] == "nobody" and code != 401} == set()
    changes = {key for key in closed if key[2] == "reader"}
    assert len(changes) >= len(POSTS)
    assert {key for key in changes if closed[key] != 403} == set()
    assert told == NONE_DONE


@pytest.mark.parametrize("path", POSTS)
def test_a_read_token_changes_nothing(tmp_path: Path, path: str) -> None:
    async def use(one: Served) -> Any:
        answer = await one.post(path, READER, json={})
        return answer, one.told, one.refused

    answer, told, refused = served(tmp_path, use)

    assert answer.status == 403
    assert "this token is to look only; api.token_file has the other" in answer.text
    assert told == NONE_DONE
    assert refused == {"right": 1}


def test_a_read_token_looks_and_a_write_token_does_both(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        looks = [(await one.ask("/v1/status", who)).status for who in (READER, WRITER)]
        await one.post("/v1/handover", WRITER, json={})
        return looks, one.told

    looks, told = served(tmp_path, use)

    assert looks == [200, 200]
    assert told[0] == "handover, asked for by token (write) from 127.0.0.1"


def test_without_a_write_token_nobody_writes(tmp_path: Path) -> None:
    """An empty token is nobody's, and equal to nothing that is sent."""

    async def use(one: Served) -> Any:
        answers = [await one.post("/v1/resume", who) for who in (READER, WRITER, {})]
        return [one.status for one in answers], one.told

    assert served(tmp_path, use, write="") == ([403, 401, 401], NONE_DONE)


def test_wrong_tokens_are_looked_at_five_times_and_then_one_in_ten_seconds(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        wrong = {"Authorization": "Bearer a-wrong-one"}
        answers = [await one.ask("/v1/status", wrong) for _ in range(8)]
        return answers, await one.ask("/v1/status", WRITER), one.told, one.refused

    answers, right, told, refused = served(tmp_path, use)

    assert [one.status for one in answers] == [401] * 5 + [429] * 3
    assert "too many wrong tokens from 127.0.0.1: asked for again in" in answers[-1].text
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 10
    assert right.status == 429
    assert told == ["wrong tokens from 127.0.0.1: refused, one in 10 s is looked at"]
    assert refused == {"token": 5, "tries": 4}


def test_a_refusal_is_logged_once_with_its_address_and_forges_no_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lbctl.api.refusals")

    async def use(one: Served) -> None:
        for _ in range(3):
            await one.ask("/v1/%0Aagent%20|%20role:%20BACKUP")
        await one.ask("/v1/status", {"Authorization": "Bearer a-wrong-one"})

    served(tmp_path, use)

    none, token = [one for one in caplog.messages if one.startswith("refused")]
    assert none.startswith(r"refused (none): 127.0.0.1: 'GET /v1/\nagent | role: BACKUP: needs")
    assert token.startswith("refused (token): 127.0.0.1: GET /v1/status: needs the token")
    assert "a-wrong-one" not in caplog.text


def test_who_was_right_before_is_let_in_while_others_there_are_wrong(tmp_path: Path) -> None:
    async def use(one: Served) -> list[int]:
        wrong = {"Authorization": "Bearer a-wrong-one"}
        order = [WRITER, *[wrong] * 7, WRITER, READER]
        return [(await one.ask("/v1/status", who)).status for who in order]

    assert served(tmp_path, use) == [200, *[401] * 5, 429, 429, 200, 200]


def test_a_token_that_was_replaced_is_none_from_then_on(tmp_path: Path) -> None:
    async def use(one: Served) -> list[int]:
        browser = await logged_in(one)
        before = [(await one.ask("/v1/status", who)).status for who in (WRITER, browser)]
        one.configure(write="another-token-of-these")
        after = [(await one.ask("/v1/status", who)).status for who in (WRITER, browser)]
        return before + after

    assert served(tmp_path, use) == [200, 200, 401, 303]


def test_who_asks_too_often_is_told_when_and_which_key_says_so(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        answers = [await one.ask("/v1/openapi.json", WRITER) for _ in range(6)]
        probes = [await one.ask("/healthz") for _ in range(2)]
        local = [await one.ask("/healthz", local=True) for _ in range(20)]
        return answers, [one.status for one in (*probes, *local)], one.refused

    answers, others, refused = served(tmp_path, use, rate=1.0)

    assert [one.status for one in answers] == [200] * 4 + [429] * 2
    assert "more than 1 requests a second from 127.0.0.1 (api.rate_per_s)" in answers[-1].text
    assert answers[-1].headers["Retry-After"] == "1"
    assert others == [200] * 22
    assert refused == {"rate": 2}


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:8080", "lb.corp", "a b"])
def test_over_the_socket_a_name_that_somebody_may_have_pointed_here_is_refused(
    tmp_path: Path, host: str
) -> None:
    async def use(one: Served) -> Any:
        posted = await one.post("/v1/resume", {"Host": host}, local=True)
        return (
            posted,
            await one.ask("/v1/status", {"Host": host}, local=True),
            one.told,
            one.refused,
        )

    posted, asked, told, refused = served(tmp_path, use)

    assert (posted.status, asked.status) == (421, 421)
    assert f"Host is '{host}': ask for localhost" in posted.text
    assert told == NONE_DONE
    assert refused == {"host": 2}


def test_over_the_socket_programs_write_any_word_and_browsers_localhost(tmp_path: Path) -> None:
    hosts = ("localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "lb.localhost")

    async def use(one: Served) -> Any:
        async def status(host: str, more: dict[str, str]) -> int:
            return (await one.ask("/healthz", {"Host": host, **more}, local=True)).status

        browsers = [await status(host, BROWSER) for host in (*hosts, "lbctl")]
        return browsers, [await status(host, {}) for host in (*hosts, "lbctl", "a")]

    assert served(tmp_path, use) == ([200] * 5 + [421], [200] * 7)


@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "http://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("local", [True, False])
def test_what_the_page_of_another_site_sends_is_not_done(
    tmp_path: Path, sent: dict[str, str], local: bool
) -> None:
    async def use(one: Served) -> Any:
        headers = BROWSER if local else await logged_in(one)
        answer = await one.post("/v1/resume", {**headers, **sent}, local=local)
        return answer, one.told, one.refused

    answer, told, refused = served(tmp_path, use)

    assert answer.status == 403
    assert "another site's page sent it; nothing was done" in answer.text
    assert told == NONE_DONE
    assert refused == {"origin": 1}


def test_a_page_of_this_api_has_its_own_origin(tmp_path: Path) -> None:
    async def use(one: Served) -> list[str]:
        here = {"Origin": one.url, "Sec-Fetch-Site": "same-origin"}
        await one.post("/v1/resume", {**await logged_in(one), **here})
        return one.told

    assert served(tmp_path, use)[0] == "resume, asked for by page from 127.0.0.1"


def with_form(one: Served) -> None:
    """A page with a form, and what the form does, as others add them."""

    async def shown(request: web.Request) -> web.Response:
        return web.Response(text=f"{right_of(request)} {csrf_token(request)}")

    async def did(request: web.Request) -> web.Response:
        what = str((await request.post())["what"])
        one.agent.note("command", f"did {what}", {})
        return see("/")

    one.app.router.add_get("/page/shown", shown)
    one.app.router.add_post("/page/did", did)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("word", ["", "0" * 64, "its-own"])
def test_a_form_is_taken_with_the_word_that_it_was_given(
    tmp_path: Path, local: bool, word: str
) -> None:
    async def use(one: Served) -> Any:
        headers = BROWSER if local else await logged_in(one)
        shown = await one.ask("/page/shown", headers, local=local)
        right, own = shown.text.split()
        sent = own if word == "its-own" else word
        here = {"Sec-Fetch-Site": "same-origin"}
        data = {"csrf": sent, "what": "it"}
        answer = await one.post("/page/did", {**headers, **here}, local=local, data=data)
        return right, answer, one.told, one.refused

    right, answer, told, refused = served(tmp_path, use, with_form)

    assert right == "write"
    if word == "its-own":
        assert (answer.status, answer.headers["Location"], told) == (303, "/", ["did it"])
        return
    assert answer.status == 403
    assert "this form is not one of this page" in answer.text
    assert "text/html" in answer.headers["Content-Type"]
    assert (told, refused) == (NONE_DONE, {"form": 1})


def test_the_word_of_one_browser_is_no_other_ones(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        mine, other = await logged_in(one), await logged_in(one)
        word = (await one.ask("/page/shown", mine)).text.split()[1]
        data = {"csrf": word, "what": "it"}
        return (await one.post("/page/did", other, data=data)).status, one.told

    assert served(tmp_path, use, with_form) == (403, NONE_DONE)


def test_a_browser_that_does_not_say_from_where_needs_the_word_everywhere(tmp_path: Path) -> None:
    async def use(one: Served) -> Any:
        answer = await one.post("/v1/resume", await logged_in(one), json={})
        return answer.status, one.told, one.refused

    assert served(tmp_path, use) == (403, NONE_DONE, {"form": 1})


def test_a_program_with_a_token_needs_no_word(tmp_path: Path) -> None:
    """No page can have a browser send it."""

    async def use(one: Served) -> Any:
        answer = await one.post("/page/did", WRITER, data={"what": "it"})
        return answer.status, one.told

    assert served(tmp_path, use, with_form) == (303, ["did it"])


@pytest.mark.parametrize("charset", ["utf-16", "nonsense", "utf-8"])
def test_a_form_that_cannot_be_read_is_none(tmp_path: Path, charset: str) -> None:
    async def use(one: Served) -> Any:
        headers = {**BROWSER, "Content-Type": f"{FORM['Content-Type']}; charset={charset}"}
        answer = await one.post("/page/did", headers, local=True, data=b"csrf=\xff&\x00")
        return answer.status, one.refused

    assert served(tmp_path, use) == (403, {"form": 1})


def test_every_answer_is_strict_with_browsers(tmp_path: Path) -> None:
    async def use(one: Served) -> list[Answer]:
        asked = [
            *[(path, {}) for path in ("/healthz", "/v1/status", "/login", "/nowhere")],
            *[(path, WRITER) for path in ("/v1/status", "/nowhere", "/v1/events?since=x")],
            *[("/", BROWSER), ("/v1/resume", READER)],
        ]
        return [
            *[await one.ask(path, headers) for path, headers in asked],
            *[await one.ask(path, local=True) for path in ("/v1/status", "/login")],
        ]

    for answer in served(tmp_path, use):
        assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] == "lbctl"


def test_a_stream_is_strict_too(tmp_path: Path) -> None:
    async def use(one: Served) -> bytes:
        reader, writer = await one.connected()
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ")
        writer.write(f"{READ}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return head

    head = served(tmp_path, use)

    assert b"Content-Type: text/event-stream" in head
    assert b"Content-Security-Policy: default-src 'none'; script-src 'self'" in head


def test_a_page_without_the_token_leads_to_the_login_and_back(tmp_path: Path) -> None:
    async def use(one: Served) -> Answer:
        return await one.ask("/service/a%2Fb?q=x&y=1", BROWSER)

    answer = served(tmp_path, use)

    assert (answer.status, answer.headers["Location"]) == (
        303,
        "/login?next=/service/a%252Fb%3Fq%3Dx%26y%3D1",
    )


@pytest.mark.parametrize("path", sorted(FILES))
def test_a_file_of_the_page_needs_no_token(tmp_path: Path, path: str) -> None:
    async def use(one: Served) -> tuple[int, int]:
        got, posted = await one.ask(path), await one.post(path, {})
        return got.status, posted.status

    got, posted = served(tmp_path, use)

    assert got in (200, 404)
    assert posted == 401
