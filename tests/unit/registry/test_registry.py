"""The registry as a source of services, over a store in memory."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from lbctl.errors import ProviderError
from lbctl.model.service import Server, Snapshot
from lbctl.registry.answer import answered
from lbctl.registry.book import Container, Registered
from lbctl.registry.keep import TABLE_MAX, TRIES, keep
from lbctl.registry.payload import read_payload
from lbctl.registry.reading import PayloadError
from lbctl.registry.registry import Registry
from lbctl.registry.store import CellStore
from lbctl.settings.discovery import Registry as Settings
from tests.fakes.memory_cells import MemoryCells
from tests.loops import in_a_loop
from tests.registries import ARTICLE, article, body, candidate, plain, runs


def registry(cells: MemoryCells | None = None, **settings: Any) -> Registry:
    store = CellStore(cells if cells is not None else MemoryCells())
    return Registry(store, Settings(**settings), wall=lambda: 1000.0, draw=lambda: 0.0)


def served(snapshot: Snapshot) -> dict[str, list[str]]:
    return {one.name: [server.key for server in one.servers] for one in snapshot.services}


@in_a_loop
async def test_the_request_of_the_article_is_answered_with_its_services() -> None:
    found = await answered(registry(), body(ARTICLE))

    assert found.status == 200
    assert found.plain == {
        "services": [
            {
                "name": name,
                "route": {"host": host},
                "cookie": "JSESSIONID",
                "check": {"kind": "tcp"},
                "servers": [{"address": ip, "id": one} for one, ip in servers.items()],
            }
            for name, host, servers in (
                ("app1", "first.example.com", {"a23nj53h3j4": "192.168.1.9:80"}),
                (
                    "app2",
                    "second.example.com",
                    {"das843j3h3k": "192.168.1.10:80", "fds32k4354f": "192.168.1.11:80"},
                ),
            )
        ],
        "ignored": [{"serviceName": "app1", "id": "jk3243j54jl", "ip": "192.168.1.8:80"}],
        "problems": [],
    }


@in_a_loop
async def test_what_was_answered_is_there_for_the_next_one_who_looks() -> None:
    cells = MemoryCells()
    await registry(cells).post(body(ARTICLE))
    found = await registry(cells).fetch()

    assert (found.source, found.at) == ("registry", 1000.0)
    assert served(found) == {"app1": ["a23nj53h3j4"], "app2": ["das843j3h3k", "fds32k4354f"]}


@in_a_loop
async def test_all_tables_are_served_and_a_payload_is_answered_with_its_own() -> None:
    cells = MemoryCells()
    one = registry(cells)
    await one.post(body(plain([], candidate("a", x="10.0.0.1"), table="t1")))
    answer = await one.post(body(plain([], candidate("b", y="10.0.0.2"), table="t2")))

    assert [service.name for service in answer.services] == ["b"]
    assert served(answer.snapshot) == {"a": ["x"], "b": ["y"]}


@in_a_loop
async def test_a_service_of_two_tables_is_that_of_the_first_and_the_other_one_is_named() -> None:
    one = registry()
    await one.post(body(plain([], candidate("a", x="10.0.0.1"), table="t2")))
    answer = await one.post(body(plain([], candidate("a", y="10.0.0.2"), table="t1")))

    assert served(answer.snapshot) == {"a": ["y"]}
    assert answer.problems == ("registry: service a of table t2 is left out: table t1 has it",)


@in_a_loop
async def test_a_host_that_another_service_has_is_named_and_the_rest_is_taken() -> None:
    one = registry()
    more = {"predicate": "a.example.com"}
    await one.post(body(plain([], candidate("a", x="10.0.0.1"))))
    again = [candidate("b", more, y="10.0.0.2"), candidate("c", z="10.0.0.3")]
    answer = await one.post(body(plain(runs("a", x="10.0.0.1"), *again)))

    assert served(answer.snapshot) == {"a": ["x"], "c": ["z"]}
    assert len(answer.problems) == 1
    assert "service b is left out" in answer.problems[0]


@in_a_loop
async def test_a_wrong_payload_changes_nothing_and_asks_nobody() -> None:
    cells = MemoryCells()
    one = registry(cells)
    await one.post(body(ARTICLE))
    before, asked = dict(cells.cells), cells.asked
    wrong = article()
    wrong["candidates"][0]["containers"][0]["ip"] = "x"
    found = await answered(one, body(wrong))

    assert (found.status, found.snapshot) == (400, None)
    assert found.plain["problems"] == [
        {
            "where": "candidates[0].containers[0].ip",
            "what": "'x': must be an IP address, or one with a port: 10.0.0.1, 10.0.0.1:80, "
            "[fd00::1]:80",
        }
    ]
    assert (cells.cells, cells.asked) == (before, asked)


@in_a_loop
async def test_a_store_that_does_not_answer_is_503_and_what_is_known_stays() -> None:
    cells = MemoryCells()
    one = registry(cells)
    await one.post(body(ARTICLE))
    cells.failure = ProviderError("memory: no answer in 5.0 s")
    found = await answered(one, body(plain()))
    cells.failure = None

    assert (found.status, found.plain) == (503, {"error": "memory: no answer in 5.0 s", "code": 14})
    assert set(served(await one.fetch())) == {"app1", "app2"}


@in_a_loop
async def test_somebody_who_was_faster_loses_nothing() -> None:
    cells = MemoryCells()
    one, other = registry(cells), registry(cells)
    theirs = plain([], candidate("b", y="10.0.0.2"), host="two")
    mine = plain([], candidate("a", x="10.0.0.1"), host="one")
    await other.post(body(theirs))
    head = cells.cells["tables", "t"].value
    cells.cells.clear()
    await one.fetch()

    def faster() -> None:
        cells.before_put = None
        cells.set("tables", "t", head)

    cells.before_put = faster
    answer = await one.post(body(mine))

    assert served(answer.snapshot) == {"a": ["x"], "b": ["y"]}


@in_a_loop
async def test_who_is_never_the_first_says_so_in_the_end() -> None:
    cells = MemoryCells()
    cells.before_put = lambda: cells.set("tables", "t", b'{"format":1,"services":[]}')

    with pytest.raises(ProviderError, match=rf"others wrote it {TRIES} times .* send it again"):
        await registry(cells).post(body(plain([], candidate("a", x="10.0.0.1"))))


@in_a_loop
async def test_what_is_stored_already_is_not_written_again() -> None:
    cells = MemoryCells()
    one = registry(cells)
    first = plain([], candidate("a", x="10.0.0.1"))
    await one.post(body(first))
    cells.before_put = lambda: pytest.fail("it was written")
    answer = await one.post(body({**first, "running": runs("a", x="10.0.0.1")}))

    assert served(answer.snapshot) == {"a": ["x"]}


@in_a_loop
async def test_a_table_has_a_bound() -> None:
    cells = MemoryCells(64 << 20)
    full = {f"c{at}": Container(f"c{at}", "10.0.0.1:80", "one") for at in range(TABLE_MAX)}
    table = {"a": Registered("a", "host", "a.example.com", None, full)}
    await CellStore(cells).write("t", table, 0)
    payload = read_payload(body(plain([], candidate("b", x="10.0.0.2"), host="two")))

    with pytest.raises(PayloadError, match=rf"{TABLE_MAX + 1} containers; at most") as caught:
        await keep(CellStore(cells), payload)
    assert caught.value.status == 413


@in_a_loop
async def test_a_payload_is_news_at_once_without_any_polling() -> None:
    one = registry(MemoryCells(is_shared=False))
    async with aclosing(one.watch()) as news:
        assert served(await anext(news)) == {}
        coming = asyncio.ensure_future(anext(news))
        await one.post(body(plain([], candidate("a", x="10.0.0.1"))))

        assert served(await asyncio.wait_for(coming, 5)) == {"a": ["x"]}


@in_a_loop
async def test_what_another_host_was_told_comes_with_the_next_look() -> None:
    cells = MemoryCells()
    one, other = registry(cells, poll_s=0.5), registry(cells)
    async with aclosing(one.watch()) as news:
        assert served(await anext(news)) == {}
        await other.post(body(plain([], candidate("a", x="10.0.0.1"))))

        assert served(await asyncio.wait_for(anext(news), 5)) == {"a": ["x"]}


@in_a_loop
async def test_services_that_have_not_changed_are_the_same_objects() -> None:
    one = registry()
    await one.post(body(ARTICLE))
    await one.fetch()
    first, second = await one.fetch(), await one.fetch()

    assert first.services is second.services
    assert first.services[0].servers[0] == Server(id="a23nj53h3j4", address="192.168.1.9:80")


@in_a_loop
async def test_payloads_at_once_are_all_taken() -> None:
    one = registry()
    ones = [plain([], candidate(f"s{at}", x="10.0.0.1"), host=f"h{at}") for at in range(20)]
    await asyncio.gather(*(one.post(body(found)) for found in ones))

    assert len((await one.fetch()).services) == 20


def test_an_answer_is_json() -> None:
    answer = asyncio.run(registry().post(body(ARTICLE)))

    assert json.loads(json.dumps(answer.plain())) == answer.plain()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@in_a_loop
async def test_a_table_that_the_store_has_lost_is_not_emptied_by_who_tells_what_runs() -> None:
    cells = MemoryCells()
    one = registry(cells)
    await one.post(body(plain([], candidate("a", x="10.0.0.1"), table="t1")))
    cells.cells.clear()
    await one.fetch()
    answer = await one.post(body(plain(runs("a", x="10.0.0.1"), table="t1")))

    assert served(answer.snapshot) == {"a": ["x"]}
    assert served(await registry(cells).fetch()) == {"a": ["x"]}


@in_a_loop
async def test_other_tables_that_were_lost_stay_for_a_while_and_are_named() -> None:
    cells, clock = MemoryCells(), Clock()
    one = Registry(CellStore(cells), Settings(), empty_s=10.0, clock=clock)
    await one.post(body(plain([], candidate("a", x="10.0.0.1"), table="t1")))
    cells.cells.clear()
    nothing = await one.fetch()
    answer = await one.post(body(plain([], candidate("b", y="10.0.0.2"), table="t2")))
    clock.now = 10.0
    after = await one.fetch()

    assert served(nothing) == {}
    assert served(answer.snapshot) == {"a": ["x"], "b": ["y"]}
    assert answer.problems == (
        "registry: memory: 1 table (t1) it had, and has no more: they count as they were for 10 s",
    )
    assert (served(after), after.problems) == ({"b": ["y"]}, ())


@pytest.mark.parametrize(
    "later",
    [
        plain([], candidate("app", y="10.0.0.2"), table="a"),
        plain([], candidate("a", {"predicate": "app.example.com"}, y="10.0.0.2"), table="a"),
        plain(runs("app", x="10.0.0.1"), candidate("a", {"predicate": "app.example.com"}, y="::2")),
    ],
    ids=["its name", "its host", "its host in its table"],
)
@in_a_loop
async def test_who_comes_later_takes_nothing_away_though_its_name_comes_first(
    later: dict[str, Any],
) -> None:
    cells, clock = MemoryCells(), Clock()
    one = Registry(CellStore(cells), Settings(), wall=clock)
    await one.post(body(plain([], candidate("app", x="10.0.0.1"))))
    clock.now = 1.0
    answer = await one.post(body(later))
    await one.post(body(plain(runs("app", x="10.0.0.1"), candidate("app", x="10.0.0.1"))))
    elsewhere = await registry(cells).fetch()

    assert served(answer.snapshot) == served(elsewhere) == {"app": ["x"]}
    assert "is left out" in answer.problems[0]
