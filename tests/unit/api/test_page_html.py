"""The page's HTML: all that is known is in it, and nothing that others said is more than text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lbctl.api.page.frame import HERE, KINDS, Frame, static
from lbctl.api.page.listing import OURS
from lbctl.api.page.paper import render
from lbctl.api.page.service import service_view
from lbctl.api.page.view import Asked, overview
from lbctl.follow.outlines import Outline
from tests.pictures import AT, events, group, ha, outlines, peer, picture
from tests.strangers import BROWSER, READ, WRITE, WRITER, Answer, Served, cookie_of, served

HOSTILE = "'\"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"
FRAME = Frame(
    title="a",
    tone="good",
    hostname="a",
    node="a1",
    version="0.2.0",
    roles=("MASTER",),
    digests=(("lb.yaml", "1"),),
    at=AT,
    zone="UTC",
    may_write=True,
    csrf="word",
    refresh_s=60.0,
)
#: What a browser does something with; others are text to it.
ACTIVE = {"script", "iframe", "object", "embed", "base", "style"}
#: Words that are ours, and decide how something is judged.
OWN_WORDS = {"MASTER", "BACKUP", "RUNNING", "live", "backend", "frontend", "UP", "DOWN", "OPEN"}


class Elements(HTMLParser):
    """Every element with its attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(value: Any) -> Any:
    """*value* with every word in it that is others' turned against the page."""
    if isinstance(value, str):
        return value if value in OWN_WORDS else f"{value}{HOSTILE}"
    if isinstance(value, Mapping):
        return {key: hostile(one) for key, one in value.items()}
    return [hostile(one) for one in value] if isinstance(value, list) else value


def page(said: dict[str, Any], asked: Asked = Asked(), frame: Frame = FRAME) -> str:  # noqa: B008
    view = overview(said, outlines(), events(), asked, OURS)
    return render("overview.html", frame, {"view": view})


def test_the_first_page_has_it_all() -> None:
    text = Elements(page(picture())).text

    for word in (
        *("a serves 10.0.1.201, but 1 of 3 services has no server.", "no server: pay", "this host"),
        *(
            "0.4 s ago",
            "a, lease 3 s",
            "hello/v1",
            "shop.example.com",
            "1 of 3 up",
            "2 kB",
            "1.2 k",
        ),
        *("consul", "2 services, 4 servers", "haproxy-01", "127.0.0.1:8001", "shop: new"),
        *("BACKUP -> MASTER", "lb.yaml 1", "/v1/openapi.json", "1 h, peak 58"),
    ):
        assert word in " ".join(text.split()).replace("2.0 kB", "2 kB"), word


def test_whatever_others_say_is_text() -> None:
    said = hostile(picture(warnings=["x"], ha=ha(peer(), faults=["f"], why="w")))
    said["proxies"][HOSTILE] = said["proxies"]["http"]
    view = overview(
        said,
        [Outline(HOSTILE, HOSTILE, (HOSTILE,), (HOSTILE,), "held", HOSTILE)],
        hostile(events()),
        Asked(query=HOSTILE, kind=HOSTILE),
        HOSTILE,
    )
    view = replace(view, leaf=replace(view.leaf, rows=view.frontends))
    frame = replace(FRAME, title=HOSTILE, hostname=HOSTILE, zone=HOSTILE, csrf=HOSTILE)

    elements = Elements(render("overview.html", frame, {"view": view})).found

    assert [tag for tag, _ in elements if tag in ACTIVE] == ["script"]
    assert not [tag for tag, _ in elements if tag == "img"]
    assert not [name for _, attrs in elements for name in attrs if name.startswith("on")]


def test_a_servers_page_takes_any_name_too() -> None:
    row = dict.fromkeys(("server", "id", "address", "admin", "weight", "state", "by"), HOSTILE)
    one = {**row, "is_wanted": True, "traffic": {"check_said": HOSTILE}}
    service = {**dict.fromkeys(("name", "backend", "mode", "state", "why"), HOSTILE)}
    found = {**service, "sources": [HOSTILE], "routes": [HOSTILE], "servers": [one]}

    html = render("service.html", FRAME, {"view": service_view(found, picture())})

    assert [tag for tag, _ in Elements(html).found if tag in {*ACTIVE, "img"}] == ["script"]


def test_who_may_only_look_gets_no_button_that_changes() -> None:
    forms = [
        attrs.get("action")
        for tag, attrs in Elements(page(picture(), frame=replace(FRAME, may_write=False))).found
        if tag == "form"
    ]

    assert forms == ["/#services"]
    assert "/page/handover" in page(picture())
    assert 'value="word"' in page(picture(ha={**ha(peer()), "paused": {"is_on": True}}))


