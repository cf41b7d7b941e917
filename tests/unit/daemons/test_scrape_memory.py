"""Counters over reloads: what is carried, what is kept for the next scrape, what is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.daemons.scrape import _merged
from lbctl.daemons.scrape_memory import Known, followed, recall, remember, written
from lbctl.haproxy.promex_carry import continued, counters_of, with_silent
from lbctl.haproxy.promex_read import Sight, read_sight

HEAD = "# pxname,svname,scur,stot,status,type,chkfail,"


def answer(pid: int, *rows: str, requests: int = 0) -> bytes:
    info = f"Name: HAProxy\nPid: {pid}\nStart_time_sec: 1\nCurrConns: 4\nCumReq: {requests}\n"
    return "\n".join((info, HEAD, *rows, "", "")).encode()


def row(sessions: int, failures: int = 0, server: str = "s") -> str:
    return f"b,{server},2,{sessions},UP,2,{failures},"


def cell(sight: Sight, column: str, server: str = "s") -> str:
    """Of that server."""
    table = sight.tables["server"]
    return dict(zip(table.column("svname"), table.column(column), strict=True))[server]


def seen(known: Known | None, raw: bytes) -> tuple[Sight, Known]:
    return followed(known, raw, read_sight(raw))


def test_a_first_look_says_what_haproxy_says() -> None:
    sight, known = seen(None, answer(1, row(5)))

    assert cell(sight, "stot") == "5"
    assert known.before == b""


def test_counters_go_on_over_a_reload_and_gauges_do_not() -> None:
    _, known = seen(None, answer(1, row(5), requests=50))
    sight, known = seen(known, answer(2, row(3), requests=30))

    assert (cell(sight, "stot"), cell(sight, "scur")) == ("8", "2")
    assert (sight.facts["CumReq"], sight.facts["CurrConns"]) == ("80", "4")

    sight, known = seen(known, answer(2, row(4), requests=31))
    assert (cell(sight, "stot"), sight.facts["CumReq"]) == ("9", "81")

    sight, _ = seen(known, answer(3, row(1), requests=1))
    assert (cell(sight, "stot"), sight.facts["CumReq"]) == ("10", "82")


def test_a_server_that_is_gone_is_forgotten_and_begins_anew() -> None:
    _, known = seen(None, answer(1, row(5), row(7, server="t")))
    _, known = seen(known, answer(2, row(1)))
    sight, _ = seen(known, answer(3, row(1), row(2, server="t")))

    assert (cell(sight, "stot"), cell(sight, "stot", "t")) == ("7", "2")


def test_servers_may_come_in_another_order() -> None:
    _, known = seen(None, answer(1, row(5), row(7, server="t")))
    sight, _ = seen(known, answer(2, row(10, server="t"), row(20)))

    assert (cell(sight, "stot"), cell(sight, "stot", "t")) == ("25", "17")


def test_what_does_not_answer_keeps_its_counters_and_no_gauge() -> None:
    other, known = seen(None, answer(2, row(7, failures=9), requests=70))
    one, _ = seen(None, answer(1, row(5, failures=3), requests=50))
    both = _merged([one, other])
    whole = with_silent(_merged([one]), known.counted())

    # Sessions add; of checks each process has its own, and the greatest count stands.
    for column in ("stot", "chkfail"):
        assert cell(whole, column) == cell(both, column)
    assert whole.facts["CumReq"] == both.facts["CumReq"] == "120"
    assert cell(whole, "scur") == "2"
    assert whole.facts["CurrConns"] == "4"


def test_what_was_kept_can_be_read_again() -> None:
    sight = read_sight(answer(1, row(5), row(6, server='"a""b,c"')))
    kept = read_sight(written(counters_of(sight)))

    assert list(kept.tables["server"].column("stot")) == ["5", "6"]
    assert cell(continued(sight, kept), "stot", 'a"b,c') == "12"


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["count", "reload", "hang"]), st.integers(0, 1), st.integers(0, 9)),
    max_size=30,
)


@given(STEPS)
def test_a_sum_never_falls_and_nothing_that_was_seen_is_lost(steps: list[Step]) -> None:
    counts, pids, hangs = [0, 0], [1, 2], [False, False]
    known: dict[int, Known] = {}
    total, last = 0, 0
    unseen = [0, 0]
    for what, which, how_many in steps:
        hangs[which] = what == "hang"
        if what == "reload":
            # What was counted since the last look is lost with the old life.
            total -= unseen[which]
            counts[which], unseen[which] = 0, 0
            pids[which] += 2
        counts[which] += how_many
        unseen[which] += how_many
        total += how_many
        sights = []
        for number in (0, 1):
            if not hangs[number]:
                raw = answer(pids[number], row(counts[number]))
                sight, known[number] = seen(known.get(number), raw)
                sights.append(sight)
                unseen[number] = 0
        if not sights:
            continue
        whole = _merged(sights)
        for number in (0, 1):
            if hangs[number] and number in known:
                whole = with_silent(whole, known[number].counted())
        now = int(cell(whole, "stot"))

        assert now == total - sum(unseen)
        assert now >= last
        last = now


def test_it_is_kept_for_its_user_alone_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "scrape"
    known = {1: Known("1 1", b"answer\n\n", b"before\n"), 2: Known("2 1", b"\xff\x00", b"")}
    remember(path, 5.0, known)

    assert recall(path, 5.0) == known
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [path]


def test_one_who_was_ended_while_writing_leaves_nothing_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "scrape"
    (tmp_path / ".scrape.new").write_bytes(b"half")
    remember(path, 5.0, {1: Known("1 1", b"answer")})

    assert [*tmp_path.iterdir()] == [path]


def test_what_another_bundle_kept_is_not_taken(tmp_path: Path) -> None:
    remember(tmp_path / "scrape", 5.0, {1: Known("1 1", b"answer")})

    assert recall(tmp_path / "scrape", 6.0) == {}


@pytest.mark.parametrize("text", [b"", b"{}", b"[]\n", b'{"since":5.0}\n', b"\xff\xff", b"null\n"])
def test_what_makes_no_sense_is_as_nothing(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "scrape").write_bytes(text)

    assert recall(tmp_path / "scrape", 5.0) == {}
    assert recall(tmp_path / "none", 5.0) == {}


def test_what_is_cut_off_costs_what_was_before_and_not_the_scrape() -> None:
    raw = answer(2, row(3))
    sight, known = seen(Known("1 1", b"Name: HAProxy\n"), raw)

    assert cell(sight, "stot") == "3"
    assert known == Known("2 1", raw)
