"""HAProxy's statistics as Prometheus' text: what is read, what is written, what is left out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.columns import has_rule
from lbctl.haproxy.promex import COLUMNS, METRICS, PROCESS_METRICS, Kind, state_of
from lbctl.haproxy.promex_read import Sight, read_sight, read_tables
from lbctl.haproxy.promex_text import escaped, texts
from lbctl.haproxy.table import Table

Found = dict[tuple[str, frozenset[tuple[str, str]]], float]

HEAD = "# pxname,svname,scur,stot,status,type,rtime,hrsp_1xx,hrsp_2xx,last_chk,"
INFO = "Name: HAProxy\nVersion: 2.6.12-1\nPid: 7\nCumReq: 5\nStart_time_sec: 9\n"


def stat(*rows: str) -> str:
    return "\n".join((HEAD, *rows, "", ""))


def answer(*rows: str) -> bytes:
    return f"{INFO}\n{stat(*rows)}".encode()


def told(tables: Mapping[Kind, Table], facts: Mapping[str, str] | None = None) -> Found:
    """Every sample that Prometheus would read, by name and labels."""
    text = "".join(texts(facts or {}, tables))
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def sample(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def server_of(*rows: str) -> Found:
    return told({"server": read_tables(stat(*rows))["server"]})


def test_each_kind_of_row_becomes_its_own_metrics() -> None:
    sight = read_sight(
        answer("web,FRONTEND,1,2,OPEN,0,,,3,,", "b,BACKEND,3,4,UP,1,,,,,", "b,s,5,6,UP,2,,,,,")
    )
    found = told(sight.tables, sight.facts)

    assert found[sample("haproxy_frontend_current_sessions", proxy="web")] == 1
    assert found[sample("haproxy_frontend_http_responses_total", proxy="web", code="2xx")] == 3
    assert found[sample("haproxy_backend_sessions_total", proxy="b")] == 4
    assert found[sample("haproxy_server_current_sessions", proxy="b", server="s")] == 5
    assert found[sample("haproxy_process_requests_total")] == 5
    assert found[sample("haproxy_process_build_info", version="2.6.12-1")] == 1
    assert found[sample("haproxy_backend_agg_server_status", proxy="b", state="UP")] == 1
    assert found[sample("haproxy_backend_agg_server_status", proxy="b", state="DOWN")] == 0


def test_a_listener_is_left_out_as_haproxys_exporter_does() -> None:
    assert server_of("web,sock-1,1,2,OPEN,3,,,,,") == {}


def test_what_haproxy_does_not_have_is_left_out() -> None:
    found = server_of("b,s,1,,UP,2,,,,,")

    assert sample("haproxy_server_sessions_total", proxy="b", server="s") not in found
    assert sample("haproxy_server_weight", proxy="b", server="s") not in found


@pytest.mark.parametrize("nonsense", ["nan", "1.5.2", "0x1", "1 2", "-", "\u00b2"])
def test_what_is_no_number_costs_its_own_series_alone(nonsense: str) -> None:
    found = server_of(f"b,s,{nonsense},6,UP,2,,,,,", "b,t,-1,7,UP,2,,,,,")

    assert sample("haproxy_server_current_sessions", proxy="b", server="s") not in found
    assert found[sample("haproxy_server_current_sessions", proxy="b", server="t")] == -1
    assert found[sample("haproxy_server_sessions_total", proxy="b", server="s")] == 6


def test_times_are_seconds() -> None:
    found = server_of("b,s,1,2,UP,2,1234,,,,")

    assert found[
        sample("haproxy_server_response_time_average_seconds", proxy="b", server="s")
    ] == pytest.approx(1.234)


def test_a_quoted_cell_may_hold_commas_quotes_and_line_feeds() -> None:
    found = server_of('b,s,1,2,UP,2,,,,"a ""b"", c\nd",', "b,t,3,4,UP,2,,,,,")

    assert found[sample("haproxy_server_current_sessions", proxy="b", server="s")] == 1
    assert found[sample("haproxy_server_current_sessions", proxy="b", server="t")] == 3


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Unknown command\n",
        INFO.encode(),
        f"{INFO}\n".encode(),
        f"{INFO}\n{HEAD}\n\n".encode().replace(b"svname", b"svmane"),
        f"{INFO}\n{HEAD}\nb,s,1\n\n".encode(),
        f'{INFO}\n{HEAD}\nb,s,1,2,UP,2,,,,"open\n\n'.encode(),
        f"{INFO}\n{stat('b,s,1,2,UP,2,,,,,')}".encode()[:-3],
        b"HTTP/1.1 400 Bad request\r\n\r\n\n\n",
    ],
)
def test_what_is_not_the_whole_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(RuntimeApiError, match="show "):
        read_sight(raw)


@given(st.binary(max_size=300))
def test_no_answer_ends_it_otherwise_than_by_a_refusal(raw: bytes) -> None:
    for some in (raw, INFO.encode() + b"\n" + raw, answer().removesuffix(b"\n") + raw + b"\n\n"):
        try:
            sight = read_sight(some)
        except RuntimeApiError:
            continue
        told(sight.tables, sight.facts)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_name_comes_back_as_it_was(proxy: str, server: str) -> None:
    columns = ("pxname", "svname", "type", "scur", "status")
    found = told({"server": Table(columns, ((proxy, server, "2", "1", "UP"),))})

    assert found[sample("haproxy_server_current_sessions", proxy=proxy, server=server)] == 1


def test_quotes_backslashes_and_line_feeds_are_escaped() -> None:
    assert escaped('a"b\\c\nd\u00e9') == 'a\\"b\\\\c\\nd\u00e9'


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("UP", "UP"),
        ("UP 1/3", "UP"),
        ("no check", "UP"),
        ("DOWN", "DOWN"),
        ("DOWN 1/2", "DOWN"),
        ("DOWN (agent)", "DOWN"),
        ("NOLB", "NOLB"),
        ("NOLB 1/2", "NOLB"),
        ("DRAIN", "DRAIN"),
        ("DRAIN (agent)", "DRAIN"),
        ("MAINT", "MAINT"),
        ("MAINT (via b/s)", "MAINT"),
        ("MAINT (resolution)", "MAINT"),
        ("", "DOWN"),
    ],
)
def test_a_status_is_the_state_that_haproxys_exporter_says(status: str, state: str) -> None:
    assert state_of(status) == state


@pytest.mark.parametrize("state", ["UP", "DOWN", "MAINT", "DRAIN", "NOLB"])
def test_a_server_always_has_the_series_of_up_and_the_one_of_its_state(state: str) -> None:
    found = server_of(f"b,s,1,2,{state},2,,,,,")
    states = {
        dict(labels)["state"]: value
        for (name, labels), value in found.items()
        if name == "haproxy_server_status"
    }

    assert states == {"UP": 0, state: 1} if state != "UP" else states == {"UP": 1}


@pytest.mark.parametrize(
    ("kind", "status", "up"), [("0", "OPEN", 1), ("0", "STOP", 0), ("1", "UP", 1), ("1", "DOWN", 0)]
)
def test_frontends_and_backends_have_both_states(kind: str, status: str, up: int) -> None:
    tables = read_tables(stat(f"b,X,1,2,{status},{kind},,,,,"))
    name = "haproxy_frontend_status" if kind == "0" else "haproxy_backend_status"
    found = told(tables)

    assert found[sample(name, proxy="b", state="UP")] == up
    assert found[sample(name, proxy="b", state="DOWN")] == 1 - up


def test_rare_responses_of_a_server_are_told_once_there_was_one() -> None:
    name = "haproxy_server_http_responses_total"
    found = server_of("b,s,1,2,UP,2,,0,0,,", "b,t,1,2,UP,2,,3,0,,")

    assert sample(name, proxy="b", server="s", code="1xx") not in found
    assert found[sample(name, proxy="b", server="s", code="2xx")] == 0
    assert found[sample(name, proxy="b", server="t", code="1xx")] == 3


def test_a_family_stands_in_one_place_with_one_head() -> None:
    sight = read_sight(answer("b,BACKEND,3,4,UP,1,,1,2,,", "b,s,5,6,UP,2,,1,2,,"))
    lines = "".join(texts(sight.facts, sight.tables)).splitlines()
    heads = [line.split()[2] for line in lines if line.startswith("# TYPE")]

    assert len(heads) == len({*heads})
    assert all(line.startswith("#") or line.split("{")[0].split()[0] in heads for line in lines)


def test_every_column_that_is_told_has_a_rule_for_several_processes() -> None:
    assert all(has_rule(column) for columns in COLUMNS.values() for column in columns)


def test_of_a_server_there_are_at_most_two_dozen_series() -> None:
    assert len(METRICS["server"]) + 2 + 4 <= 24
    assert all(metric.words.endswith(".") for metric in PROCESS_METRICS)


def test_a_reload_is_another_life_and_another_look_is_not() -> None:
    one, again = Sight({"Pid": "7", "Start_time_sec": "9"}), Sight({"Pid": "8"})

    assert one.life == Sight({"Pid": "7", "Start_time_sec": "9", "CumReq": "3"}).life
    assert one.life != again.life
