from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.columns import _BY_RULE, CURRENT_OF_PEAK, RULES, has_rule
from lbctl.haproxy.rules import Rule
from lbctl.haproxy.stats import SEVERITY, badness, disagreements, merge, numbered
from lbctl.haproxy.table import Table


def table(*records: dict[str, str]) -> Table:
    """Rows of a backend ``b``, server ``s1`` where nothing else is said."""
    whole = [{"pxname": "b", "svname": "s1", "type": "2", **record} for record in records]
    columns = tuple(dict.fromkeys(column for record in whole for column in record))
    return Table(columns, tuple(tuple(r.get(c, "") for c in columns) for r in whole))


def merged(*records: dict[str, str]) -> dict[str, str]:
    """One server, one record a process."""
    (row,) = merge([table(record) for record in records]).records()
    return row


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("stot", ("3", "4"), "7"),
        ("stot", ("5", "5"), "10"),
        ("stot", ("0", "0"), "0"),
        ("stot", ("", "4"), "4"),
        ("scur", ("1", "2", "3"), "6"),
        ("bin", ("9" * 18, "1"), "1" + "0" * 18),
        ("hrsp_5xx", ("1", "1"), "2"),
        ("h2_total_connections", ("2", "3"), "5"),
        ("quic_rxbuf_full", ("2", "3"), "5"),
        ("slim", ("100", "100"), "200"),
        ("rate_lim", ("0", "7"), "0"),
        ("qtime_max", ("7", "900"), "900"),
        ("chkfail", ("3", "4"), "4"),
        ("chkdown", ("1", "1"), "1"),
        ("downtime", ("10", "8"), "10"),
        ("weight", ("100", "50"), "50"),
        ("act", ("1", "1"), "1"),
        ("lastsess", ("12", "3"), "3"),
        ("lastsess", ("-1", "3"), "3"),
        ("lastsess", ("-1", "-1"), "-1"),
        ("pid", ("1", "2"), "1"),
        ("addr", ("10.0.0.1:80", "10.0.0.1:80"), "10.0.0.1:80"),
        ("a_column_of_tomorrow", ("5", "5"), "5"),
        ("a_column_of_tomorrow", ("5", "6"), "5"),
        ("stot", ("3", "many"), "3"),
    ],
)
def test_each_column_has_its_own_rule(column: str, values: tuple[str, ...], expected: str) -> None:
    assert merged(*({column: value} for value in values))[column] == expected


def test_a_limit_that_one_process_does_not_have_is_no_limit() -> None:
    assert "slim" not in merged({"slim": "100"}, {"slim": ""})


@pytest.mark.parametrize(("peak", "current"), CURRENT_OF_PEAK.items())
def test_peaks_are_not_added_and_never_below_what_there_is_now(peak: str, current: str) -> None:
    apart = merged({peak: "7", current: "1"}, {peak: "5", current: "2"})
    together = merged({peak: "7", current: "6"}, {peak: "5", current: "5"})

    assert apart[peak] == "7"
    assert together[peak] == "11"


def test_averages_are_weighted_by_sessions() -> None:
    assert merged({"rtime": "10", "stot": "300"}, {"rtime": "50", "stot": "100"})["rtime"] == "20"
    assert merged({"rtime": "10", "stot": "0"}, {"rtime": "20", "stot": "0"})["rtime"] == "15"
    assert merged({"rtime": "10", "stot": "0"}, {"rtime": "", "stot": "9"})["rtime"] == "10"


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ("DOWN", "UP"),
        ("DOWN", "MAINT"),
        ("DOWN", "DOWN 1/2"),
        ("DOWN 1/2", "NOLB"),
        ("DOWN (agent)", "UP"),
        ("NOLB", "MAINT"),
        ("MAINT", "DRAIN"),
        ("MAINT (resolution)", "UP"),
        ("DRAIN", "UP"),
        ("UP 1/3", "UP"),
        ("UP", "no check"),
        ("FULL", "OPEN"),
        ("STOP", "OPEN"),
        ("a word of tomorrow", "DOWN"),
    ],
)
def test_where_processes_differ_the_worst_status_stands(worse: str, better: str) -> None:
    for statuses in permutations((worse, better, better)):
        assert merged(*({"status": status} for status in statuses))["status"] == worse


def test_equal_statuses_stay_in_haproxys_words() -> None:
    for status in (*SEVERITY, "UP 1/3", "MAINT (via b/s2)"):
        assert merged({"status": status}, {"status": status})["status"] == status


def test_what_belongs_to_the_status_comes_from_the_same_process() -> None:
    up = {"status": "UP", "lastchg": "900", "check_status": "L7OK", "last_chk": "OK"}
    down = {"status": "DOWN", "lastchg": "3", "check_status": "L4CON", "last_chk": "refused"}

    row = merged(up, down)

    assert {column: row[column] for column in down} == down