@pytest.mark.parametrize(
    "said",
    [
        picture(ha=None),
        picture(ha=None, ha_error="vipd.sock: no answer in 1.0 s"),
        picture(ha=ha()),
        picture(ha=ha(peer(seen_s_ago=60.0), role="INIT", since=0)),
        picture(ha=ha(peer(groups=[], digests={}, seen_s_ago=None, version="0.1.0"))),
        picture(ha={**ha(peer()), "groups": [group(), group("BACKUP", vhid=9)]}),
        picture(discovery=[], digests={}, apply={}, programs=[]),
        {**picture(), "proxies": {}, "ledger": [], "history": {}},
    ],
    ids=["no-vip", "no-vipd", "alone", "silent", "stranger", "two-groups", "bare", "no-haproxy"],
)
def test_it_is_drawn_whatever_is_missing(said: dict[str, Any]) -> None:
    assert "</html>" in page(said)


def test_nothing_in_it_is_loaded_from_elsewhere_or_runs_inline() -> None:
    html = page(picture())
    texts = [path.read_text() for path in sorted((HERE / "static").iterdir())]
    loads = [attrs.get("src", attrs.get("href", "")) for tag, attrs in Elements(html).found]

    assert not [one for one in loads if re.match(r"[a-z]+:|//", one)]
    assert not re.search(r"<style|style=|javascript:|<script(?! src=\"/page/app)", html)
    assert not [text for text in texts if re.search(r"https?://(?!www\.w3\.org)|@import", text)]
    assert len((HERE / "static" / "app.js").read_bytes()) < 15_000


def test_each_file_has_an_address_that_changes_with_it(tmp_path: Path) -> None:
    async def use(one: Served) -> list[Answer]:
        names = [static("style.css"), "/page/app.js?v=old", "/page/other.js", "/favicon.ico"]
        return [await one.ask(name, WRITER) for name in names]

    now, old, other, icon = served(tmp_path, use)

    assert {path.name for path in (HERE / "static").iterdir()} == set(KINDS)
    assert "immutable" in now.headers["Cache-Control"]
    assert old.headers["Cache-Control"] == "no-cache"
    assert (other.status, icon.status) == (404, 200)
    assert icon.headers["Content-Type"].startswith("image/svg+xml")


@pytest.mark.parametrize("path", ["/", "/page/handover", "/page/pause", "/service/no/such"])
def test_a_browser_without_a_token_is_asked_for_it_and_with_one_gets_the_page(
    tmp_path: Path, path: str
) -> None:
    async def use(one: Served) -> tuple[Answer, Answer]:
        refused = await one.ask(path, BROWSER)
        came = await one.post("/login", BROWSER, data={"token": WRITE})
        return refused, await one.ask(path, {**BROWSER, **cookie_of(came)})

    refused, seen = served(tmp_path, use)

    assert (refused.status, refused.headers["Location"].partition("?")[0]) == (303, "/login")
    assert seen.status == (404 if "no/such" in path else 200)
    assert seen.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "</html>" in seen.text


FORMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/page/handover", {}),
    ("/page/pause", {"why": "x"}),
    ("/page/resume", {}),
    ("/page/server", {"server": "a/b", "admin": "drain", "service": "a"}),
)


@pytest.mark.parametrize(("path", "fields"), FORMS, ids=[path for path, _ in FORMS])
def test_a_form_is_believed_from_the_page_alone_and_its_refusal_is_a_page(
    tmp_path: Path, path: str, fields: dict[str, str]
) -> None:
    async def use(one: Served) -> list[Answer]:
        async def post(token: str, *, is_own: bool) -> Answer:
            cookie = cookie_of(await one.post("/login", BROWSER, data={"token": token}))
            headers = {**BROWSER, **cookie, "Origin": one.url}
            asked = await one.ask("/page/pause", headers)
            word = re.search(r'name="csrf" value="(\w+)"', asked.text)
            csrf = {"csrf": word[1]} if is_own and word else {}
            return await one.post(path, headers, data={**fields, **csrf})

        return [
            await post(WRITE, is_own=False),
            await post(READ, is_own=True),
            await post(WRITE, is_own=True),
        ]

    forged, reader, done = served(tmp_path, use)

    assert (forged.status, reader.status) == (403, 403)
    assert "nothing was done" in forged.text
    # This bundle has no virtual IP, and no such server.
    assert done.status in (409, 503)
    assert "Not done" in done.text
