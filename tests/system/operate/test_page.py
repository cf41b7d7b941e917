"""
The page of a real pair, in a real Chromium on a host beside it.

One pair and one browser for all; a test leaves the pair as it found it, but for who is MASTER.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, StorageState, expect

from lbctl.api.page import words
from lbctl.api.page.frame import HERE
from lbctl.lab import local
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Lab
from lbctl.lab.pair import Pair, make_pair
from lbctl.lab.wait import wait_until
from tests.browsers import DESK, NAMELESS, PALE, PHONE, Visit, chromium
from tests.natives import SETTINGS

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

WRITE, READ = "write-0123456789abcdef", "read-0123456789abcdef"
PORT: Final = 8405
HOSTILE: Final = "<img src=x onerror=alert(1)>"
WEBS: Final = [{"id": f"web{n}", "address": f"10.0.1.10{n}:80"} for n in (1, 2)]
#: Nobody listens there.
GONE: Final = [{"id": "gone", "address": "10.0.1.101:9"}]
SERVICES: Final = [
    {"name": "hello/v1", "route": {"path": "/hello"}, "servers": WEBS},
    {"name": f"odd {HOSTILE}", "route": {"host": "odd.example.com"}, "servers": WEBS},
    {"name": "dead", "route": {"path": "/dead"}, "check": {"interval_s": 0.2}, "servers": GONE},
]
#: From something that happens to the page's word about it.
NEWS_MS: Final = 3000


@dataclass(frozen=True, slots=True)
class Site:
    """
    A pair, and a browser that reaches both of its nodes.

    Attributes:
        sessions: what a browser keeps of who has logged in, by address and token.
    """

    pair: Pair
    browser: Browser
    sessions: dict[tuple[str, str], StorageState] = field(default_factory=dict)

    def url(self, node: Node) -> str:
        return f"http://{node.host.address}:{PORT}"

    def master(self) -> Node:
        return self.pair.wait_settled()[0]


Visits = Callable[..., Visit]


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab() as lab:
        pair = make_pair(lab)
        api: dict[str, Any] = {"bind": f"*:{PORT}", "rate_per_s": 1000}
        for key, token in {"token_file": WRITE, "read_token_file": READ}.items():
            # One for both hosts: what differs between them is told on the page.
            api[key] = str(lab.directory / key)
            (lab.directory / key).write_text(token)
            (lab.directory / key).chmod(0o600)
        more = {"haproxy": {"processes": 2}, "services": SERVICES, "api": api}
        pair.start(settings={**SETTINGS, **more}, haproxy_cfg=None)
        try:
            with chromium(tmp_path_factory.mktemp("browser"), lab["client"]) as browser:
                pair.wait_settled()
                wait_down(pair)
                yield Site(pair, browser)
        except BaseException:
            sys.stdout.write(lab.dump())
            raise


@pytest.fixture(name="visit")
def _visit(site: Site) -> Iterator[Visits]:
    """Somebody at the MASTER's page, or at *node*'s; nothing is asked of others, ever."""
    visits: list[Visit] = []

    def visit(token: str = "", path: str = "/", *, node: Node | None = None, **more: Any) -> Visit:
        url = site.url(node or site.master())
        state = site.sessions.get((url, token))
        seen = Visit(site.browser, url, **{"viewport": DESK, "storage_state": state, **more})
        visits.append(seen)
        if state:
            seen.page.goto(path)
        elif token:
            seen.log_in(token, path)
            site.sessions[url, token] = seen.context.storage_state()
        return seen

    yield visit
    elsewhere = [url for one in visits for url in one.elsewhere]
    for one in visits:
        one.context.close()

    assert not elsewhere


def wait_down(pair: Pair) -> None:
    """Until HAProxy has seen on both hosts that nobody is behind ``dead``."""

    def is_down() -> bool:
        return all(server_of(node, "dead")["state"] == "down" for node in pair.nodes)

    wait_until(is_down, 20, "a server that is not there to be down")


def server_of(node: Node, service: str) -> dict[str, Any]:
    """Its first server, as HAProxy has it."""
    said = local.get_json(node.run_dir.api_socket, f"/v1/services?name={service}")
    found: dict[str, Any] = said["services"][0]["servers"][0]
    return found


def test_without_scripts_it_shows_everything(site: Site, visit: Visits) -> None:
    master, backup = site.pair.wait_settled()
    page = visit(READ, java_script_enabled=False).page

    expect(page.locator("h1")).to_have_text(
        f"{master.name} serves 10.0.1.201, but 1 of 3 services has no server."
    )
    expect(page.locator("#trouble")).to_contain_text("no server: dead")
    expect(page.locator(".hosts thead th")).to_have_text([f"{master.name} this host", backup.name])
    expect(page.locator("#hosts tbody tr").first).to_contain_text("BACKUP")
    expect(page.locator(".addresses tbody tr")).to_contain_text(f"{master.name}, lease 3 s")
    expect(page.locator("#services tbody th").first).to_contain_text("dead")
    expect(page.locator("#services tbody")).to_contain_text("lb.yaml")
    expect(page.locator("#programs tbody")).to_contain_text("haproxy-02")
    expect(page.locator("#processes tbody tr")).to_have_count(2)
    expect(page.locator("#events li").first).to_be_visible()
    expect(page.locator("footer")).to_contain_text("lb.yaml")
    expect(page.locator("footer a").first).to_have_attribute("href", "/metrics")


def test_it_is_live_and_tells_of_a_dead_program_at_once(site: Site, visit: Visits) -> None:
    seen = visit(READ)
    page = seen.live()
    page.locator("[data-since]").first.wait_for()
    page.evaluate("window.isTheSame = true")
    restarts = page.locator("#programs tr[data-key=nginx] td").last
    before = int(restarts.inner_text())

    site.master().kill("nginx", signal.SIGKILL)

    expect(restarts).to_have_text(str(before + 1), timeout=NEWS_MS)
    expect(page.locator("#events li").filter(has_text="nginx").first).to_be_visible()
    assert page.evaluate("window.isTheSame") is True
    assert not seen.said


def test_what_is_old_is_grey_until_the_agent_is_there_again(site: Site, visit: Visits) -> None:
    node = site.master()
    seen = visit(READ)
    page = seen.live()

    node.kill("agent", signal.SIGKILL)

    expect(page.locator("#live")).to_contain_text("reconnecting; as of ", timeout=NEWS_MS)
    assert float(page.locator("#verdict").evaluate("one => getComputedStyle(one).opacity")) < 0.5
    seen.live()
    assert page.locator("#verdict").evaluate("one => getComputedStyle(one).opacity") == "1"


def test_an_agent_that_stands_still_is_noticed(site: Site, visit: Visits) -> None:
    node = site.master()
    seen = visit(READ)
    seen.page.clock.install()
    seen.page.reload()
    page = seen.live()

    node.kill("agent", signal.SIGSTOP)
    try:
        page.clock.fast_forward(60_000)

        expect(page.locator("#live")).to_contain_text("reconnecting")
    finally:
        node.kill("agent", signal.SIGCONT)


def test_a_session_that_has_ended_stays_said_with_the_way_back(site: Site, visit: Visits) -> None:
    seen = visit(READ)
    seen.page.clock.install()
    seen.page.reload()
    page = seen.live()

    seen.context.clear_cookies()
    # Something happens, and the page asks what it means.
    site.master().command("server", "weight", "hello/v1/web1", "default")
    expect(page.locator("#live")).to_contain_text("the session has ended")
    page.clock.run_for(20_000)

    expect(page.locator("#live").get_by_role("link", name="log in again")).to_be_visible()


def test_the_reason_of_a_refusal_is_not_drawn_over(visit: Visits) -> None:
    seen = visit(WRITE, "/page/pause")
    page = seen.page
    page.get_by_label("Why").evaluate("one => one.removeAttribute('maxlength')")
    page.get_by_label("Why").fill("x" * 100)
    seen.asked.clear()
    page.get_by_role("button", name="Pause").click()
    page.wait_for_load_state("load")

    expect(page.locator(".error")).to_contain_text("80 characters")
    # It is not live: nothing is asked again.
    assert not [url for url in seen.asked if url.endswith("/v1/live")]


def test_a_service_that_is_gone_says_so_by_itself(visit: Visits) -> None:
    page = visit(READ, "/service/hello/v1").live()
    page.evaluate("history.replaceState(null, '', '/service/gone')")

    # It asks for its servers every 5 s.
    expect(page.locator("h1")).to_have_text("Not found", timeout=5000 + NEWS_MS)
    expect(page.locator(".error")).to_contain_text("no such service")


def test_a_server_is_drained_from_the_page_in_all_processes(site: Site, visit: Visits) -> None:
    node = site.master()
    seen = visit(WRITE, "/service/hello/v1", java_script_enabled=False)
    page = seen.page
    row = page.locator("tr[data-key=web1]")

    row.get_by_role("button", name="drain web1").click()

    expect(page.locator("#did")).to_contain_text("The server drains")
    expect(row).to_contain_text("drain")
    expect(row).to_contain_text("by page from 10.0.1.50")
    assert server_of(node, "hello/v1")["admin"] == "drain"
    row.get_by_role("button", name="ready web1").click()
    expect(row).not_to_contain_text("by page")
    assert server_of(node, "hello/v1")["admin"] == "ready"


def test_the_addresses_are_handed_over_by_a_form_that_asks_first(site: Site, visit: Visits) -> None:
    master, backup = site.pair.wait_settled()
    page = visit(WRITE).page

    page.get_by_role("link", name="Hand over").click()
    expect(page.locator("main")).to_contain_text(f"moves from {master.name} to {backup.name}")
    page.get_by_role("button", name="Hand over now").click()

    expect(page.locator("h1")).to_contain_text(f"{backup.name} serves 10.0.1.201")
    assert site.pair.wait_settled() == (backup, master)
    # It has nothing to give now, and says so.
    page.goto("/page/handover")
    expect(page.locator(".error")).to_contain_text("There is nothing to hand over here")


def test_a_pause_is_loud_and_what_somebody_writes_is_text(visit: Visits) -> None:
    seen = visit(WRITE)
    page = seen.live()
    page.on("dialog", lambda _: seen.said.append("a script of others ran"))

    page.get_by_role("link", name="Pause").click()
    page.get_by_label("Why").fill(HOSTILE)
    page.get_by_role("button", name="Pause").click()
    seen.live()

    expect(page.locator("#trouble")).to_contain_text("PAUSED by page from 10.0.1.50 since")
    expect(page.locator("#trouble")).to_contain_text(HOSTILE)
    expect(page.locator("#events")).to_contain_text(HOSTILE)
    page.goto(f"/?q={HOSTILE}")
    expect(page.locator("#services")).to_contain_text(f"Found 1 with “{HOSTILE}”")
    page.get_by_role("link", name=f"odd {HOSTILE}").click()
    expect(page.locator("h1")).to_have_text(f"odd {HOSTILE}: up")
    page.goto("/")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#trouble")).not_to_contain_text("PAUSED")
    assert not seen.said


def test_who_may_only_look_sees_no_button_and_is_refused_by_the_api(visit: Visits) -> None:
    seen = visit(READ)
    page = seen.live()
    post = """async ([path, fields]) => (await fetch(path,
        {method: "POST", body: new URLSearchParams(fields)})).status"""
    fields = {"server": "hello/v1/web1", "admin": "drain", "service": "hello/v1"}

    forms = page.locator("main form[method=post]").count()
    refused = [page.evaluate(post, [f"/page/{name}", fields]) for name in ("server", "handover")]
    page.goto("/service/hello/v1")

    assert (forms, refused) == (0, [403, 403])
    expect(page.locator("main button")).to_have_count(0)
    # A form that is not of this page is none, whoever sends it.
    writer = visit(WRITE).page
    assert writer.evaluate(post, ["/page/server", fields]) == 403
    expect(page.locator("tr[data-key=web1]")).to_contain_text("ready")


def test_on_a_phone_nothing_is_beyond_the_edge(site: Site, visit: Visits) -> None:
    seen = visit(WRITE, viewport=PHONE)
    paths = ("/", "/service/hello/v1", "/page/handover", "/page/pause", "/?q=none", "/login")
    beyond = {}
    for path in paths:
        seen.page.goto(path)
        beyond[path] = seen.overflow()

    assert beyond == dict.fromkeys(paths, 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_and_everything_has_a_name(visit: Visits, scheme: str) -> None:
    seen = visit(WRITE, color_scheme=scheme)
    pale, nameless = {}, {}
    for path in ("/", "/service/dead", "/page/handover", "/login"):
        seen.page.goto(path)
        pale[path] = seen.page.evaluate(PALE)
        nameless[path] = seen.page.evaluate(NAMELESS)

    assert not [one for found in (*pale.values(), *nameless.values()) for one in found]


def test_it_has_a_shape_that_can_be_heard_and_walked_by_keyboard(visit: Visits) -> None:
    page = visit(WRITE).live()

    expect(page.locator("h1")).to_have_count(1)
    for role in ("banner", "main", "contentinfo", "search"):
        expect(page.get_by_role(role)).to_have_count(1)
    assert page.locator("table thead th:not([scope])").count() == 0
    assert page.locator("section:not([aria-label]):not([aria-labelledby])").count() == 0
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("To the content")
    outlines = []
    for _ in range(12):
        page.keyboard.press("Tab")
        outlines.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    assert outlines == ["solid"] * 12


def test_drawing_again_takes_nothing_from_whoever_is_at_work(site: Site, visit: Visits) -> None:
    node = site.master()
    node.command("server", "weight", "hello/v1/web1", "50")
    page = visit(READ).live()
    page.locator("summary").click()
    page.get_by_role("searchbox").fill("hel")
    events = page.locator("#events li").count()

    node.command("server", "weight", "hello/v1/web1", "default")

    expect(page.locator("#events li").nth(events)).to_be_visible(timeout=NEWS_MS)
    assert page.evaluate("document.activeElement.value") == "hel"
    expect(page.locator("details table")).to_be_visible()
    bar = page.locator(".bucket").last
    bar.focus()
    expect(page.locator("#reading")).to_contain_text("at run time")
    expect(page.locator("#reading")).to_have_text(bar.get_attribute("aria-label") or "?")


def test_numbers_are_written_alike_by_host_and_browser(visit: Visits) -> None:
    """Else each of them would change when the page becomes live."""
    script = (HERE / "static" / "app.js").read_text()
    found = re.search(r"const NONE.*?(?=const say)", script, re.DOTALL)
    assert found is not None
    values = [0, 0.04, 4.24, 9.94, 9.96, 10.4, 59.9, 61, 999.4, 999.6, 3661, 86399, 1.5e6, 9e15]
    page = visit().page
    page.goto("about:blank")

    said = page.evaluate(
        f"""(values) => {{ {found[0]};
        return values.map((one) => [FORMS.number(one), FORMS.octets(one), FORMS.age(one)]); }}""",
        values,
    )

    assert said == [[words.number(one), words.octets(one), words.age(one)] for one in values]


def test_nothing_is_asked_of_others_and_nothing_offends_the_policy(visit: Visits) -> None:
    seen = visit(READ)
    page = seen.live()

    assert not seen.said
    assert not seen.elsewhere
    assert {url.removeprefix(seen.url).partition("?")[0] for url in seen.asked} >= {
        *("/", "/v1/live", "/page/app.js", "/page/style.css"),
    }
    assert json.loads(page.evaluate("fetch('/v1/status').then((one) => one.text())"))["node"]