def test_rows_are_united_in_the_order_of_first_appearance() -> None:
    one = table({"svname": "s1"}, {"svname": "s2"}, {"svname": "BACKEND", "type": "1"})
    two = table({"svname": "s1"}, {"svname": "s3"}, {"svname": "BACKEND", "type": "1"})

    assert [*merge([one, two]).column("svname")] == ["s1", "s2", "BACKEND", "s3"]


def test_a_row_of_one_process_stays_as_it_is() -> None:
    own = {"pxname": "lbctl-stats-01", "svname": "FRONTEND", "type": "0", "iid": "5", "sid": "0"}
    other = {**own, "pxname": "lbctl-stats-02", "iid": "6"}
    counts = {"stot": "3", "slim": "10", "smax": "1", "scur": "2", "pid": "1"}

    rows = [*merge([table({**own, **counts}), table({**other, **counts})]).records()]

    assert rows == [{**own, **counts}, {**other, **counts}]


def test_two_proxies_with_one_iid_become_two() -> None:
    """Each process numbers its own stats listener, and gets what the other's got."""
    own = {"svname": "FRONTEND", "type": "0", "sid": "0"}
    one = table({**own, "pxname": "web", "iid": "2"}, {**own, "pxname": "stats-01", "iid": "3"})
    two = table({**own, "pxname": "web", "iid": "2"}, {**own, "pxname": "stats-02", "iid": "3"})

    whole = merge([one, two])

    assert [*whole.cells("pxname", "iid")] == [("web", "2"), ("stats-01", "3"), ("stats-02", "4")]


def test_two_servers_with_one_sid_become_two() -> None:
    one = table({"iid": "2", "svname": "s1", "sid": "1"}, {"iid": "2", "svname": "a", "sid": "2"})
    two = table({"iid": "2", "svname": "s1", "sid": "1"}, {"iid": "2", "svname": "b", "sid": "2"})

    assert [*merge([one, two]).cells("svname", "sid")] == [("s1", "1"), ("a", "2"), ("b", "3")]


def test_columns_of_the_widest_header_come_first() -> None:
    old = Table(("pxname", "svname", "type", "stot", "gone"), (("b", "s1", "2", "1", "x"),))
    new = Table(
        ("pxname", "svname", "type", "stot", "bin", "-", "h1_x"),
        (("b", "s1", "2", "1", "5", "-", "2"),),
    )

    whole = merge([old, new])

    assert whole.columns == ("pxname", "svname", "type", "stot", "bin", "-", "h1_x", "gone")
    assert whole.rows == (("b", "s1", "2", "2", "5", "-", "2", "x"),)


def test_no_process_gives_no_rows() -> None:
    assert merge([]) == Table((), ())


def test_one_process_stays_as_it_is() -> None:
    alone = table({"stot": "3", "smax": "1", "scur": "2"}, {"svname": "s2", "stot": ""})

    assert merge([alone]) == alone


@given(st.lists(st.tuples(*[st.integers(0, 2**40)] * 3), min_size=1, max_size=5))
def test_merging_in_two_steps_is_merging_at_once(counts: list[tuple[int, int, int]]) -> None:
    tables = [
        table({"stot": str(a), "qtime_max": str(b), "lastsess": str(c)}) for a, b, c in counts
    ]

    assert merge([tables[0], merge(tables[1:])] if tables[1:] else tables) == merge(tables)


def test_disagreements_name_each_processs_status() -> None:
    one = table({"status": "UP"}, {"svname": "s2", "status": "UP"})
    two = table({"status": "DOWN"})

    assert disagreements([one, two]) == {("b", "s1", "2"): ("UP", "DOWN")}


def test_numbered_rows_carry_the_process_in_pid() -> None:
    assert [*numbered(table({"pid": "1"}), 7).column("pid")] == ["7"]


def test_badness_knows_every_word_once() -> None:
    assert len({badness(word) for word in SEVERITY}) == len(SEVERITY)


def test_every_documented_column_has_one_rule() -> None:
    assert len(RULES) == sum(len(columns.split()) for columns in _BY_RULE.values())
    assert has_rule("ssl_sess")
    assert not has_rule("a_column_of_tomorrow")
    assert all(RULES[current] is Rule.ADD for current in CURRENT_OF_PEAK.values())
    assert {column for column, rule in RULES.items() if rule is Rule.PEAK} >= {*CURRENT_OF_PEAK}


HEADER = "# pxname,svname,status,last_chk,\n"


@pytest.mark.parametrize(
    "body",
    ["", "b,s1,UP,,\n", 'b,s1,DOWN,"a, ""b""",\n', 'b,s1,DOWN,"two\nlines",\nb,s2,no check,,\n'],
)
def test_csv_is_written_as_it_was_read(body: str) -> None:
    assert Table.parse(HEADER + body + "\n").to_csv() == HEADER + body


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "Permission denied\n",
        "# pxname,status,\n",
        HEADER + "b,s1,UP,\n",
        "# pxname,svname,a,a,\n",
    ],
)
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(RuntimeApiError, match="show stat"):
        Table.parse(text)
